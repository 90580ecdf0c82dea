// What dense outputs mean: boxes, peaks and points; the arithmetic of `fovea.decoding`, in the same order.
//
// Maps are Float32Array (K, h, w); a box is [x0, y0, x1, y1] in pixels of the input, half-open.

import { clipped, keptOf, leastLogit, suppressed } from "./suppression.js";

const LARGEST = 8; // of the logarithm of a side, in cells
const LARGEST_DELTA = Math.log(1000 / 16); // of the logarithm of a side, in sides of its anchor
const PARTS = 5; // of a box in a grid: x, y, w, h, confidence

/** Returns {index, box, score} of the centre form, the best first; `dims` are [1, K + 4, h, w]. */
export function fromCentres(data, dims, { stride, most, least, overlap }) {
  const [, channels, h, w] = dims;
  const [K, cells] = [channels - 4, h * w];
  const found = peaks(data, [K, h, w], most, leastLogit(least)).map((at) => {
    const cell = at % cells;
    const [x, y] = [(cell % w) + 0.5, Math.floor(cell / w) + 0.5];
    const [left, top, right, bottom] = [0, 1, 2, 3].map((side) => bounded(data[(K + side) * cells + cell]));
    const box = [x - left, y - top, x + right, y + bottom].map((side) => side * stride);
    return { index: Math.floor(at / cells), box: clipped(box, h * stride, w * stride), score: sigmoid(data[at]) };
  });
  return suppressed(found, overlap);
}

/** Returns {index, box, score} of logits and deltas of anchors, the best first; `dims` are [1, A, K + 4]. */
export function fromAnchors(data, dims, { levels, size: [H, W], most, candidates, least, overlap }) {
  const K = dims[2] - 4;
  const logits = new Float32Array(dims[1] * K);
  for (let own = 0; own < dims[1]; own++) logits.set(data.subarray(own * (K + 4), own * (K + 4) + K), own * K);
  const boxOf = (own) => {
    const [x0, y0, x1, y1] = anchorAt(levels, own);
    const [dx, dy, dw, dh] = data.subarray(own * (K + 4) + K, (own + 1) * (K + 4));
    const [w, h] = [x1 - x0, y1 - y0];
    const [x, y] = [x0 + w / 2 + dx * w, y0 + h / 2 + dy * h];
    const [right, down] = [(sideOf(dw) * w) / 2, (sideOf(dh) * h) / 2];
    return clipped([x - right, y - down, x + right, y + down], H, W);
  };
  const found = keptOf(boxOf, logits, K, { most, candidates, least: leastLogit(least), overlap });
  return found.map((one) => ({ ...one, score: sigmoid(one.score) }));
}

function sideOf(logarithm) {
  return Math.exp(Math.min(logarithm, LARGEST_DELTA));
}

/** Returns the anchor with a number: map by map, place by place, shape by shape. */
function anchorAt(levels, own) {
  let left = own;
  for (const { cells: [rows, columns], step: [down, right], shapes } of levels) {
    const many = rows * columns * shapes.length;
    if (left < many) {
      const cell = Math.floor(left / shapes.length);
      const [x, y] = [(cell % columns) * right, Math.floor(cell / columns) * down];
      return shapes[left % shapes.length].map((side, at) => Math.fround(side + (at % 2 ? y : x)));
    }
    left -= many;
  }
  throw new Error("There are more outputs than anchors.");
}

/** Returns {index, box, score} of the first YOLO, the best first; `dims` are [1, 5 B + K, h, w]. */
export function fromGrid(data, dims, { size: [H, W], boxes, kept }) {
  const [, channels, h, w] = dims;
  const [K, cells] = [channels - boxes * PARTS, h * w];
  const scores = new Float64Array(boxes * cells * K);
  for (let own = 0; own < boxes * cells; own++) {
    const [b, cell] = [Math.floor(own / cells), own % cells];
    const sure = data[(b * PARTS + 4) * cells + cell];
    for (let k = 0; k < K; k++) scores[own * K + k] = sure * data[(boxes * PARTS + k) * cells + cell];
  }
  const boxOf = (own) => {
    const [b, cell] = [Math.floor(own / cells), own % cells];
    const [x, y, wide, high] = [0, 1, 2, 3].map((part) => data[(b * PARTS + part) * cells + cell]);
    const middle = [(x + (cell % w)) / w, (y + Math.floor(cell / w)) / h];
    return around(middle, [wide ** 2, high ** 2], H, W);
  };
  return keptOf(boxOf, scores, K, kept);
}

