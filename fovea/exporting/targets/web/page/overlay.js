// Masks, boxes and points over the image that they were found in, on a canvas of its shape.

const LONGER_SIDE = 1200; // pixels of the canvas, the longer side
const LETTERS = 26; // pixels of its letters
const PAINTERS = { mask: paintMask, boxes: paintBoxes, points: paintPoints };

/** Draws an answer of `placed` on a canvas; `options` are {opacity, names}; `mirrored` as the image is shown. */
export function overlaid(canvas, answer, options, mirrored = false) {
  const { width, height } = answer.size;
  const scale = LONGER_SIDE / Math.max(width, height);
  [canvas.width, canvas.height] = [width, height].map((side) => Math.max(1, Math.round(side * scale)));
  canvas.hidden = false;
  const context = canvas.getContext("2d");
  context.font = `600 ${LETTERS}px system-ui, sans-serif`;
  context.textBaseline = "top";
  const place = ([x, y]) => [scale * (mirrored ? width - x : x), scale * y];
  PAINTERS[answer.kind](context, answer, { ...options, place });
}

function paintMask(context, { layer }, { opacity, place }) {
  const { given, made } = layer.frame;
  const [left, top] = place([given[0], given[1]]);
  const [right, bottom] = place([given[2], given[3]]);
  context.globalAlpha = opacity;
  context.imageSmoothingEnabled = false;
  context.translate(left, top);
  context.scale(Math.sign(right - left), 1); // mirrored images are painted from the right
  const source = [made[0], made[1], made[2] - made[0], made[3] - made[1]];
  context.drawImage(painted(layer), ...source, 0, 0, Math.abs(right - left), bottom - top);
  context.resetTransform();
}

/** Returns a canvas of the input's size in the colours of the classes; what is void stays clear. */
function painted({ classes, size: [H, W], colours }) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [W, H];
  const image = new ImageData(W, H);
  for (let i = 0; i < classes.length; i++) {
    if (classes[i] < colours.length) image.data.set([...colours[classes[i]], 255], 4 * i);
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

function paintBoxes(context, { rows }, { names, place }) {
  context.lineWidth = 4;
  for (const { name, box, probability, colour } of [...rows].reverse()) { // the best last, on top
    const corners = [place([box[0], box[1]]), place([box[2], box[3]])];
    const [left, right] = corners.map(([x]) => x).sort((a, b) => a - b);
    const [top, bottom] = corners.map(([, y]) => y);
    context.strokeStyle = css(colour);
    context.strokeRect(left, top, right - left, bottom - top);
    if (names) label(context, `${name} ${Math.round(100 * probability)} %`, [left, top], colour);
  }
}

function paintPoints(context, { rows }, { names, place }) {
  for (const { name, at, colour } of rows) {
    const [x, y] = place(at);
    context.beginPath();
    context.arc(x, y, 8, 0, 2 * Math.PI);
    context.fillStyle = css(colour);
    context.fill();
    [context.lineWidth, context.strokeStyle] = [2, "#000"];
    context.stroke();
    if (names) label(context, name, [x + 10, y - LETTERS / 2], colour);
  }
}

function label(context, text, [x, y], colour) {
  const width = context.measureText(text).width + 8;
  const left = Math.max(0, Math.min(x, context.canvas.width - width));
  const top = Math.max(0, Math.min(y, context.canvas.height - LETTERS - 4));
  context.fillStyle = css(colour);
  context.fillRect(left, top, width, LETTERS + 4);
  context.fillStyle = isBright(colour) ? "#000" : "#fff";
  context.fillText(text, left + 4, top + 2);
}

/** Returns a colour [r, g, b] 0..255 as style sheets have it. */
export function css([r, g, b]) {
  return `rgb(${r} ${g} ${b})`;
}

function isBright([r, g, b]) {
  return 0.3 * r + 0.59 * g + 0.11 * b > 140;
}
