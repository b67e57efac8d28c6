// Loads tiles of pixels and of labels, keeps those used last, and draws them.

export const SIDE = 512;
const MARGIN = 1; // pixels around a tile of labels
const ROW = SIDE + 2 * MARGIN;
const MOST_TILES = 160; // of each kind; a tile takes a megabyte
const AT_ONCE = 6;
const OUTLINE = [255, 200, 0], CELL = [90, 200, 250], PICKED = [255, 40, 170];
// From low to high; equally spaced for the eye, also for the colour-blind.
const COLOURS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];

/** The colour of a share between 0 and 1. */
export function colourOf(share) {
  const place = Math.min(1, Math.max(0, share)) * (COLOURS.length - 1);
  const low = Math.min(COLOURS.length - 2, Math.floor(place));
  return COLOURS[low].map((value, each) => value + (COLOURS[low + 1][each] - value) * (place - low));
}

const key = (tile) => `${tile.level}/${tile.row}/${tile.column}`;

/** Tiles of one kind: `address` gives that of a tile, `decode` makes what is kept of an answer. */
class Loader {
  constructor(address, decode, changed, failed) {
    Object.assign(this, { address, decode, changed, failed, kept: new Map(), loading: new Map(), refused: new Set() });
  }

  get(tile) {
    const name = key(tile), found = this.kept.get(name);
    if (found) { this.kept.delete(name); this.kept.set(name, found); }
    return found;
  }

  /** Load what is wanted, in order; what is not wanted any more is given up. */
  want(tiles) {
    const wanted = new Set(tiles.map(key));
    for (const [name, control] of this.loading) {
      if (!wanted.has(name)) { control.abort(); this.loading.delete(name); }
    }
    for (const tile of tiles) {
      const name = key(tile);
      if (this.loading.size >= AT_ONCE) { break; }
      if (!this.kept.has(name) && !this.loading.has(name) && !this.refused.has(name)) { this.load(name); }
    }
  }

  async load(name) {
    const control = new AbortController();
    this.loading.set(name, control);
    try {
      const answer = await fetch(this.address(name), { signal: control.signal });
      if (!answer.ok) { throw new Error((await answer.json()).error); }
      const content = await this.decode(answer);
      if (this.loading.get(name) !== control) { return; }
      this.kept.set(name, content);
      while (this.kept.size > MOST_TILES) { this.kept.delete(this.kept.keys().next().value); }
    } catch (error) {
      if (control.signal.aborted) { return; }
      this.refused.add(name);
      this.failed(error.message);
    } finally {
      if (this.loading.get(name) === control) { this.loading.delete(name); }
    }
    this.changed();
  }

  clear() {
    for (const control of this.loading.values()) { control.abort(); }
    this.loading.clear(); this.kept.clear(); this.refused.clear();
  }

  get busy() { return this.loading.size > 0; }
}

/** The image and the nuclei over it. `style` says how nuclei are drawn; a new object redraws them. */
export class Layers {
  constructor(viewport, changed, failed) {
    Object.assign(this, { viewport, number: 0, levels: 1, channels: "", style: {}, hasPicture: false, hasLabels: false });
    const picture = (name) => `image/${this.number}/picture/${name}?channels=${encodeURIComponent(this.channels)}`;
    const bitmap = async (answer) => createImageBitmap(await answer.blob());
    const labels = async (answer) => ({ labels: new Uint32Array(await answer.arrayBuffer()), style: null, canvas: null });
    this.picture = new Loader(picture, bitmap, changed, failed);
    this.nuclei = new Loader((name) => `image/${this.number}/labels/${name}`, labels, changed, failed);
    this.cells = new Loader((name) => `image/${this.number}/cells/${name}`, labels, changed, failed);
  }

  show(number, facts) {
    for (const each of [this.picture, this.nuclei, this.cells]) { each.clear(); }
    Object.assign(this, { number, levels: facts.levels, hasPicture: facts.channels.length > 0, hasLabels: facts.labels });
  }

  setChannels(text) {
    if (text !== this.channels) { this.channels = text; this.picture.clear(); }
  }

  get busy() { return this.picture.busy || this.nuclei.busy || this.cells.busy; }

  /** Whether everything that is seen is there at its full sharpness. */
  get complete() {
    const tiles = this.viewport.tiles(this.viewport.level(this.levels), SIDE);
    const there = (loader) => tiles.every((tile) => loader.kept.has(key(tile)) || loader.refused.has(key(tile)));
    return (!this.hasPicture || there(this.picture)) && (!this.needsLabels || there(this.nuclei));
  }

  get needsLabels() { return this.hasLabels && !this.style.hidden && (this.style.outlines || this.style.fill || this.style.cells); }

