"""From a model file to what other programs run: ONNX with preprocessing, decoding and card inside, parity proven."""
