// What is beside the image: the list of images, the histogram, the row of a nucleus, the channels.

const MOST_LISTED = 300;
const BINS = 60;

export const byId = (id) => document.getElementById(id);

/** A number as people write it, with five digits at most. A text is as it is. */
export function written(value) {
  if (value === null || value === undefined || Number.isNaN(value)) { return "none"; }
  if (typeof value === "string") { return value; }
  if (Number.isInteger(value)) { return value.toLocaleString("en"); }
  const size = Math.abs(value);
  return size >= 1e6 || size < 1e-3 ? value.toExponential(3) : String(Number(value.toPrecision(5)));
}

function element(name, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...children);
  return made;
}

/** The list of images, with a search box. */
export class ImageList {
  constructor(images, choose) {
    Object.assign(this, { images, choose, current: 0 });
    document.body.classList.toggle("alone", images.length < 2);
    byId("search").addEventListener("input", () => this.draw());
    this.draw();
  }

  get found() {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    return this.images.filter((each) => words.every((word) => each.name.toLowerCase().includes(word)));
  }

  mark(number) { this.current = number; this.draw(); }

  /** The number of the next image of the list, or of the one before. */
  beside(step) {
    const found = this.found.filter((each) => !each.problem || each.nuclei !== null);
    const place = found.findIndex((each) => each.number === this.current);
    return found.length ? found[(place + step + found.length) % found.length].number : this.current;
  }

  draw() {
    const found = this.found, nuclei = found.reduce((sum, each) => sum + (each.nuclei ?? 0), 0);
    const more = found.length > MOST_LISTED ? `; the first ${MOST_LISTED} are listed` : "";
    byId("count").textContent = `${written(found.length)} image${found.length === 1 ? "" : "s"}, ${written(nuclei)} nuclei${more}`;
    byId("images").replaceChildren(...found.slice(0, MOST_LISTED).map((each) => {
      const button = element("button", { type: "button", title: each.problem || each.name, onclick: () => this.choose(each.number) },
        element("span", {}, element("bdi", {}, each.name)), element("span", {}, each.nuclei === null ? "none" : written(each.nuclei)));
      if (each.number === this.current) { button.setAttribute("aria-current", "true"); }
      return element("li", {}, button);
    }));
  }
}

/** A histogram of a measure; a range of it is chosen with the mouse or typed. */
export class Histogram {
  constructor(changed) {
    Object.assign(this, { changed, values: null, low: null, high: null, canvas: byId("histogram") });
    this.canvas.addEventListener("pointerdown", (event) => this.drag(event));
    for (const id of ["range-low", "range-high"]) { byId(id).addEventListener("change", () => this.type()); }
    byId("range-clear").addEventListener("click", () => this.choose(null, null));
  }

  /** Show a column: its values by label, 0 being the background. */
  show(values) {
    this.values = values;
    let [least, most] = [Infinity, -Infinity];
    for (const value of values) {
      if (value < least) { least = value; }
      if (value > most) { most = value; }
    }
    if (least > most) { [least, most] = [0, 1]; }
    Object.assign(this, { least, most: most > least ? most : least + 1, counts: new Uint32Array(BINS) });
    for (const value of values) {
      if (Number.isFinite(value)) { this.counts[Math.min(BINS - 1, Math.floor((value - least) / (this.most - least) * BINS))]++; }
    }
    this.choose(null, null);
  }

  get range() { return this.low === null ? null : { values: this.values, low: this.low, high: this.high }; }

  choose(low, high) {
    Object.assign(this, { low, high });
    byId("range-low").value = low === null ? "" : Number(low.toPrecision(6));
    byId("range-high").value = high === null ? "" : Number(high.toPrecision(6));
    let count = 0;
    if (low !== null) { for (const value of this.values) { if (value >= low && value <= high) { count++; } } }
    byId("range-count").textContent = low === null ? "" : `${written(count)} of ${written(this.values.length - 1)} nuclei`;
    this.draw();
    this.changed();
  }

  type() {
    const [low, high] = [byId("range-low"), byId("range-high")].map((each) => each.value === "" ? null : Number(each.value));
    if (!this.values || (low === null && high === null)) { this.choose(null, null); return; }
    this.choose(low ?? this.least, high ?? this.most);
  }

