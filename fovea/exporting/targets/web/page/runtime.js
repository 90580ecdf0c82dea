import * as ort from "./onnxruntime/ort.wasm.bundle.min.js";

globalThis.ort = ort;
