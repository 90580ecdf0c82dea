"""An ONNX file in OpenVINO on one thread; run by int8.py in the environment of peers.sh.

Arguments: the file, the runs of a measurement, the shape of one image. For each line on standard input it prints the
milliseconds of processor time of one run.
"""

import sys
import time

import numpy as np
import openvino


def main() -> None:
    file, runs, shape = sys.argv[1], int(sys.argv[2]), [int(side) for side in sys.argv[3].split("x")]
    engine = openvino.Core()
    model = engine.read_model(file)
    model.reshape([1, *shape])
    compiled = engine.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY"})
    request = compiled.create_infer_request()
    image = np.random.default_rng(0).integers(0, 256, (1, *shape), np.uint8)
    for _ in range(5):
        request.infer([image])
    print(openvino.__version__, flush=True)
    for _ in sys.stdin:
        began = time.process_time()
        for _ in range(runs):
            request.infer([image])
        print(1000 * (time.process_time() - began) / runs, flush=True)


if __name__ == "__main__":
    main()
