// From pixels of any size to those that the network sees: the same bytes as `fovea.preprocess` makes with Pillow.
//
// A source is {width, height, channels, rows(top, count)}: `rows` returns a Uint8Array (count, width, channels).
// Sources are read in strips, so that a large photograph is never held as a whole.

const STRIP_ROWS = 128;
const WEIGHT_BITS = 22; // weights are whole numbers of 2 ** -22, so that sums of 255 times a weight fit 32 bits
const HALF = 2 ** (WEIGHT_BITS - 1);

/** Returns (H, W, C) uint8 of a source, as the preprocessing of a card says. */
export function fitted(source, preprocess) {
  const [H, W] = preprocess.size;
  const { width: w, height: h, channels: C } = source;
  if (w === W && h === H) return source.rows(0, H);
  if (preprocess.fit === "squash") return resized(source, [0, 0, w, h], W, H);
  if (preprocess.fit === "crop") return resized(source, kept(w, h, W, H, preprocess.crop ?? 1), W, H);
  const [left, top, right, bottom] = framed(w, h, W, H);
  const inner = resized(source, [0, 0, w, h], right - left, bottom - top);
  const whole = new Uint8Array(H * W * C).fill(preprocess.fill);
  const line = (right - left) * C;
  for (let y = top; y < bottom; y++) {
    whole.set(inner.subarray((y - top) * line, (y - top + 1) * line), (y * W + left) * C);
  }
  return whole;
}

/** Returns what `crop` takes of an image, as left, top, right, bottom: the share `keep` of the shorter side. */
export function kept(w, h, W, H, keep) {
  const scale = keep * Math.min(w / W, h / H);
  const left = Math.max(0, (w - W * scale) / 2);
  const top = Math.max(0, (h - H * scale) / 2);
  return [left, top, w - left, h - top];
}

/** Returns where `letterbox` puts an image, as left, top, right, bottom in pixels. */
export function framed(w, h, W, H) {
  const scale = Math.max(w / W, h / H);
  const [inner_w, inner_h] = [w, h].map((side) => Math.max(1, halfToEven(side / scale)));
  const [left, top] = [Math.floor((W - inner_w) / 2), Math.floor((H - inner_h) / 2)];
  return [left, top, left + inner_w, top + inner_h];
}

function halfToEven(value) {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}

/**
 * Returns (H, W, C) uint8 of what lies in `box` (left, top, right, bottom): bilinear, antialiased.
 *
 * Each new pixel is a mean of old ones, weighted by a triangle around its centre. Where the image becomes smaller, the
 * triangle is as much wider. Once along the rows and once along the columns, rounded to bytes in between; first along
 * the columns where that leaves much less to do, by the rule of Pillow 13.
 */
export function resized(source, box, W, H) {
  const [left, top, right, bottom] = box.map(Math.fround); // boxes reach Pillow's arithmetic as 32-bit floats
  const { width: w, height: h } = source;
  const sameColumns = w === W && left === 0 && right === W;
  const sameRows = h === H && top === 0 && bottom === H;
  const narrow = (from) => (sameColumns ? from : alongRows(from, weights(w, left, right, W)));
  const lower = (from) => (sameRows ? from : alongColumns(from, weights(h, top, bottom, H)));
  const columnsFirst = h > H && h - H > 2 * (w - W);
  const made = columnsFirst ? narrow(lower(source)) : lower(narrow(source));
  return made.rows(0, H);
}

/** Returns, for each of `count` new pixels, the `first` old one that counts, how many do, and their whole weights. */
function weights(size, from, to, count) {
  const step = Math.fround(to - from) / count;
  const reach = Math.max(step, 1);
  const stride = 2 * Math.ceil(reach) + 1;
  const table = {
    first: new Int32Array(count), length: new Int32Array(count), whole: new Int32Array(count * stride), stride,
  };
  const shares = new Float64Array(stride);
  for (let i = 0; i < count; i++) {
    const centre = from + (i + 0.5) * step;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const length = Math.min(size, Math.trunc(centre + reach + 0.5)) - first;
    let sum = 0;
    for (let k = 0; k < length; k++) {
      const distance = Math.abs((first + k - centre + 0.5) * (1 / reach));
      shares[k] = distance < 1 ? 1 - distance : 0;
      sum += shares[k];
    }
    for (let k = 0; k < length; k++) {
      const share = sum === 0 ? shares[k] : shares[k] / sum;
      table.whole[i * stride + k] = Math.trunc(0.5 + share * 2 ** WEIGHT_BITS);
    }
    table.first[i] = first;
    table.length[i] = length;
  }
  return table;
}

/** Returns the source with its rows resampled, each when it is asked for. */
function alongRows(source, table) {
  const { width: w, height, channels: C } = source;
  const W = table.first.length;
  const rows = (top, count) => {
    const made = new Uint8Array(count * W * C);
    for (let done = 0; done < count; done += STRIP_ROWS) {
      const strip = source.rows(top + done, Math.min(STRIP_ROWS, count - done));
      for (let y = 0; y < strip.length / (w * C); y++) {
        narrowRow(strip, y * w * C, made, (done + y) * W * C, table, C);
      }
    }
    return made;
  };
  return { width: W, height, channels: C, rows };
}

function narrowRow(from, at, into, put, table, C) {
  for (let x = 0; x < table.first.length; x++) {
    const start = at + table.first[x] * C;
    const weight = x * table.stride;
    const length = table.length[x];
    for (let c = 0; c < C; c++) {
      let sum = HALF;
      for (let k = 0; k < length; k++) sum += from[start + k * C + c] * table.whole[weight + k];
      into[put + x * C + c] = asByte(sum);
    }
  }
}

/** Returns the source with its columns resampled, each row when it is asked for. */
function alongColumns(source, table) {
  const { width, channels } = source;
  const line = width * channels;
  const ahead = new Ahead(source, table.stride);
  const rows = (top, count) => {
    const made = new Uint8Array(count * line);
    const sums = new Float64Array(line);
    for (let y = 0; y < count; y++) {
      sums.fill(HALF);
      for (let k = 0; k < table.length[top + y]; k++) {
        const weight = table.whole[(top + y) * table.stride + k];
        const from = ahead.row(table.first[top + y] + k);
        for (let i = 0; i < line; i++) sums[i] += from[i] * weight;
      }
      for (let i = 0; i < line; i++) made[y * line + i] = asByte(sums[i]);
    }
    return made;
  };
  return { width, height: table.first.length, channels, rows };
}

/** Gives the rows of a source one by one, having read some ahead; those of the last `back` rows are kept. */
class Ahead {
  constructor(source, back) {
    this.source = source;
    this.most = Math.ceil(back / STRIP_ROWS) + 1;
    this.strips = new Map();
  }

  row(y) {
    const number = Math.floor(y / STRIP_ROWS);
    if (!this.strips.has(number)) {
      const top = number * STRIP_ROWS;
      this.strips.set(number, this.source.rows(top, Math.min(STRIP_ROWS, this.source.height - top)));
      if (this.strips.size > this.most) this.strips.delete(this.strips.keys().next().value);
    }
    const line = this.source.width * this.source.channels;
    const start = (y % STRIP_ROWS) * line;
    return this.strips.get(number).subarray(start, start + line);
  }
}

function asByte(sum) {
  return Math.min(255, Math.max(0, Math.floor(sum / 2 ** WEIGHT_BITS)));
}
