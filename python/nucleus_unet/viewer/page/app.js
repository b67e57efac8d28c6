// The page: what is asked of the server, and what people do with mouse, fingers and keys.

import { Channels, Histogram, ImageList, byId, showNucleus, written } from "./panels.js";
import { Layers, colourOf } from "./tiles.js";
import { Viewport } from "./viewport.js";

const canvas = byId("view"), viewport = new Viewport(canvas);
const layers = new Layers(viewport, redraw, (text) => say(text));
const channels = new Channels(later(() => { layers.setChannels(channels.text); redraw(); }, 60));
const histogram = new Histogram(restyle);
let facts = null, list = null, number = 0, picked = 0, hidden = false, colours = null, waiting = false, columns = new Map();

/** A function that is called once, some milliseconds after it was called last. */
function later(work, milliseconds) {
  let timer = 0;
  return () => { clearTimeout(timer); timer = setTimeout(work, milliseconds); };
}

function say(text) { byId("problems").textContent = text; }

async function ask(address) {
  const answer = await fetch(address);
  if (!answer.ok) { throw new Error((await answer.json()).error); }
  return answer;
}

function redraw() {
  if (waiting) { return; }
  waiting = true;
  requestAnimationFrame(() => { waiting = false; draw(); });
}

function draw() {
  if (!facts) { return; }
  const sharp = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(viewport.width * sharp), Math.round(viewport.height * sharp)];
  if (canvas.width !== width || canvas.height !== height) { Object.assign(canvas, { width, height }); }
  layers.draw(canvas.getContext("2d"), sharp);
  drawBar();
  canvas.dataset.complete = layers.complete;
}

function drawBar() {
  const size = facts.pixel_size;
  byId("bar").hidden = !size;
  if (!size) { return; }
  const widest = size * Math.min(180, viewport.width / 3) / viewport.zoom;
  const unit = 10 ** Math.floor(Math.log10(widest));
  const length = [5, 2, 1].map((each) => each * unit).find((each) => each <= widest);
  byId("bar-line").style.width = `${length / size * viewport.zoom}px`;
  byId("bar-text").textContent = length >= 1000 ? `${written(length / 1000)} mm` : `${written(length)} \u00b5m`;
}

/** How nuclei are drawn; a new object, so that tiles are drawn anew. */
function restyle() {
  layers.style = {
    outlines: byId("outlines").checked, fill: byId("fill").checked, cells: byId("cells").checked && facts?.cells,
    hidden, picked, colours, range: histogram.range,
  };
  redraw();
}

async function column(name) {
  if (!columns.has(name)) {
    columns.set(name, new Float32Array(await (await ask(`image/${number}/column/${encodeURIComponent(name)}`)).arrayBuffer()));
  }
  return columns.get(name);
}

async function showMeasure() {
  const name = byId("measure").value, asked = number, values = await column(name);
  if (asked === number && byId("measure").value === name) { histogram.show(values); }
}

async function colourBy() {
  const name = byId("colour-by").value, asked = number;
  const values = name ? await column(name) : null;
  if (asked !== number || byId("colour-by").value !== name) { return; }
  colours = null;
  if (values) {
    // The middle 98 %, so that one odd nucleus does not take all colours.
    const sorted = values.filter(Number.isFinite).sort();
    const at = (share) => sorted[Math.round(share * (sorted.length - 1))] ?? 0;
    colours = { values, low: at(0.01), high: at(0.99) };
    byId("legend-low").textContent = written(colours.low);
    byId("legend-high").textContent = written(colours.high);
    byId("legend-bar").style.background = `linear-gradient(to right, ${[0, 0.25, 0.5, 0.75, 1].map((each) => `rgb(${colourOf(each).map(Math.round)})`)})`;
  }
  byId("legend").hidden = !colours;
  restyle();
}

async function pick(label) {
  picked = label;
  restyle();
  if (!label) { showNucleus(null); return; }
  const asked = number;
  try {
    const row = await (await ask(`image/${number}/nucleus/${label}`)).json();
    if (asked === number && picked === label) { showNucleus(row); }
    return row;
  } catch {
    if (asked === number) { showNucleus(null, `There is no row of a nucleus ${label}.`); }
  }
}

async function find(label) {
  const row = await pick(label);
  if (row?.row === undefined) { return; }
  viewport.zoom = Math.max(viewport.zoom, Math.min(4, viewport.width / (12 * Math.max(8, Math.sqrt(row.area)))));
  viewport.moveTo(row.column, row.row);
  redraw();
}

function options(select, names, none) {
  const kept = select.value;
  select.replaceChildren(...(none ? [new Option(none, "")] : []), ...names.map((name) => new Option(name, name)));
  if (names.includes(kept)) { select.value = kept; }
}

async function show(which) {
  number = which;
  list.mark(which);
  byId("list").classList.remove("open");
  Object.assign(window, { location: `#${which}` });
  let found;
  try {
    found = await (await ask(`image/${which}`)).json();
  } catch (error) {
    found = { name: list.images[which].name, width: 1, height: 1, levels: 1, channels: [], measures: [], problems: [error.message], labels: false };
  }
  if (number !== which) { return; }
  const sameSize = facts && facts.width === found.width && facts.height === found.height;
  [facts, picked, colours, columns] = [found, 0, null, new Map()];
  if (!sameSize) { viewport.set(facts.width, facts.height); }
  document.title = `${facts.name} - nucleus-unet`;
  byId("title").textContent = facts.nuclei === null || facts.nuclei === undefined ? facts.name : `${facts.name}: ${written(facts.nuclei)} nuclei`;
  say(facts.problems.join(". "));
  layers.show(which, facts);
  channels.show(facts.channels);
  layers.setChannels(channels.text);
  byId("cells-label").hidden = !facts.cells;
  byId("histogram-section").hidden = !facts.measures.length;
  options(byId("measure"), facts.measures);
  options(byId("colour-by"), facts.measures, "nothing");
  showNucleus(null);
  restyle();
  try {
    if (facts.measures.length) { await showMeasure(); }
    await colourBy();
  } catch (error) { say(error.message); }
}

