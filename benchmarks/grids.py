"""A network on its own grid against itself in float: what it costs, whether the file gives its numbers, how fast it is.

    python benchmarks/grids.py MODEL DATA

The network is brought to the grid by 512 samples of the training part, and not trained there. Accuracy is of the first
samples of the validation part. Times are processor time of one image on one thread in ONNX Runtime, with normalised
input, both in turn. The test part is not touched.
"""

import copy
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from int8 import timed
from machine import Contestant, arguments, begun, in_turn, print_figures, ratio
from numpy.typing import NDArray
from torch import nn

from fovea.compression.fold import fold
from fovea.compression.quantise import SAMPLES, at_rest, gridded
from fovea.display import Display
from fovea.exporting.core import float_core
from fovea.model.bundle import load
from fovea.runs.chain.material import Material, material_of
from fovea.training.inference import predict_logits

COMPARED = 64
"""Images by which the file is compared with the network."""


def on_its_grid(model: nn.Module, material: Material) -> nn.Module:
    """Return a copy of a network, folded and brought to the grid."""
    found = copy.deepcopy(model).eval()
    fold(found, material.bundle.preprocess.shape)
    gridded(found, [inputs for inputs, _ in material.batches(SAMPLES)])
    at_rest(found)
    return found


def session_of(model: nn.Module, shape: tuple[int, ...]) -> tuple[onnxruntime.InferenceSession, int]:
    """Return a network in ONNX Runtime on one thread, and the bytes of its graph."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    content = float_core(model, shape).SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"]), len(content)


def run_of(session: onnxruntime.InferenceSession, x: NDArray[np.float32], runs: int) -> Contestant:
    return timed(lambda: session.run(None, {"input": x}), runs)


def main() -> None:
    """Print accuracy, agreement, sizes and times."""
    parser = arguments(__doc__, quick="three rounds")
    parser.add_argument("model", type=Path)
    parser.add_argument("data")
    parser.add_argument("--samples", type=int, default=1000, help="of the validation part")
    args = begun(parser)
    torch.set_num_threads(1)
    bundle = load(args.model)
    material = material_of(bundle, args.data, seed=0, allow_bad=False, display=Display(quiet=True))
    grid = on_its_grid(bundle.model, material)
    images = np.asarray(material.dataset.parts["val"].decoded[: args.samples])
    labels = torch.from_numpy(np.array(material.labels("val")[: args.samples]))
    answers = {
        name: predict_logits(model, images, bundle.preprocess, device=bundle.device).argmax(1)
        for name, model in (("float", bundle.model), ("grid", grid))
    }
    for name, found in answers.items():
        print(f"  {name}: accuracy {100 * (found == labels).double().mean():.2f} % of {len(labels)} of part val")
    print(f"  answers changed: {int((answers['float'] != answers['grid']).sum())}")

    x = bundle.preprocess.normalise(images[:COMPARED])
    found = {
        name: session_of(model, bundle.preprocess.shape) for name, model in (("float", bundle.model), ("grid", grid))
    }
    with torch.no_grad():
        expected = grid(torch.from_numpy(x)).numpy()
    given = found["grid"][0].run(None, {"input": x})[0]
    print(f"  the file's logits: {np.mean(given == expected):.4f} equal, off by {np.abs(given - expected).max():.2g}")
    for name, (_, size) in found.items():
        print(f"  {name}: {size:,} bytes")
    figures = in_turn(
        {name: run_of(session, x[:1], 4) for name, (session, _) in found.items()}, rounds=3 if args.quick else 15
    )
    print_figures(figures, unit="ms")
    print(f"  float / grid: {ratio(figures['float'], figures['grid']):.2f}")


if __name__ == "__main__":
    main()