/** Returns {index, box, score} of the second YOLO, the best first; `dims` are [1, B (5 + K), h, w]. */
export function fromPriors(data, dims, { size: [H, W], priors, kept }) {
  const [, channels, h, w] = dims;
  const [each, cells] = [channels / priors.length, h * w];
  const K = each - PARTS;
  const valueAt = (own, part) => data[(Math.floor(own / cells) * each + part) * cells + (own % cells)];
  const scores = new Float64Array(priors.length * cells * K);
  for (let own = 0; own < priors.length * cells; own++) {
    const shares = softmax(Array.from({ length: K }, (_, k) => valueAt(own, PARTS + k)));
    const sure = sigmoid(valueAt(own, 4));
    for (let k = 0; k < K; k++) scores[own * K + k] = sure * shares[k];
  }
  const boxOf = (own) => {
    const [cell, prior] = [own % cells, priors[Math.floor(own / cells)]];
    const [x, y] = [0, 1].map((part) => sigmoid(valueAt(own, part)));
    const sides = [2, 3].map((part) => bounded(valueAt(own, part)));
    const middle = [(x + (cell % w)) / w, (y + Math.floor(cell / w)) / h];
    return around(middle, [sides[0] * (prior[0] / w), sides[1] * (prior[1] / h)], H, W);
  };
  return keptOf(boxOf, scores, K, kept);
}

/** Returns the one {index, box, score} of logits and corners; `dims` are [1, K + 4]. */
export function oneBox(data, dims, { size: [H, W] }) {
  const K = dims[1] - 4;
  const shares = softmax([...data.subarray(0, K)]);
  const [xa, ya, xb, yb] = data.subarray(K, K + 4);
  const corners = [Math.min(xa, xb) * W, Math.min(ya, yb) * H, Math.max(xa, xb) * W, Math.max(ya, yb) * H];
  const index = largest(shares);
  return [{ index, box: clipped(corners, H, W), score: shares[index] }];
}

/** Returns [x, y, 1] of each point; `dims` are [1, 2 P]. */
export function fromCoordinates(data, dims, { size: [H, W] }) {
  const inside = (share, side) => Math.min(Math.max(share, 0), 1) * side;
  return Array.from({ length: dims[1] / 2 }, (_, at) => [inside(data[2 * at], W), inside(data[2 * at + 1], H), 1]);
}

/** Returns the box around a middle, both in sides of the input. */
function around([x, y], [wide, high], H, W) {
  const box = [(x - wide / 2) * W, (y - high / 2) * H, (x + wide / 2) * W, (y + high / 2) * H];
  return clipped(box, H, W);
}

function softmax(logits) {
  const top = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - top));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

/** Returns [x, y, height] of the highest place of each heat map; `dims` are [1, P, h, w]. */
export function fromHeatMaps(data, dims, { stride }) {
  const [, P, h, w] = dims;
  return Array.from({ length: P }, (_, point) => {
    const map = data.subarray(point * h * w, (point + 1) * h * w);
    const at = largest(map);
    const [x, y] = [at % w, Math.floor(at / w)];
    const dx = x > 0 && x < w - 1 ? Math.sign(map[at + 1] - map[at - 1]) : 0;
    const dy = y > 0 && y < h - 1 ? Math.sign(map[at + w] - map[at - w]) : 0;
    return [(x + 0.5 + dx / 4) * stride, (y + 0.5 + dy / 4) * stride, map[at]];
  });
}

/** Returns where the `most` highest cells are that are `least` at least and no neighbour is above, the best first. */
export function peaks(maps, [K, h, w], most, least) {
  const places = [];
  for (let at = 0; at < K * h * w; at++) {
    if (maps[at] >= least && isPeak(maps, at, h, w)) places.push(at);
  }
  return places.sort((a, b) => maps[b] - maps[a] || a - b).slice(0, most);
}

function isPeak(maps, at, h, w) {
  const [x, y] = [at % w, Math.floor(at / w) % h];
  for (let v = y > 0 ? -1 : 0; v <= (y < h - 1 ? 1 : 0); v++) {
    for (let u = x > 0 ? -1 : 0; u <= (x < w - 1 ? 1 : 0); u++) if (maps[at + v * w + u] > maps[at]) return false;
  }
  return true;
}

function bounded(logarithm) {
  return Math.exp(Math.min(Math.max(logarithm, -LARGEST), LARGEST));
}

function sigmoid(logit) {
  const small = Math.exp(-Math.abs(logit));
  return (logit >= 0 ? 1 : small) / (1 + small);
}

/** Returns where the first of the largest values is. */
export function largest(values) {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}
