// From files, camera frames and drawings to sources of pixels, as `resize.js` takes them.

import { decodingScale, opaque, shrunk } from "./pixels.js";

const MOST_BYTES = 100_000_000;
const MOST_PIXELS = 100_000_000;

/** Returns what a canvas can draw of an image file, upright, colours as stored; an Error says why there is none. */
export async function decoded(blob) {
  if (blob.size > MOST_BYTES) throw new Error("The file has more than 100 MB.");
  const options = { imageOrientation: "from-image", colorSpaceConversion: "none", premultiplyAlpha: "none" };
  const image = await createImageBitmap(blob, options).catch(() => asElement(blob));
  const { width, height } = sizeOf(image);
  if (width * height > MOST_PIXELS) throw new Error("The image has more than 100 million pixels.");
  return image;
}

/** Decodes by an element, for browsers whose bitmaps take no options. */
async function asElement(blob) {
  const image = new Image();
  const address = URL.createObjectURL(blob);
  image.src = address;
  try {
    await image.decode();
  } catch {
    throw new Error("This browser cannot read it as an image. Try JPEG, PNG or WebP.");
  } finally {
    URL.revokeObjectURL(address);
  }
  return image;
}

/** Returns the size in pixels of an image, a bitmap, a video or a canvas. */
export function sizeOf(drawable) {
  const width = drawable.videoWidth ?? drawable.naturalWidth ?? drawable.width;
  const height = drawable.videoHeight ?? drawable.naturalHeight ?? drawable.height;
  return { width, height };
}

/** Returns a source of the pixels of what a canvas can draw, in 1 (grey) or 3 (RGB) channels. */
export function sourceOf(drawable, channels) {
  const { width, height } = sizeOf(drawable);
  const canvas = document.createElement("canvas");
  canvas.width = width;
  const rows = (top, count) => {
    canvas.height = count; // also empties it
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.imageSmoothingEnabled = false;
    context.drawImage(drawable, 0, -top);
    return opaque(context.getImageData(0, 0, width, count).data, channels);
  };
  return { width, height, channels, rows };
}

/** Returns the source of a decoded file: smaller at once where the package decodes a JPEG so; `whole` is its size. */
export async function fileSource(blob, drawable, preprocess) {
  const source = sourceOf(drawable, preprocess.channels);
  const [first, second] = new Uint8Array(await blob.slice(0, 2).arrayBuffer());
  const scale = first === 0xff && second === 0xd8 ? decodingScale(source.width, source.height, preprocess) : 1;
  return scale === 1 ? source : { ...shrunk(source, scale), whole: source };
}

/** Tells whether this browser gives canvases back as they were drawn; some blur them against fingerprinting. */
export function canvasIsExact() {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [16, 16];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const drawn = new ImageData(16, 16);
  for (let i = 0; i < drawn.data.length; i++) drawn.data[i] = i % 4 === 3 ? 255 : (37 * i) % 256;
  context.putImageData(drawn, 0, 0);
  return context.getImageData(0, 0, 16, 16).data.every((value, i) => value === drawn.data[i]);
}
