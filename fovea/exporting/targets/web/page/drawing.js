// A drawing: strokes on a square, given to the network centred and as large as the frame, where that is wished.

const SIDE = 280;
const MARGIN = 0.12;

/** Strokes on a <canvas>; `changed()` is called after each change. Ink is light on dark, or the other way round. */
export class Drawing {
  constructor(canvas, { lightInk, changed }) {
    [canvas.width, canvas.height] = [SIDE, SIDE];
    this.canvas = canvas;
    this.lightInk = lightInk;
    this.changed = changed;
    this.strokes = [];
    this.width = 0.09;
    this.centred = true;
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.extend(event));
    this.paint(canvas, (point) => point);
  }

  get isEmpty() {
    return this.strokes.length === 0;
  }

  begin(event) {
    if (event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.strokes.push([this.placeOf(event)]);
    this.repaint();
  }

  extend(event) {
    if (!(event.buttons & 1) || this.isEmpty) return;
    this.strokes.at(-1).push(this.placeOf(event));
    this.repaint();
  }

  placeOf(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  undo() {
    this.strokes.pop();
    this.repaint();
  }

  clear() {
    this.strokes = [];
    this.repaint();
  }

  repaint() {
    this.paint(this.canvas, (point) => point);
    this.changed();
  }

  /** Returns a canvas with the drawing as the network gets it. */
  taken() {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [SIDE, SIDE];
    this.paint(canvas, this.centred ? this.centring() : (point) => point);
    return canvas;
  }

  /** Returns the map of points that lays the middle of the strokes into that of the frame, and lets them fill it. */
  centring() {
    const points = this.strokes.flat();
    const [low, high] = [Math.min, Math.max].map((most) => [0, 1].map((axis) => most(...points.map((p) => p[axis]))));
    const extent = Math.max(high[0] - low[0], high[1] - low[1], 0.1) + this.width;
    const scale = (1 - 2 * MARGIN + this.width) / extent;
    return (point) => point.map((value, axis) => 0.5 + (value - (low[axis] + high[axis]) / 2) * scale);
  }

  paint(canvas, placed) {
    const context = canvas.getContext("2d");
    context.fillStyle = this.lightInk ? "#000" : "#fff";
    context.fillRect(0, 0, SIDE, SIDE);
    context.strokeStyle = this.lightInk ? "#fff" : "#000";
    [context.lineWidth, context.lineCap, context.lineJoin] = [this.width * SIDE, "round", "round"];
    for (const stroke of this.strokes) {
      context.beginPath();
      for (const [x, y] of stroke.map(placed)) context.lineTo(x * SIDE, y * SIDE);
      const [x, y] = placed(stroke[0]);
      if (stroke.length === 1) context.lineTo(x * SIDE + 0.01, y * SIDE);
      context.stroke();
    }
  }
}
