"""The way of stored images into an int8 graph: a uint8 image is a quantised tensor already, and stays one.

Normalisation, `(level - mean) / std` of levels 0..255, costs no pass over float numbers. Division goes into the weights
of the first convolution. Where all means lie near one level, that level is the zero point, and the rest goes into the
bias. Else one addition in uint8 shifts the channels to a common zero: so padding means zero in every channel, exactly.

Where the first convolution has the stride 2 or 4, blocks of so many pixels a side become channels (3 x 224 x 224:
12 x 112 x 112). Its kernel then has fewer rows and columns and gives the same sums, in about half the time.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from fovea.exporting.int8.arithmetic import LEVELS, Steps
from fovea.exporting.int8.graph import Graph, attributes, set_attribute
from fovea.inputs.interface import Preprocessing

NEAR = 0.5
"""Levels between a mean and the common zero point that padding may be off."""
BLOCKS = (2, 4)
"""Strides whose pixels become channels."""
MOST_CHANNELS = 4
"""Of images: what has more is no longer slow to gather."""
TO_FIRST, TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)
"""Channels first, and last."""


@dataclass(frozen=True)
class Front:
    """What a graph begins with."""

    steps: dict[str, Steps]
    """Of the values whose steps are fixed, the input among them."""
    stored: str = ""
    """The name of the input that is stored in steps already; empty if it is float numbers."""
    means: dict[str, NDArray[Any]] = field(default_factory=dict)
    """The mean of each channel of what the first layers read, where it is another than that of the core."""


def image_front(
    graph: Graph, preprocess: Preprocessing, *, name: str, means: NDArray[Any] | None = None
) -> Front | None:
    """Let a float graph begin with levels of images (N, H, W, C), an input called `name`, normalisation inside.

    The input means `level - zero point` by the steps that are returned. None, and nothing is changed, where the graph
    does not begin with convolutions of known weights. `means` (C,) are those of the normalised input.
    """
    first = _first_layers(graph)
    if first is None or preprocess.dtype != "uint8" or len(preprocess.stored_shape) != 3:
        return None
    zeros = LEVELS * np.asarray(preprocess.mean)
    scales = 1 / (LEVELS * np.asarray(preprocess.std))
    H, W, C = preprocess.stored_shape
    common = int(np.clip(np.rint(zeros.mean()), 0, LEVELS))
    near = bool((np.abs(zeros - common) <= NEAR).all()) or not any(_pads(node) for node in first)
    given = graph.inputs[0].name
    steps = {name: Steps(1.0, common)}
    last = name
    if not near:
        last, fixed = _shifted(graph, last, common - zeros, (H, W, C), common)
        steps.update(fixed)
    for node in first:
        _scale_inputs(graph, node, scales, (common - zeros) if near else np.zeros(C))
    last = _blocked(graph, last, first, (H, W, C))
    turned = graph.add("Transpose", [last], f"{name}_channels_first", perm=TO_FIRST)
    for node in first:
        node.input[0] = turned
    batch = graph.inputs[0].type.tensor_type.shape.dim[0].dim_param
    graph.inputs = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [batch, H, W, C])]
    graph.rename_reads(given, turned)
    graph.sort()
    # what is read means `level - zero point` without the shift, `level - mean` with it
    read = None if means is None else means / scales + ((zeros - common) if near else 0)
    return Front(steps, name, _block_means(graph, turned, first[0], read))


def number_front(graph: Graph, shape: tuple[int, ...], *, means: NDArray[Any] | None = None) -> Front:
    """Prepare a float graph whose input stays normalised float numbers (N, C, H, W), of these `means` (C,)."""
    first, given = _first_layers(graph), graph.inputs[0].name
    if first is None or len(shape) != 3 or _block(graph, first, shape[1:], shape[0]) is None:
        return Front({})
    C, H, W = shape
    turned = graph.add("Transpose", [given], f"{given}_channels_last", perm=TO_LAST)
    last = _blocked(graph, turned, first, (H, W, C))
    back = graph.add("Transpose", [last], f"{given}_channels_first", perm=TO_FIRST)
    for node in first:
        node.input[0] = back
    graph.sort()
    return Front({}, means=_block_means(graph, back, first[0], means))


def _block_means(graph: Graph, name: str, layer: onnx.NodeProto, means: NDArray[Any] | None) -> dict[str, NDArray[Any]]:
    """Return the means of the value `name` that a first layer reads, repeated where blocks became channels."""
    if means is None:
        return {}
    channels = graph.constants[layer.input[1]].shape[1]
    return {name: np.tile(means, channels // len(means))}


def _first_layers(graph: Graph) -> list[onnx.NodeProto] | None:
    """Return the convolutions that read the input, where nothing else does."""
    readers = graph.readers().get(graph.inputs[0].name, [])
    plain = all(
        node.op_type == "Conv"
        and node.input[1] in graph.constants
        and graph.constants[node.input[1]].ndim == 4
        and attributes(node).get("auto_pad", "NOTSET") == "NOTSET"
        and attributes(node).get("group", 1) == 1
        for node in readers
    )
    return readers if readers and plain else None


def _pads(node: onnx.NodeProto) -> bool:
    return any(attributes(node).get("pads", ()))


def _shifted(
    graph: Graph, last: str, shifts: NDArray[Any], shape: tuple[int, int, int], common: int
) -> tuple[str, dict[str, Steps]]:
    """Add a number of levels to each channel, on rows of all pixels and channels; return the value and its steps."""
    H, W, C = shape
    low, high = -common + shifts.min(), LEVELS - common + shifts.max()
    flat = _reshaped(graph, last, (-1, H, W * C))
    row = graph.constant(np.tile(shifts, W).astype(np.float32), f"{last}_shifts")
    shifted = graph.add("Add", [flat, row], f"{last}_shifted")
    steps = {row: Steps.of_range(shifts.min(), shifts.max()), shifted: Steps.of_range(low, high)}
    return _reshaped(graph, shifted, (-1, H, W, C)), steps


def _scale_inputs(graph: Graph, node: onnx.NodeProto, scales: NDArray[Any], shifts: NDArray[Any]) -> None:
    """Let a convolution read levels plus `shifts` that it does not get, each channel times its scale."""
    weights = graph.constants[node.input[1]].astype(np.float64) * scales.reshape(1, -1, 1, 1)
    has_bias = len(node.input) > 2 and bool(node.input[2])
    bias = graph.constants[node.input[2]].astype(np.float64) if has_bias else np.zeros(len(weights))
    bias = bias + (weights.sum(axis=(2, 3)) * shifts).sum(axis=1)
    node.input[1:] = [
        graph.constant(weights.astype(np.float32), f"{node.input[1]}_levels"),
        graph.constant(bias.astype(np.float32), f"{node.output[0]}_levels_bias"),
    ]


def _blocked(graph: Graph, last: str, first: list[onnx.NodeProto], shape: tuple[int, int, int]) -> str:
    """Make channels of blocks of pixels (N, H, W, C), and change the one convolution that reads them alike."""
    H, W, C = shape
    block = _block(graph, first, (H, W), C)
    if block is None:
        return last
    _block_kernel(graph, first[0], block, (H, W))
    wide = _reshaped(graph, last, (-1, H, W // block, block * C))
    rows = []
    for row in range(block):
        ends = [np.asarray([end], np.int64) for end in (row, H, 1, block)]
        names = [
            graph.constant(end, f"{last}_{what}")
            for end, what in zip(ends, ("from", "to", "axis", "every"), strict=True)
        ]
        rows.append(graph.add("Slice", [wide, *names], f"{last}_rows"))
    return graph.add("Concat", rows, f"{last}_blocks", axis=3)


def _block(graph: Graph, first: list[onnx.NodeProto], sides: tuple[int, ...], channels: int) -> int | None:
    """Return the side of the blocks that become channels; None if there are none."""
    values = attributes(first[0])
    strides = set(values.get("strides", [1, 1]))
    plain = len(first) == 1 and len(strides) == 1 and set(values.get("dilations", [1])) == {1}
    stride = strides.pop()
    if not plain or stride not in BLOCKS or channels > MOST_CHANNELS or any(side % stride for side in sides):
        return None
    return stride if min(graph.constants[first[0].input[1]].shape[2:]) >= stride else None


def _block_kernel(graph: Graph, node: onnx.NodeProto, block: int, sides: tuple[int, int]) -> None:
    """Give a convolution with the stride `block` the kernel that does the same on blocks, with the stride 1."""
    weights = graph.constants[node.input[1]]
    pads = attributes(node).get("pads", [0, 0, 0, 0])
    F, C, *kernel = weights.shape
    before, after, size, shift = [], [], [], []
    for axis in (0, 1):
        outputs = (sides[axis] + pads[axis] + pads[axis + 2] - kernel[axis]) // block + 1
        left = -(-pads[axis] // block)
        moved = left * block - pads[axis]
        length = -(-(kernel[axis] + moved) // block)
        right = outputs - sides[axis] // block - left + length - 1
        size.append(length - min(right, 0))
        before.append(left)
        after.append(max(right, 0))
        shift.append(moved)
    blocked = np.zeros((F, block * block * C, *size), weights.dtype)
    for y in range(kernel[0]):
        for x in range(kernel[1]):
            (row, inner_row), (column, inner_column) = divmod(y + shift[0], block), divmod(x + shift[1], block)
            begin = (inner_row * block + inner_column) * C
            blocked[:, begin : begin + C, row, column] = weights[:, :, y, x]
    node.input[1] = graph.constant(blocked, f"{node.input[1]}_blocks")
    set_attribute(node, "kernel_shape", size)
    set_attribute(node, "strides", [1, 1])
    set_attribute(node, "pads", [*before, *after])


def _reshaped(graph: Graph, name: str, shape: tuple[int, ...]) -> str:
    sizes = graph.constant(np.asarray(shape, np.int64), f"{name}_shape")
    return graph.add("Reshape", [name, sizes], f"{name}_as")