  drag(down) {
    if (!this.values) { return; }
    this.canvas.setPointerCapture(down.pointerId);
    const valueAt = (event) => {
      const box = this.canvas.getBoundingClientRect();
      return this.least + Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * (this.most - this.least);
    };
    const first = valueAt(down);
    const move = (event) => this.choose(Math.min(first, valueAt(event)), Math.max(first, valueAt(event)));
    const up = () => {
      this.canvas.removeEventListener("pointermove", move);
      if (this.low === this.high) { this.choose(null, null); }
    };
    this.canvas.addEventListener("pointermove", move);
    this.canvas.addEventListener("pointerup", up, { once: true });
  }

  draw() {
    const sharp = window.devicePixelRatio || 1, { canvas } = this;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    Object.assign(canvas, { width: width * sharp, height: height * sharp });
    if (!this.values) { return; }
    const context = canvas.getContext("2d"), style = getComputedStyle(document.body);
    context.scale(sharp, sharp);
    const most = Math.max(1, ...this.counts), floor = height - 16, step = width / BINS;
    for (let bin = 0; bin < BINS; bin++) {
      const [left, right] = [bin, bin + 1].map((each) => this.least + each / BINS * (this.most - this.least));
      const inside = this.low === null || (right >= this.low && left <= this.high);
      context.fillStyle = style.getPropertyValue(inside ? "--accent" : "--line");
      const tall = this.counts[bin] ? Math.max(1, this.counts[bin] / most * (floor - 2)) : 0;
      context.fillRect(bin * step, floor - tall, step - 1, tall);
    }
    context.fillStyle = style.getPropertyValue("--quiet");
    context.font = "11px system-ui, sans-serif";
    context.fillText(written(this.least), 0, height - 3);
    context.textAlign = "right";
    context.fillText(written(this.most), width, height - 3);
  }
}

/** Show the row of a nucleus; none if there is none. */
export function showNucleus(row, said = "") {
  byId("nucleus-empty").textContent = said || "Click a nucleus for its row of the table.";
  byId("nucleus-empty").hidden = row !== null;
  byId("nucleus").tBodies[0].replaceChildren(...Object.entries(row ?? {}).map(([name, value]) =>
    element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, written(value)))));
}

/** The channels, each with its contrast; `changed` gets them as the server takes them. */
export class Channels {
  constructor(changed) { Object.assign(this, { changed, channels: [] }); }

  show(channels) {
    this.channels = channels.map((each) => ({ ...each, on: each.segmented, first: [each.low, each.high] }));
    byId("channels-section").hidden = !channels.length;
    byId("channels").replaceChildren(...this.channels.map((each) => this.controls(each)));
  }

  get text() {
    return this.channels.flatMap((each, number) => each.on ? [`${number},${each.low},${each.high},${each.colour.slice(1)}`] : []).join(";");
  }

  controls(channel) {
    const inputs = ["low", "high"].map((end) => {
      const range = element("input", { type: "range", min: channel.least, max: channel.most, step: "any", value: channel[end], ariaLabel: `${end === "low" ? "Black" : "White"} of ${channel.name}` });
      const number = element("input", { type: "number", step: "any", value: Number(channel[end].toPrecision(6)), ariaLabel: range.ariaLabel });
      const set = (value) => {
        if (!Number.isFinite(value)) { return; }
        channel[end] = value;
        range.value = value;
        number.value = Number(value.toPrecision(6));
        this.changed();
      };
      range.addEventListener("input", () => set(Number(range.value)));
      number.addEventListener("change", () => set(Number(number.value)));
      return { set, row: element("div", { className: "row" }, end === "low" ? "black" : "white", range, number) };
    });
    const choose = (low, high) => { inputs[0].set(low); inputs[1].set(high); };
    const on = element("input", { type: "checkbox", checked: channel.on, onchange: () => { channel.on = on.checked; this.changed(); } });
    const colour = element("input", { type: "color", value: channel.colour, ariaLabel: `Colour of ${channel.name}`, oninput: () => { channel.colour = colour.value; this.changed(); } });
    const name = element("label", { className: "name" }, on, ` ${channel.name}`);
    return element("div", {}, element("div", { className: "row" }, name, ...(channel.colours ? [] : [colour])), ...inputs.map((each) => each.row),
      element("div", { className: "row" },
        element("button", { type: "button", onclick: () => choose(...channel.first) }, "Automatic"),
        element("button", { type: "button", onclick: () => choose(channel.least, channel.most) }, "Whole range")));
  }
}
