"""Batch norms and other linear functions of single channels go into the weights before int8 rounds these."""

import numpy as np
import onnx

from fovea.exporting.int8.arithmetic import along
from fovea.exporting.int8.graph import Array, Graph, attributes, set_attribute

EPSILON = 1e-5
"""The default of `BatchNormalization`."""
LAYERS = ("Conv", "Gemm")
"""Whose weights take what stands behind them."""


def fold_batch_norm(graph: Graph, node: onnx.NodeProto, *, rank: int) -> None:
    """Fold a batch norm into the layer before it; where it cannot be, make it a convolution of its own.

    `rank` is the number of dimensions of what it reads; 0 where that is not known.
    """
    if any(name not in graph.constants for name in node.input[1:]):
        return
    gain, shift, mean, variance = (graph.constants[name].astype(np.float64) for name in node.input[1:5])
    scale = gain / np.sqrt(variance + attributes(node).get("epsilon", EPSILON))
    offset = shift - mean * scale
    if (scale > 0).all():
        _before_maximum(graph, node)
    if not _into_layer_before(graph, node, scale, offset) and rank >= 3:
        _as_depthwise(graph, node, scale, offset, rank=rank)


def fold_affine(graph: Graph, node: onnx.NodeProto) -> None:
    """Fold a product with constants, or a sum, one for each channel, into the convolution before."""
    data = [name for name in node.input if name not in graph.constants]
    constants = [graph.constants[name] for name in node.input if name in graph.constants]
    if len(data) != 1 or len(constants) != 1:
        return
    maker = graph.makers().get(data[0])
    channels = _channels_made(graph, maker)
    if maker is None or maker.op_type != "Conv" or not channels:
        return
    values = constants[0].astype(np.float64)
    dims = graph.constants[maker.input[1]].ndim
    per_channel = values.ndim == dims - 1 or (values.ndim == dims and len(values) == 1)
    if values.size != 1 and not (per_channel and values.size == values.shape[1 - dims] == channels):
        return
    values = np.broadcast_to(values.reshape(-1), channels)
    ones, zeros = np.ones(channels), np.zeros(channels)
    _into_layer_before(graph, node, *((values, zeros) if node.op_type == "Mul" else (ones, values)), data=data[0])


def _before_maximum(graph: Graph, node: onnx.NodeProto) -> None:
    """Exchange a rising function of each value with the `MaxPool` whose result it alone reads."""
    maker, readers = graph.makers().get(node.input[0]), graph.readers()
    if maker is None or maker.op_type != "MaxPool" or len(maker.output) != 1 or len(readers[node.input[0]]) != 1:
        return
    if node.input[0] in graph.output_names or len(readers[maker.input[0]]) != 1:
        return
    read, between, result = maker.input[0], node.input[0], node.output[0]
    node.input[0], node.output[0] = read, between
    maker.input[0], maker.output[0] = between, result
    graph.sort()


def _into_layer_before(graph: Graph, node: onnx.NodeProto, scale: Array, offset: Array, *, data: str = "") -> bool:
    """Fold `scale * y + offset` into the layer that makes y, where nothing else reads y."""
    data = data or node.input[0]
    maker, readers = graph.makers().get(data), graph.readers().get(data, [])
    if maker is None or len(readers) != 1 or data in graph.output_names:
        return False
    if _channels_made(graph, maker) != len(scale):
        return False
    axis = _output_axis(maker)
    weights = graph.constants[maker.input[1]]
    has_bias = len(maker.input) > 2 and bool(maker.input[2])
    bias = graph.constants[maker.input[2]].astype(np.float64) if has_bias else np.zeros(len(scale))
    folded = (weights * along(scale, axis, weights.ndim)).astype(weights.dtype)
    names = [graph.constant(folded, f"{maker.input[1]}_folded")]
    names.append(graph.constant((bias * scale + offset).astype(weights.dtype), f"{node.output[0]}_bias"))
    maker.input[:] = [maker.input[0], *names]
    maker.output[0] = node.output[0]
    graph.remove([node])
    return True


def _channels_made(graph: Graph, maker: onnx.NodeProto | None) -> int:
    """Return how many output channels a layer has whose weights are fixed; 0 for all else."""
    if maker is None or maker.op_type not in LAYERS:
        return 0
    if any(name not in graph.constants for name in maker.input[1:] if name):
        return 0
    return len(np.moveaxis(graph.constants[maker.input[1]], _output_axis(maker), 0))


def _output_axis(maker: onnx.NodeProto) -> int:
    return 0 if maker.op_type == "Conv" or attributes(maker).get("transB", 0) else 1


def _as_depthwise(graph: Graph, node: onnx.NodeProto, scale: Array, offset: Array, *, rank: int) -> None:
    """Make a batch norm a convolution of one weight for each channel: int8 has kernels for these."""
    channels = len(scale)
    weights = scale.astype(np.float32).reshape([channels, *[1] * (rank - 1)])
    names = [
        graph.constant(weights, f"{node.output[0]}_weight"),
        graph.constant(offset.astype(np.float32), f"{node.output[0]}_bias"),
    ]
    del node.attribute[:]
    del node.output[1:]
    node.op_type = "Conv"
    node.input[:] = [node.input[0], *names]
    set_attribute(node, "group", channels)
    set_attribute(node, "kernel_shape", [1] * (rank - 2))
