"""A convolution of signs by counting bits, in vectorised integers of NumPy, against the same in float and in int8.

XNOR-Net (Rastegari et al. 2016, arXiv:1603.05279, section 4.1) counts 64 multiply-adds as one operation and expects a
convolution of 256 channels on 14 x 14 to be 62 times as fast. This one packs the signs of 64 channels into a word,
takes the exclusive or of words and counts the ones that differ: n - 2 differing is the sum of n products of signs.
Milliseconds of processor time for one image, one thread, medians of rounds in which all run in turn. The packing of the
input is counted, that of the weights is not. Without padding, as zero is no sign.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import onnxruntime
import torch
from int8 import timed
from machine import Contestant, arguments, begun, in_turn, print_figures, ratio
from numpy.typing import NDArray
from torch import nn

from fovea.compression.grids import GridConv2d
from fovea.exporting.core import float_core

WORD = 64
AT_ONCE = 1 << 16
"""Words whose differing bits are counted at a time: they stay in the cache."""


class Shape(NamedTuple):
    """A convolution k x k without padding of maps of `side` x `side`."""

    c_in: int
    c_out: int
    side: int
    k: int = 3


SHAPES = (Shape(256, 256, 16), Shape(64, 64, 58), Shape(512, 512, 9), Shape(1024, 1024, 14, 1))
"""The first is that of the paper's figure 4; the others are of ResNet-18, and a 1 x 1 one."""


def packed(signs: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Return signs (..., C) as words (..., C / 64)."""
    return np.packbits(signs, axis=-1, bitorder="little").view(np.uint64)


def patches(words: NDArray[np.uint64], k: int) -> NDArray[np.uint64]:
    """Return what each place sees, (places, k k C / 64), of packed maps (H, W, C / 64)."""
    windows = np.lib.stride_tricks.sliding_window_view(words, (k, k), axis=(0, 1))
    H, W = windows.shape[:2]
    return np.ascontiguousarray(windows.transpose(0, 1, 3, 4, 2)).reshape(H * W, -1)


def by_bits(x: NDArray[np.float32], weights: NDArray[np.uint64], k: int) -> NDArray[np.int32]:
    """Return the convolution of the signs of x (H, W, C) with packed ones (c_out, k k C / 64): (places, c_out)."""
    seen = patches(packed(x >= 0), k)
    places, words = seen.shape
    found = np.empty((places, len(weights)), np.int32)
    # words first: the counts of one word are summed over a contiguous row of outputs
    columns = np.ascontiguousarray(weights.T)
    step = max(1, AT_ONCE // len(weights))
    for first in range(0, places, step):
        part = seen[first : first + step]
        differing = np.zeros((len(part), len(weights)), np.uint16)
        for word in range(words):
            differing += np.bitwise_count(part[:, word, None] ^ columns[word])
        found[first : first + step] = WORD * words - 2 * differing.astype(np.int32)
    return found


def in_onnxruntime(layer: nn.Module, x: torch.Tensor) -> Callable[[], NDArray[np.float32]]:
    """Return a run of a layer on an input."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    content = float_core(nn.Sequential(layer, nn.Flatten()), x.shape[1:]).SerializeToString()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    given = {session.get_inputs()[0].name: x.numpy()}
    return lambda: session.run(None, given)[0]


def contestants(shape: Shape, runs: int) -> dict[str, Contestant]:
    """Return the ways to convolve signs, after checking that they give the same."""
    torch.manual_seed(0)
    x = torch.where(torch.randn(1, shape.c_in, shape.side, shape.side) >= 0, 1.0, -1.0)
    layer = nn.Conv2d(shape.c_in, shape.c_out, shape.k, bias=False).eval()
    with torch.no_grad():
        layer.weight.copy_(torch.where(layer.weight >= 0, 1.0, -1.0))
        expected = layer(x)
    grid = GridConv2d(shape.c_in, shape.c_out, shape.k, bias=False, gives=True).eval()
    grid.weight = layer.weight
    grid.reads.settle(1.0, 1)
    grid.gives.settle(2.0, 128)
    grid.rest()
    maps = np.ascontiguousarray(x[0].permute(1, 2, 0).numpy())
    weights = packed(layer.weight.detach().permute(0, 2, 3, 1).reshape(shape.c_out, -1).numpy() >= 0)
    places = expected[0].flatten(1).T
    if not np.array_equal(by_bits(maps, weights, shape.k), places.numpy().astype(np.int32)):
        raise SystemExit("the convolution by bits is wrong")
    in_float = in_onnxruntime(layer, x)
    in_int8 = in_onnxruntime(grid, x)
    if np.abs(in_float().reshape(expected.shape) - expected.numpy()).max() > 1e-3:
        raise SystemExit("the convolution in float is wrong")

    def in_pytorch() -> None:
        with torch.inference_mode():
            layer(x)

    return {
        "bits, NumPy": timed(lambda: by_bits(maps, weights, shape.k), runs),
        "float, ONNX Runtime": timed(in_float, runs),
        "float, PyTorch": timed(in_pytorch, runs),
        "int8, ONNX Runtime": timed(in_int8, runs),
    }


def main() -> None:
    """Print the times of each shape and their ratios."""
    args = begun(arguments(__doc__, quick="three rounds"))
    torch.set_num_threads(1)
    print(f"NumPy {np.__version__}, onnxruntime {onnxruntime.__version__}")
    for shape in SHAPES:
        print(f"{shape.c_in} to {shape.c_out} channels, {shape.side} x {shape.side}, kernel {shape.k} x {shape.k}")
        figures = in_turn(contestants(shape, runs=3), rounds=3 if args.quick else 15)
        print_figures(figures, unit="ms")
        bits = figures.pop("bits, NumPy")
        for name, values in figures.items():
            print(f"  {name} / bits: {ratio(values, bits):.2f}")


if __name__ == "__main__":
    main()
