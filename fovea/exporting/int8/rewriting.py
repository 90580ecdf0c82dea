"""Rewrites of a float graph that change no result but for its rounding, into what has fast kernels in int8."""

import numpy as np
import onnx
from onnx import helper, shape_inference

from fovea.exporting.int8.folding import fold_affine, fold_batch_norm
from fovea.exporting.int8.graph import Graph, attributes, set_attribute
from fovea.exporting.int8.layers import name_layers
from fovea.exporting.int8.session import session, with_outputs

BATCHES = (2, 3)
"""Sizes of batches that tell what of a shape depends on them."""
CUTS = ("Relu", "Clip")
"""Activations that may as well stand before values are put together or the largest is taken."""
FEW_CHANNELS = 4
"""A convolution in groups of so few input channels is written without groups: kernels for groups are slow."""

Shape = tuple[int, ...]


def fold(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the same function with batch norms in the convolutions, and in nodes that int8 is good at."""
    graph = Graph.of(model)
    shapes = _shapes(model)
    _remove_identities(graph)
    _fix_shapes(graph, model)
    for node in list(graph.nodes):
        shape = shapes.get(node.input[0], ()) if node.input else ()
        if node.op_type == "BatchNormalization":
            fold_batch_norm(graph, node, rank=len(shape))
        elif node.op_type == "HardSwish":
            _split_hard_swish(graph, node)
        elif node.op_type == "ReduceMean":
            _as_global_pool(graph, node, rank=len(shape))
        elif node.op_type == "AveragePool":
            _as_convolution(graph, node, shape)
        elif node.op_type == "Conv":
            _without_groups(graph, node)
    for node in list(graph.nodes):
        if node.op_type in ("Mul", "Add"):
            fold_affine(graph, node)
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


def _split_hard_swish(graph: Graph, node: onnx.NodeProto) -> None:
    """Write a hard swish as the product of its input and a hard sigmoid: each of these has a kernel in uint8."""
    gate = graph.add("HardSigmoid", [node.input[0]], f"{node.output[0]}_gate", alpha=1 / 6, beta=0.5)
    node.op_type = "Mul"
    del node.attribute[:]
    node.input[:] = [node.input[0], gate]
    graph.sort()


def _as_global_pool(graph: Graph, node: onnx.NodeProto, *, rank: int) -> None:
    """Make a mean over all places of each channel a `GlobalAveragePool`, which has a kernel in uint8."""
    values = attributes(node)
    second = node.input[1] if len(node.input) > 1 else ""
    axes = values.get("axes") or [int(axis) for axis in graph.constants.get(second, np.asarray([]))]
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


def _as_convolution(graph: Graph, node: onnx.NodeProto, shape: Shape) -> None:
    """Make a mean of places a convolution of one kernel for each channel: that of int8 is many times as fast.

    What leaves the padding out of its means is none.
    """
    values = attributes(node)
    kernel, channels = values["kernel_shape"], shape[1] if len(shape) == 2 + len(values["kernel_shape"]) else 0
    plain = values.get("auto_pad", "NOTSET") == "NOTSET" and not values.get("ceil_mode", 0)
    if not channels or not plain or (any(values.get("pads", ())) and not values.get("count_include_pad", 0)):
        return
    weights = np.full((channels, 1, *kernel), 1 / np.prod(kernel), np.float32)
    kept = [item for item in node.attribute if item.name in ("kernel_shape", "strides", "pads", "dilations")]
    del node.attribute[:]
    node.attribute.extend(kept)
    set_attribute(node, "group", channels)
    node.op_type = "Conv"
    node.input.append(graph.constant(weights, f"{node.output[0]}_mean"))


def _without_groups(graph: Graph, node: onnx.NodeProto) -> None:
    """Write the weights of a convolution in groups of very few input channels as those of one without."""
    groups = attributes(node).get("group", 1)
    if groups == 1 or node.input[1] not in graph.constants:
        return
    weights = graph.constants[node.input[1]]
    F, C, *kernel = weights.shape
    if groups * C > FEW_CHANNELS:
        return
    whole = np.zeros((F, groups * C, *kernel), weights.dtype)
    for index in range(F):
        begin = index // (F // groups) * C
        whole[index, begin : begin + C] = weights[index]
    node.input[1] = graph.constant(whole, f"{node.input[1]}_whole")
    set_attribute(node, "group", 1)


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


def _shapes(model: onnx.ModelProto) -> dict[str, Shape]:
    """Return the shape of each value where its rank is known, 0 for what of it is not."""
    inferred = shape_inference.infer_shapes(model).graph
    values = (*inferred.value_info, *inferred.input, *inferred.output)
    return {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in values
        if value.type.tensor_type.HasField("shape")
    }
