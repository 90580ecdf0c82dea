// What dense outputs mean: boxes, peaks and points; the arithmetic of `fovea.decoding`, in the same order.
//
// Maps are Float32Array (K, h, w); a box is [x0, y0, x1, y1] in pixels of the input, half-open.

const LARGEST = 8; // of the logarithm of a side, in cells

/** Returns {index, box, score} of the centre form, the best first; `dims` are [1, K + 4, h, w]. */
export function fromCentres(data, dims, { stride, most, least, overlap }) {
  const [, channels, h, w] = dims;
  const [K, cells] = [channels - 4, h * w];
  const found = peaks(data, [K, h, w], most, Math.fround(Math.log(least) - Math.log1p(-least))).map((at) => {
    const cell = at % cells;
    const [x, y] = [(cell % w) + 0.5, Math.floor(cell / w) + 0.5];
    const [left, top, right, bottom] = [0, 1, 2, 3].map((side) => bounded(data[(K + side) * cells + cell]));
    const box = [x - left, y - top, x + right, y + bottom].map((side) => side * stride);
    return { index: Math.floor(at / cells), box: clipped(box, h * stride, w * stride), score: sigmoid(data[at]) };
  });
  return suppressed(found, overlap);
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

/** Returns which of {index, box, score} stay, the best first: greedy, each class by itself. */
export function suppressed(found, overlap) {
  const order = found.map((_, at) => at).sort((a, b) => found[b].score - found[a].score || a - b);
  const stays = [];
  for (const at of order) {
    const mine = found[at];
    if (stays.every((one) => one.index !== mine.index || shared(one.box, mine.box) <= overlap)) stays.push(mine);
  }
  return stays;
}

/** Returns the intersection over union of two boxes, 0 where both are empty. */
export function shared(a, b) {
  const common = area([Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3])]);
  const whole = area(a) + area(b) - common;
  return whole > 0 ? common / whole : 0;
}

function area([x0, y0, x1, y1]) {
  return Math.max(x1 - x0, 0) * Math.max(y1 - y0, 0);
}

/** Returns a box cut at the edges of an image. */
export function clipped(box, height, width) {
  return box.map((side, at) => Math.min(Math.max(side, 0), at % 2 ? height : width));
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