  draw(context, sharp) {
    const { viewport } = this;
    context.setTransform(sharp, 0, 0, sharp, 0, 0);
    context.clearRect(0, 0, viewport.width, viewport.height);
    context.imageSmoothingEnabled = viewport.zoom < 2;
    const level = viewport.level(this.levels);
    const seen = viewport.tiles(level, SIDE);
    if (this.hasPicture) { this.paint(context, this.picture, seen, (found) => found); }
    context.imageSmoothingEnabled = false;
    if (this.needsLabels && this.style.cells) { this.paint(context, this.cells, seen, (found) => this.overlay(found, true)); }
    if (this.needsLabels) { this.paint(context, this.nuclei, seen, (found) => this.overlay(found, false)); }
    if (this.hasPicture) { this.picture.want([...viewport.tiles(this.levels - 1, SIDE), ...seen]); }
    if (this.hasLabels) { this.nuclei.want(seen); } // also where none are drawn: a click needs them
    if (this.hasLabels && this.style.cells) { this.cells.want(seen); }
  }

  /** Draw tiles; in place of one that is not there, the part of a coarser one. */
  paint(context, loader, tiles, sourceOf) {
    for (const tile of tiles) {
      for (let up = 0; tile.level + up < this.levels; up++) {
        const above = { level: tile.level + up, row: tile.row >> up, column: tile.column >> up };
        const found = loader.get(above);
        if (!found) { continue; }
        const source = sourceOf(found);
        const part = SIDE >> up, side = part || 1;
        const left = (tile.column * SIDE >> up) - above.column * SIDE, top = (tile.row * SIDE >> up) - above.row * SIDE;
        const width = Math.min(side, source.width - left), height = Math.min(side, source.height - top);
        if (width <= 0 || height <= 0) { break; }
        const size = 2 ** above.level, from = this.viewport.toScreen((above.column * SIDE + left) * size, (above.row * SIDE + top) * size);
        const zoom = this.viewport.zoom * size;
        context.drawImage(source, left, top, width, height, from.x, from.y, width * zoom, height * zoom);
        break;
      }
    }
  }

  /** The nuclei of a tile, drawn anew if the style is another. */
  overlay(found, cells) {
    if (found.style !== this.style) {
      found.canvas ??= new OffscreenCanvas(SIDE, SIDE);
      found.canvas.getContext("2d").putImageData(drawLabels(found.labels, this.style, cells), 0, 0);
      found.style = this.style;
    }
    return found.canvas;
  }

  /** The label at a place of the image, from the finest tile that is there. */
  labelAt(x, y) {
    for (let level = 0; level < this.levels; level++) {
      const [column, row] = [Math.floor(x / 2 ** level), Math.floor(y / 2 ** level)];
      const found = this.nuclei.kept.get(`${level}/${Math.floor(row / SIDE)}/${Math.floor(column / SIDE)}`);
      if (found) { return found.labels[(row % SIDE + MARGIN) * ROW + (column % SIDE) + MARGIN]; }
    }
    return 0;
  }
}

/** Draw labels: the inner outline, the fill, the chosen ones brighter. Values out of the range are faint. */
export function drawLabels(labels, style, cells) {
  const image = new ImageData(SIDE, SIDE);
  const pixels = new Uint32Array(image.data.buffer); // little-endian, as every machine with a browser
  const rgba = ([red, green, blue], alpha) => ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  const fillAlpha = style.fill || cells ? 255 * (cells ? 0.25 : 0.45) : 0;
  const colours = new Map();
  const colour = (label) => {
    let found = colours.get(label);
    if (!found) {
      const chosen = !style.range || (style.range.values[label] >= style.range.low && style.range.values[label] <= style.range.high);
      const strength = chosen ? 1 : 0.18;
      let plain = cells ? CELL : OUTLINE;
      if (!cells && style.colours) {
        const value = style.colours.values[label];
        plain = Number.isFinite(value) ? colourOf((value - style.colours.low) / (style.colours.high - style.colours.low || 1)) : [128, 128, 128];
      }
      const picked = label === style.picked && !cells;
      const tint = (picked ? PICKED : plain).map(Math.round);
      const fill = picked ? 110 : fillAlpha * strength + (style.range && chosen && !cells ? 60 : 0);
      const line = style.outlines || picked || cells ? 255 * (picked ? 1 : strength) : fill;
      found = [rgba(tint, Math.round(Math.min(255, line))), rgba(tint, Math.round(Math.min(255, fill)))];
      colours.set(label, found);
    }
    return found;
  };
  for (let row = 0, place = 0, there = ROW + 1; row < SIDE; row++, there += 2 * MARGIN) {
    for (let column = 0; column < SIDE; column++, place++, there++) {
      const label = labels[there];
      if (!label) { continue; }
      const inside = labels[there - 1] === label && labels[there + 1] === label && labels[there - ROW] === label && labels[there + ROW] === label;
      pixels[place] = colour(label)[inside ? 1 : 0];
    }
  }
  return image;
}
