// Colours as `fovea.preprocess` has them: transparent pixels over white, grey by ITU-R 601 in whole numbers.

/** Returns (n, C) uint8, C being 1 (grey) or 3 (RGB), of (n, 4) RGBA whose colours are not multiplied by alpha. */
export function opaque(rgba, channels) {
  const n = rgba.length / 4;
  const made = new Uint8Array(n * channels);
  for (let i = 0; i < n; i++) {
    const alpha = rgba[4 * i + 3];
    let [r, g, b] = [rgba[4 * i], rgba[4 * i + 1], rgba[4 * i + 2]];
    if (alpha !== 255) [r, g, b] = [overWhite(r, alpha), overWhite(g, alpha), overWhite(b, alpha)];
    if (channels === 1) {
      made[i] = grey(r, g, b);
    } else {
      made[3 * i] = r;
      made[3 * i + 1] = g;
      made[3 * i + 2] = b;
    }
  }
  return made;
}

/** Returns one value 0..255 laid over white with `alpha` 0..255, rounded as Pillow rounds it. */
export function overWhite(value, alpha) {
  const sum = 128 * (value * alpha + 255 * (255 - alpha)) + 0x4000; // in units of 1 / (255 * 128)
  return ((sum >> 8) + sum) >> 15; // sum / 255 / 128 without a division
}

function grey(r, g, b) {
  return (19595 * r + 38470 * g + 7471 * b + 0x8000) >> 16; // 0.299, 0.587, 0.114 in units of 2 ** -16
}

/** Returns the side length divisor, 1, 2, 4 or 8, by which Pillow decodes a JPEG of this size smaller at once. */
export function decodingScale(width, height, preprocess) {
  const keep = preprocess.crop ?? 1;
  const side = 2 * Math.max(...preprocess.size.map((length) => Math.ceil(length / keep)));
  const room = Math.floor(Math.min(width, height) / side);
  return [8, 4, 2].find((scale) => room >= scale) ?? 1;
}

/**
 * Returns a source of 1 / `scale` of the size, each pixel the mean of a square.
 *
 * It stands for what a JPEG decoder makes in the cosine transform, which browsers do not offer; near, not equal.
 */
export function shrunk(source, scale) {
  const [width, height] = [source.width, source.height].map((side) => Math.ceil(side / scale));
  const rows = (top, count) => {
    const made = new Uint8Array(count * width * source.channels);
    for (let y = 0; y < count; y++) {
      const above = (top + y) * scale;
      const strip = source.rows(above, Math.min(scale, source.height - above));
      meanRow(strip, source, scale, made.subarray(y * width * source.channels, (y + 1) * width * source.channels));
    }
    return made;
  };
  return { width, height, channels: source.channels, rows };
}

function meanRow(strip, { width: w, channels: C }, scale, into) {
  const high = strip.length / (w * C);
  for (let x = 0; x < into.length / C; x++) {
    const wide = Math.min(scale, w - x * scale);
    for (let c = 0; c < C; c++) {
      let sum = 0;
      for (let v = 0; v < high; v++) {
        for (let u = 0; u < wide; u++) sum += strip[(v * w + x * scale + u) * C + c];
      }
      into[x * C + c] = Math.round(sum / (high * wide));
    }
  }
}
