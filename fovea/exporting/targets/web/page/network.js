// The network: its bytes, from beside the page or inside it, and onnxruntime-web, which runs it on one thread.

import { answer } from "./answers.js";
import { placed } from "./placed.js";
import { fitted } from "./resize.js";

/** Returns the network that `config` describes, ready to run; `told(share)` hears how much of it has been loaded. */
export async function opened(config, told) {
  const ort = globalThis.ort;
  const [wasm, model] = await (config.inside ? fromPage() : fromFolder(config, told));
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.proxy = false;
  ort.env.wasm.wasmBinary = wasm;
  const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  const network = new Network(ort, session, config);
  const [, height, width] = network.shape;
  await network.run(new Uint8Array(network.shape.reduce((a, b) => a * b, 1)), { width, height }); // the first is slower
  return network;
}

class Network {
  constructor(ort, session, config) {
    this.ort = ort;
    this.session = session;
    this.config = config;
    this.shape = [1, ...config.preprocess.size, config.preprocess.channels];
    this.last = Promise.resolve();
  }

  /** Returns {answer, pixels, times} of a source, one at a time; `times`: milliseconds to prepare and to answer. */
  answers(source) {
    const next = this.last.then(() => this.answered(source));
    this.last = next.catch(() => {});
    return next;
  }

  async answered(source) {
    const begin = performance.now();
    const pixels = fitted(source, this.config.preprocess);
    const prepared = performance.now();
    const found = await this.run(pixels, source.whole ?? source);
    return { answer: found, pixels, times: [prepared - begin, performance.now() - prepared] };
  }

  /** Returns the answer for pixels (H, W, C) uint8, those of an image of a size {width, height}. */
  async run(pixels, { width, height }) {
    const { session, config } = this;
    const given = { [session.inputNames[0]]: new this.ort.Tensor("uint8", pixels, this.shape) };
    const outputs = await session.run(given);
    if (config.places.kind) return placed(config, outputs, { width, height });
    return answer(config, outputs[session.outputNames[0]].data, outputs.present?.data);
  }
}

async function fromFolder(config, told) {
  const sizes = [config.runtime_bytes, config.model_bytes];
  const done = [0, 0];
  const parts = [config.runtime_file, config.model_file].map((file, index) =>
    fetched(file, (bytes) => {
      done[index] = bytes;
      told((done[0] + done[1]) / (sizes[0] + sizes[1]));
    }),
  );
  return Promise.all(parts);
}

async function fetched(file, told) {
  const response = await fetch(file);
  if (!response.ok) throw new Error(`${file} is not there (${response.status}).`);
  const blocks = [];
  let bytes = 0;
  const reader = response.body.getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    blocks.push(next.value);
    told((bytes += next.value.length));
  }
  return new Uint8Array(await new Blob(blocks).arrayBuffer());
}

async function fromPage() {
  const wasm = new Blob([bytesIn("runtime-bytes")]).stream().pipeThrough(new DecompressionStream("gzip"));
  return [new Uint8Array(await new Response(wasm).arrayBuffer()), bytesIn("model-bytes")];
}

/** Returns the bytes that an element of the page holds as base64, and takes them out of the page. */
function bytesIn(id) {
  const element = document.getElementById(id);
  const text = element.textContent.trim();
  element.remove();
  const bytes = new Uint8Array((text.length / 4) * 3 - (text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0));
  const step = 1 << 20;
  for (let from = 0, put = 0; from < text.length; from += step) {
    const part = atob(text.slice(from, from + step));
    for (let i = 0; i < part.length; i++) bytes[put++] = part.charCodeAt(i);
  }
  return bytes;
}
