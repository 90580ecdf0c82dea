"""Rewrites of a float graph that change no result: what is linear goes into the weights before int8 rounds them."""

import numpy as np
import onnx
from onnx import helper, shape_inference

from fovea.exporting.int8.arithmetic import along
from fovea.exporting.int8.graph import Array, Graph, attributes, set_attribute
from fovea.exporting.int8.layers import name_layers
from fovea.exporting.int8.session import session, with_outputs

BATCHES = (2, 3)
"""Sizes of batches that tell what of a shape depends on them."""
EPSILON = 1e-5
"""The default of `BatchNormalization`."""
CUTS = ("Relu", "Clip")
"""Activations that may as well stand before values are put together or the largest is taken."""


def fold(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the same function with batch norms in the convolutions and plain global pools."""
    graph = Graph.of(model)
    ranks = _ranks(model)
    _remove_identities(graph)
    _fix_shapes(graph, model)
    for node in list(graph.nodes):
        if node.op_type == "BatchNormalization":
            _fold_batch_norm(graph, node, ranks)
    for node in list(graph.nodes):
        if node.op_type in ("Mul", "Add"):
            _fold_affine(graph, node)
    for node in list(graph.nodes):
        if node.op_type == "ReduceMean":
            _as_global_pool(graph, node, ranks)
    for node in list(graph.nodes):
        if node.op_type in CUTS:
            _before_moves(graph, node)
    name_layers(graph)
    graph.sort()
    return graph.model(model)


def _remove_identities(graph: Graph) -> None:
    for node in list(graph.nodes):
        if node.op_type in ("Identity", "Dropout") and node.output[0] not in graph.output_names:
            graph.remove([node])
            graph.rename_reads(node.output[0], node.input[0])


def _fix_shapes(graph: Graph, model: onnx.ModelProto) -> None:
    """Give each `Reshape` whose shape is computed from the size of the batch a fixed one, the batch being what is left.

    The nodes that compute it read the input and so stand in the way of all that is done with it.
    """
    asked = {node.input[1] for node in graph.nodes if node.op_type == "Reshape"} - graph.constants.keys()
    sides = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim[1:]]
    if not asked or not all(sides):
        return
    names = sorted(asked)
    run = session(with_outputs(model, names))
    few, more = (run.run(names, {graph.inputs[0].name: np.zeros((N, *sides), np.float32)}) for N in BATCHES)
    for name, one, other in zip(names, few, more, strict=True):
        varies = one != other
        if varies.sum() <= 1:
            fixed = graph.constant(np.where(varies, -1, one).astype(np.int64), f"{name}_fixed")
            graph.rename_reads(name, fixed, but=[node for node in graph.nodes if node.op_type != "Reshape"])
    graph.prune()


def _fold_batch_norm(graph: Graph, node: onnx.NodeProto, ranks: dict[str, int]) -> None:
    """Fold a batch norm into the layer before, or make it a convolution of its own."""
    if any(name not in graph.constants for name in node.input[1:]):
        return
    gain, shift, mean, variance = (graph.constants[name].astype(np.float64) for name in node.input[1:5])
    scale = gain / np.sqrt(variance + attributes(node).get("epsilon", EPSILON))
    offset = shift - mean * scale
    if not _into_layer_before(graph, node, scale, offset) and ranks.get(node.input[0], 0) >= 3:
        _as_depthwise(graph, node, scale, offset, rank=ranks[node.input[0]])


def _fold_affine(graph: Graph, node: onnx.NodeProto) -> None:
    """Fold a product with constants, or a sum, one for each channel, into the convolution before."""
    data = [name for name in node.input if name not in graph.constants]
    constants = [graph.constants[name] for name in node.input if name in graph.constants]
    if len(data) != 1 or len(constants) != 1:
        return
    maker = graph.makers().get(data[0])
    channels = _channels_made(graph, maker)
    values = constants[0].astype(np.float64)
    if maker is None or maker.op_type != "Conv" or not channels:
        return
    dims = graph.constants[maker.input[1]].ndim
    per_channel = values.size == 1 or values.shape == tuple(along(np.zeros(channels), 1, dims).shape)[-values.ndim :]
    if not per_channel or (values.size != 1 and values.size != channels):
        return
    values = np.broadcast_to(values.reshape(-1), channels)
    ones, zeros = np.ones(channels), np.zeros(channels)
    _into_layer_before(graph, node, *((values, zeros) if node.op_type == "Mul" else (ones, values)), data=data[0])


def _into_layer_before(graph: Graph, node: onnx.NodeProto, scale: Array, offset: Array, *, data: str = "") -> bool:
    """Fold `scale * y + offset` into the layer that makes y, where nothing else reads y."""
    data = data or node.input[0]
    maker, readers = graph.makers().get(data), graph.readers().get(data, [])
    if len(readers) != 1 or data in graph.output_names or _channels_made(graph, maker) != len(scale):
        return False
    if maker is None:
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
    if maker is None or maker.op_type not in ("Conv", "Gemm"):
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


def _as_global_pool(graph: Graph, node: onnx.NodeProto, ranks: dict[str, int]) -> None:
    """Make a mean over all places of each channel a `GlobalAveragePool`, which has a kernel in uint8."""
    rank, values = ranks.get(node.input[0], 0), attributes(node)
    axes = values.get("axes") or [int(axis) for axis in graph.constants.get(_second(node), np.asarray([]))]
    if rank < 3 or sorted(axis % rank for axis in axes) != list(range(2, rank)):
        return
    keep = values.get("keepdims", 1)
    del node.attribute[:]
    del node.input[1:]
    node.op_type = "GlobalAveragePool"
    if keep:
        return
    result = node.output[0]
    node.output[0] = graph.fresh(f"{result}_pooled")
    shape = graph.constant(np.asarray([0, -1], np.int64), f"{result}_shape")
    graph.nodes.append(helper.make_node("Reshape", (node.output[0], shape), [result]))
    graph.sort()


def _before_moves(graph: Graph, node: onnx.NodeProto) -> None:
    """Put an activation before the concatenation or the maximum behind which it stands, next to the layers."""
    makers, readers = graph.makers(), graph.readers()
    maker = makers.get(node.input[0])
    if maker is None or maker.op_type not in ("Concat", "MaxPool") or len(maker.output) != 1:
        return
    read = list(maker.input)
    own = all(name in makers and len(readers[name]) == 1 and name not in graph.output_names for name in read)
    if not own or len(set(read)) != len(read) or len(readers[node.input[0]]) != 1:
        return
    maker.output[0] = node.output[0]
    graph.remove([node])
    for index, name in enumerate(read):
        maker.input[index] = graph.add(node.op_type, [name, *node.input[1:]], f"{name}_cut")
    graph.sort()
    for name in maker.input:
        _before_moves(graph, graph.makers()[name])


def _second(node: onnx.NodeProto) -> str:
    return node.input[1] if len(node.input) > 1 else ""


def _ranks(model: onnx.ModelProto) -> dict[str, int]:
    """Return the number of dimensions of each value, where it is known."""
    inferred = shape_inference.infer_shapes(model).graph
    values = (*inferred.value_info, *inferred.input, *inferred.output)
    return {
        value.name: len(value.type.tensor_type.shape.dim)
        for value in values
        if value.type.tensor_type.HasField("shape")
    }
