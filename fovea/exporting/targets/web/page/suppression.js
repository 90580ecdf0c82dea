// Which of the boxes that were found stay; the arithmetic of `fovea.decoding.boxes`, in the same order.
//
// A box is [x0, y0, x1, y1] in pixels, half-open.

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

/** Returns the score from which on boxes count as a logit, in the 32 bits that outputs have. */
export function leastLogit(least) {
  return Math.fround(Math.log(least) - Math.log1p(-least));
}

/**
 * Returns {index, box, score} of boxes with a score for each class, the best first.
 *
 * `scores` are of box 0 for each of K classes, then of box 1, ...; `boxOf(own)` gives the box with this number.
 */
export function keptOf(boxOf, scores, K, { most, candidates, least, overlap }) {
  const places = [];
  for (let at = 0; at < scores.length; at++) if (scores[at] >= least) places.push(at);
  places.sort((a, b) => scores[b] - scores[a] || a - b);
  const found = places.slice(0, candidates).map((at) => {
    return { index: at % K, box: boxOf(Math.floor(at / K)), score: scores[at] };
  });
  return suppressed(found, overlap).slice(0, most);
}