const controls = {
  "+": () => viewport.zoomBy(1.5), "=": () => viewport.zoomBy(1.5), "-": () => viewport.zoomBy(1 / 1.5),
  0: () => viewport.showAll(), 1: () => viewport.zoomBy(1 / viewport.zoom),
  ArrowLeft: () => viewport.moveBy(80, 0), ArrowRight: () => viewport.moveBy(-80, 0),
  ArrowUp: () => viewport.moveBy(0, 80), ArrowDown: () => viewport.moveBy(0, -80),
  o: () => byId("outlines").click(), f: () => byId("fill").click(), c: () => byId("cells").click(),
  h: () => { hidden = !hidden; restyle(); },
  n: () => show(list.beside(1)), p: () => show(list.beside(-1)),
  "/": () => { byId("list").classList.add("open"); byId("search").focus(); },
  Escape: () => { pick(0); histogram.choose(null, null); for (const id of ["list", "panel"]) { byId(id).classList.remove("open"); } canvas.focus(); },
};

function listen() {
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input:not([type=checkbox]), select") && event.key !== "Escape";
    const work = controls[event.key];
    if (!work || typing || event.ctrlKey || event.metaKey || event.altKey) { return; }
    event.preventDefault();
    work();
    redraw();
  });
  for (const id of ["outlines", "fill", "cells"]) { byId(id).addEventListener("change", restyle); }
  const failing = (work) => () => work().catch((error) => say(error.message));
  byId("measure").addEventListener("change", failing(showMeasure));
  byId("colour-by").addEventListener("change", failing(colourBy));
  byId("find").addEventListener("submit", (event) => { event.preventDefault(); find(Number(byId("find-label").value)); });
  for (const [id, key] of [["zoom-in", "+"], ["zoom-out", "-"], ["zoom-all", "0"]]) {
    byId(id).addEventListener("click", () => { controls[key](); redraw(); });
  }
  for (const [button, id] of [["show-list", "list"], ["show-panel", "panel"]]) {
    byId(button).addEventListener("click", () => {
      byId(id === "list" ? "panel" : "list").classList.remove("open"); // on a phone there is room for one
      byId(id).classList.toggle("open");
      byId(button).setAttribute("aria-expanded", byId(id).classList.contains("open"));
      histogram.draw();
    });
  }
  new ResizeObserver(() => { if (facts) { redraw(); histogram.draw(); } }).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => histogram.draw());
  window.addEventListener("hashchange", () => { const which = Number(location.hash.slice(1)); if (which !== number && list.images[which]) { show(which); } });
  listenToPointers();
}

/** Drag to move, wheel or two fingers to zoom, click to pick. */
function listenToPointers() {
  const down = new Map();
  let moved = 0;
  const at = (event) => { const box = canvas.getBoundingClientRect(); return { x: event.clientX - box.left, y: event.clientY - box.top }; };
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const { x, y } = at(event);
    viewport.zoomBy(2 ** (-event.deltaY * (event.deltaMode ? 20 : 1) / 300), x, y);
    redraw();
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    if (!down.size) { moved = 0; }
    down.set(event.pointerId, at(event));
    canvas.classList.add("moving");
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = down.get(event.pointerId), now = at(event);
    if (!before) { tell(now); return; }
    moved += Math.hypot(now.x - before.x, now.y - before.y);
    if (down.size === 2) {
      const other = [...down].find(([id]) => id !== event.pointerId)[1];
      const spread = (one) => Math.max(1, Math.hypot(one.x - other.x, one.y - other.y));
      viewport.zoomBy(spread(now) / spread(before), (now.x + other.x) / 2, (now.y + other.y) / 2);
    } else {
      viewport.moveBy(now.x - before.x, now.y - before.y);
    }
    down.set(event.pointerId, now);
    redraw();
  });
  const up = (event) => {
    if (down.delete(event.pointerId) && !down.size) {
      canvas.classList.remove("moving");
      const { x, y } = viewport.toImage(at(event).x, at(event).y);
      if (event.type === "pointerup" && moved < 5 && inside(x, y)) { pick(layers.labelAt(x, y)); }
    }
  };
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", up);
  canvas.addEventListener("pointerleave", () => { byId("status").textContent = ""; });
}

const inside = (x, y) => facts && x >= 0 && y >= 0 && x < facts.width && y < facts.height;

function tell(place) {
  const { x, y } = viewport.toImage(place.x, place.y);
  const label = inside(x, y) ? layers.labelAt(x, y) : 0;
  byId("status").textContent = inside(x, y) ? `row ${Math.floor(y)}, column ${Math.floor(x)}${label ? `, nucleus ${label}` : ""}` : "";
}

async function start() {
  try {
    const { title, images } = await (await ask("images")).json();
    byId("title").textContent = title;
    list = new ImageList(images, show);
    listen();
    const asked = Number(location.hash.slice(1));
    const first = images[asked] && location.hash ? asked : Math.max(0, images.findIndex((each) => each.nuclei !== null));
    await show(first);
  } catch (error) { say(error.message); }
}

start();
