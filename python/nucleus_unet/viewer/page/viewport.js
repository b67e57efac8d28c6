// Which part of the image is seen: its middle in pixels of the image, and the zoom in pixels of the screen.

const LARGEST_ZOOM = 40;

export class Viewport {
  constructor(canvas) {
    this.canvas = canvas;
    this.set(1, 1);
  }

  /** Show an image of a size, all of it. */
  set(width, height) {
    Object.assign(this, { imageWidth: width, imageHeight: height });
    this.showAll();
  }

  get width() { return Math.max(1, this.canvas.clientWidth); }
  get height() { return Math.max(1, this.canvas.clientHeight); }

  get zoomOfAll() { return Math.min(this.width / this.imageWidth, this.height / this.imageHeight); }

  showAll() {
    Object.assign(this, { x: this.imageWidth / 2, y: this.imageHeight / 2, zoom: this.zoomOfAll });
  }

  /** Zoom by a factor; what is at a point of the screen stays there. */
  zoomBy(factor, px = this.width / 2, py = this.height / 2) {
    const before = this.toImage(px, py);
    const least = Math.min(1, this.zoomOfAll / 2);
    this.zoom = Math.min(LARGEST_ZOOM, Math.max(least, this.zoom * factor));
    const after = this.toImage(px, py);
    this.moveTo(this.x + before.x - after.x, this.y + before.y - after.y);
  }

  moveBy(dx, dy) { this.moveTo(this.x - dx / this.zoom, this.y - dy / this.zoom); }

  moveTo(x, y) {
    this.x = Math.min(this.imageWidth, Math.max(0, x));
    this.y = Math.min(this.imageHeight, Math.max(0, y));
  }

  toImage(px, py) {
    return { x: this.x + (px - this.width / 2) / this.zoom, y: this.y + (py - this.height / 2) / this.zoom };
  }

  toScreen(x, y) {
    return { x: (x - this.x) * this.zoom + this.width / 2, y: (y - this.y) * this.zoom + this.height / 2 };
  }

  /** The level whose pixels are no larger than those of the screen. */
  level(count) {
    const sharp = Math.min(2, window.devicePixelRatio || 1);
    return Math.max(0, Math.min(count - 1, Math.floor(Math.log2(1 / (this.zoom * sharp)) + 0.01)));
  }

  /** The tiles of a level that are seen, those in the middle first. */
  tiles(level, side) {
    const size = side * 2 ** level;
    const [first, last] = [this.toImage(0, 0), this.toImage(this.width, this.height)];
    const [rows, columns] = [Math.ceil(this.imageHeight / size), Math.ceil(this.imageWidth / size)];
    const found = [];
    for (let row = Math.max(0, Math.floor(first.y / size)); row <= Math.min(rows - 1, Math.floor(last.y / size)); row++) {
      for (let column = Math.max(0, Math.floor(first.x / size)); column <= Math.min(columns - 1, Math.floor(last.x / size)); column++) {
        found.push({ level, row, column });
      }
    }
    const distance = (tile) => Math.hypot((tile.row + 0.5) * size - this.y, (tile.column + 0.5) * size - this.x);
    return found.sort((one, other) => distance(one) - distance(other));
  }
}
