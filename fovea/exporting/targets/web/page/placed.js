// What lies on an image: a mask, boxes or points in the pixels of the image, of outputs in those of the input.
//
// `places` of the page's configuration says which, and how outputs are decoded: `Placement.on_page` of the package.

import { fromAnchors, fromCentres, fromCoordinates, fromGrid, fromHeatMaps, fromPriors, oneBox } from "./decoding.js";
import { clipped } from "./suppression.js";
import { framed, kept } from "./resize.js";

const VOID = 255;
const BOXES = { centres: fromCentres, anchors: fromAnchors, yolo: fromGrid, yolo2: fromPriors, one: oneBox };
const POINTS = { "heat maps": fromHeatMaps, coordinates: fromCoordinates };

/** Returns the answer {kind, rows, chosen, value, size, ...} for outputs by name, of an image {width, height}. */
export function placed(config, outputs, size) {
  const answer = { mask: maskOf, boxes: boxesOf, points: pointsOf }[config.places.kind](config, outputs, size);
  return { kind: config.places.kind, value: null, size, ...answer };
}

/** Returns the window of an image that the input shows, and where it lies in the input: x0, y0, x1, y1 each. */
export function windows({ width: w, height: h }, { size: [H, W], fit, crop }) {
  const whole = [0, 0, w, h];
  if (fit === "letterbox") return { given: whole, made: framed(w, h, W, H) };
  const cut = fit === "crop" && (w !== W || h !== H);
  return { given: cut ? kept(w, h, W, H, crop ?? 1) : whole, made: [0, 0, W, H] };
}

/** Returns numbers x, y, x, y, ... of the input as those of the image. */
export function inImage(numbers, { given, made }) {
  return numbers.map((value, at) => {
    const axis = at % 2;
    const scale = (given[axis + 2] - given[axis]) / (made[axis + 2] - made[axis]);
    return (value - made[axis]) * scale + given[axis];
  });
}

function boxesOf(config, { logits }, size) {
  const { places, classes, preprocess } = config;
  const frame = windows(size, preprocess);
  const rows = BOXES[places.form](logits.data, logits.dims, places.decoder).map(({ index, box, score }) => {
    const own = clipped(inImage(box, frame), size.height, size.width);
    return { name: classes[index], index, box: own, probability: score, colour: places.colours[index] };
  });
  return { ...told(rows, places.least), all: rows };
}

/** Returns what of boxes is told from a score on, in rows and words. */
export function told(all, least) {
  const rows = all.filter((row) => row.probability >= least);
  const counts = new Map();
  for (const { name } of rows) counts.set(name, (counts.get(name) ?? 0) + 1);
  const words = [...counts].sort((a, b) => b[1] - a[1]).map(([name, count]) => `${count} x ${name}`);
  const numbers = rows.flatMap((row) => [row.index, ...row.box, row.probability]);
  return { rows, chosen: rows, numbers, words: words.join(", ") || "nothing" };
}

function pointsOf(config, { logits }, size) {
  const { places, classes, preprocess } = config;
  const frame = windows(size, preprocess);
  const rows = POINTS[places.form](logits.data, logits.dims, places.decoder).map(([x, y, height], index) => {
    const at = inImage([x, y], frame);
    return { name: classes[index], index, at, probability: height, colour: places.colours[index] };
  });
  const numbers = rows.flatMap((row) => [...row.at, row.probability]);
  return { rows, chosen: rows, numbers, words: `${rows.length} point${rows.length === 1 ? "" : "s"}` };
}

function maskOf(config, { mask }, size) {
  const { places, classes, preprocess } = config;
  const frame = windows(size, preprocess);
  const shown = inFrame(mask, preprocess.size, 0, VOID);
  const sure = inFrame(mask, preprocess.size, 1, 0);
  const counts = countsInImage({ shown, sure, classes: classes.length }, preprocess.size, frame, size);
  const known = Math.max(counts.subarray(0, classes.length).reduce((a, b) => a + b, 0), 1);
  const numbers = classes.map((_, index) => counts[index] / known);
  const rows = classes
    .map((name, index) => ({ name, index, probability: numbers[index], colour: places.colours[index] }))
    .filter((row) => row.probability > 0)
    .sort((a, b) => b.probability - a.probability || a.index - b.index);
  const layer = { classes: shown, size: preprocess.size, colours: places.colours, frame };
  return { rows, chosen: [], numbers, layer, words: rows[0]?.name ?? "nothing known" };
}

/** Returns a plane of the mask as (H, W) of the input: maps of valid convolutions lie in its middle. */
function inFrame({ data, dims: [, , h, w] }, [H, W], plane, around) {
  const shown = new Uint8Array(H * W).fill(around);
  const [top, left] = [Math.floor((H - h) / 2), Math.floor((W - w) / 2)];
  for (let y = 0; y < h; y++) {
    const from = (plane * h + y) * w;
    shown.set(data.subarray(from, from + w), (top + y) * W + left);
  }
  return shown;
}

/** Returns how many pixels of the image each class (256) has; bilinear means decide, as in `smooth` of the package. */
function countsInImage({ shown, sure, classes }, [H, W], { given, made }, { width, height }) {
  const columns = between(width, [made[0], made[2]], [given[0], given[2]], W);
  const rows = between(height, [made[1], made[3]], [given[1], given[3]], H);
  const ahead = Float32Array.from(shown, (index, at) => (index === VOID ? 0 : lead(sure[at], classes)));
  const values = [...new Set(shown)].filter((index) => index !== VOID).sort((a, b) => a - b);
  const counts = new Float64Array(VOID + 1);
  const lines = values.map(() => new Float32Array(W));
  for (const row of rows) {
    values.forEach((value, number) => {
      for (let x = 0; x < W; x++) {
        const [low, high] = [row.low * W + x, row.high * W + x].map((at) => (shown[at] === value ? ahead[at] : 0));
        lines[number][x] = mixed(low, high, row.share);
      }
    });
    for (const column of columns) {
      let winner = shown[row.pixel * W + column.pixel];
      let best = 0;
      for (let number = 0; winner !== VOID && number < values.length; number++) {
        const found = mixed(lines[number][column.low], lines[number][column.high], column.share);
        if (found > best) [best, winner] = [found, values[number]];
      }
      counts[winner]++;
    }
  }
  return counts;
}

/** Returns by how much a class is ahead of the others, at 255 times its probability; in single precision. */
function lead(sure, classes) {
  const times = Math.fround(classes * Math.fround(sure / 255));
  return Math.max(Math.fround(Math.fround(times - 1) / Math.max(1, classes - 1)), Math.fround(1e-6));
}

function mixed(low, high, share) {
  return Math.fround(low + Math.fround(Math.fround(high - low) * share));
}

/** Returns for each pixel of an image which of `limit` input pixels it lies in, and which two it lies between. */
function between(side, made, given, limit) {
  const scale = (made[1] - made[0]) / (given[1] - given[0]);
  const found = [];
  for (let at = 0; at < side; at++) {
    const origin = (at + 0.5 - given[0]) * scale + made[0];
    const pixel = Math.floor(origin);
    const inside = at + 0.5 > given[0] && at + 0.5 < given[1] && pixel >= 0 && pixel < limit;
    if (inside) found.push({ pixel, origin: origin - 0.5 });
  }
  const [least, most] = [found[0]?.pixel, found.at(-1)?.pixel];
  return found.map(({ pixel, origin }) => {
    const place = Math.min(Math.max(origin, least), most);
    const low = Math.floor(place);
    return { pixel, low, high: Math.min(low + 1, most), share: Math.fround(place - low) };
  });
}
