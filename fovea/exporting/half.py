"""A float32 graph as one that computes in float16 where that is safe, its inputs and outputs still float32.

Convolutions, products and what lies between them become half; sums over many values, exponentials and norms stay
float32, and so does every node whose values come near the largest float16.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fovea.exporting.core import INPUT
from fovea.exporting.library import library
from fovea.exporting.ranges import largest_values

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

COMPUTING = {"Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Sub", "Mul"}
ACTIVATIONS = {"Relu", "LeakyRelu", "PRelu", "Clip", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Min", "Max"}
MOVING = {"Concat", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split", "Pad", "Expand"}
POOLING = {"MaxPool", "AveragePool"}
HALVED = COMPUTING | ACTIVATIONS | MOVING | POOLING
"""The operators that are computed in float16."""
LARGEST = float(np.finfo(np.float16).max) / 2
"""Values beyond this keep their nodes in float32; other inputs may bring values twice as large."""
OBSERVED = 8
"""Inputs whose values are looked at."""
ENDING = ".half"
"""Ends the names of float16 tensors."""


def halved(model: "ModelProto", inputs: NDArray[np.float32]) -> "tuple[ModelProto, list[str]]":
    """Return a float core in float16, and the names of the nodes that could be but keep their values in float32.

    `inputs` (N, C, H, W) are float32 and normalised, for a look at how large values become. The core is not changed.
    """
    onnx = library("onnx")
    graph_of: ModelProto = onnx.shape_inference.infer_shapes(model, data_prop=True)
    floats = _floats(graph_of.graph)
    chosen = [node for node in graph_of.graph.node if node.op_type in HALVED and set(node.output) & floats]
    touched = {name for node in chosen for name in (*node.input, *node.output) if name in floats}
    constants = {tensor.name: tensor for tensor in graph_of.graph.initializer}
    largest = largest_values(model, INPUT, inputs[:OBSERVED], of=touched - set(constants))
    for name in touched & set(constants):
        largest[name] = float(np.abs(onnx.numpy_helper.to_array(constants[name])).max(initial=0))
    kept = [node.name for node in chosen if _beyond(node, largest)]
    halves = {node.name for node in chosen} - set(kept)
    _Rewriting(graph_of.graph, floats, halves).run()
    return graph_of, kept


def _floats(graph: "GraphProto") -> set[str]:
    """Return the names of the float32 tensors of a graph whose shapes are inferred."""
    kind = library("onnx").TensorProto.FLOAT
    values = {value.name for value in (*graph.input, *graph.value_info, *graph.output) if _type(value) == kind}
    return values | {tensor.name for tensor in graph.initializer if tensor.data_type == kind}


def _type(value: Any) -> int:
    kind: int = value.type.tensor_type.elem_type
    return kind


def _beyond(node: "NodeProto", largest: dict[str, float]) -> bool:
    """Tell whether a node takes or gives values that float16 cannot hold, or what is no number."""
    return not all(largest[name] <= LARGEST for name in (*node.input, *node.output) if name in largest)


class _Rewriting:
    """A graph in which some nodes are given float16 inputs and outputs, with casts where others meet them."""

    def __init__(self, graph: "GraphProto", floats: set[str], halves: set[str]) -> None:
        onnx = library("onnx")
        self.graph, self.floats, self.halves = graph, floats, halves
        self.helper, self.arrays, self.kinds = onnx.helper, onnx.numpy_helper, onnx.TensorProto
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.there: set[str] = {value.name for value in graph.input} | set(self.constants)
        """The tensors that are computed so far, in float32 or, with `ENDING`, in float16."""
        self.added: list[Any] = []

    def run(self) -> None:
        """Change the graph."""
        nodes = [each for node in self.graph.node for each in self._rewritten(node)]
        nodes += [self._cast(name) for name in self._missing(value.name for value in self.graph.output)]
        used = {name for node in nodes for name in node.input}
        kept = [tensor for tensor in (*self.graph.initializer, *self.added) if tensor.name in used]
        for field, values in (("node", nodes), ("initializer", kept), ("value_info", [])):
            self.graph.ClearField(field)
            getattr(self.graph, field).extend(values)

    def _rewritten(self, node: "NodeProto") -> "Iterator[NodeProto]":
        """Yield the node as it is to be, behind the casts that it needs."""
        half = node.name in self.halves
        wanted = [f"{name}{ENDING}" if half and name in self.floats else name for name in node.input]
        for name in self._missing(wanted):
            yield self._cast(name)
        node.input[:] = wanted
        node.output[:] = [f"{name}{ENDING}" if half and name in self.floats else name for name in node.output]
        self.there |= set(node.output)
        yield node

    def _missing(self, names: Iterable[str]) -> list[str]:
        """Return which of the names still need a cast; halves of constants are made at once."""
        missing = []
        for name in dict.fromkeys(names):
            plain = name.removesuffix(ENDING)
            if name and name not in self.there and plain in self.constants:
                values = self.arrays.to_array(self.constants[plain]).astype(np.float16)
                self.added.append(self.arrays.from_array(values, name))
                self.there.add(name)
            elif name and name not in self.there:
                missing.append(name)
                self.there.add(name)
        return missing

    def _cast(self, name: str) -> "NodeProto":
        """Return the node that makes a tensor of its other form."""
        half = name.endswith(ENDING)
        given = name.removesuffix(ENDING) if half else f"{name}{ENDING}"
        kind = self.kinds.FLOAT16 if half else self.kinds.FLOAT
        node: NodeProto = self.helper.make_node("Cast", [given], [name], name=f"{name}.cast", to=kind)
        return node
