"""An ONNX graph that is being rewritten: nodes in order, constants as arrays, who makes a tensor and who reads it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Array = NDArray[Any]


@dataclass
class Graph:
    """A flat graph: no loops and branches. Values are named; constants are arrays by name."""

    nodes: list[onnx.NodeProto]
    """Each after those whose outputs it reads."""
    constants: dict[str, Array]
    inputs: list[onnx.ValueInfoProto]
    outputs: list[onnx.ValueInfoProto]
    _named: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, model: onnx.ModelProto) -> "Graph":
        """Return the graph of a model; what nodes `Constant` hold is among the constants."""
        constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        nodes = []
        for node in model.graph.node:
            if node.op_type == "Constant":
                constants[node.output[0]] = _constant(node)
            else:
                nodes.append(_copy(node))
        return cls(nodes, constants, list(model.graph.input), list(model.graph.output))

    def model(self, like: onnx.ModelProto) -> onnx.ModelProto:
        """Return the graph as a model; opset, producer and metadata are those of `like`."""
        used = {name for node in self.nodes for name in node.input}
        used |= {value.name for value in self.outputs}
        tensors = [numpy_helper.from_array(array, name) for name, array in self.constants.items() if name in used]
        graph = helper.make_graph(self.nodes, like.graph.name, self.inputs, self.outputs, tensors)
        result = onnx.ModelProto()
        result.CopyFrom(like)
        result.graph.CopyFrom(graph)
        del result.functions[:]
        return result

    def makers(self) -> dict[str, onnx.NodeProto]:
        """Return the node that makes each value."""
        return {name: node for node in self.nodes for name in node.output}

    def readers(self) -> dict[str, list[onnx.NodeProto]]:
        """Return the nodes that read each value; an output of the graph has none for that."""
        found: dict[str, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.input):
                found.setdefault(name, []).append(node)
        return found

    @property
    def output_names(self) -> set[str]:
        """The names of what the graph returns."""
        return {value.name for value in self.outputs}

    def constant(self, array: Array, stem: str) -> str:
        """Return the name of a new constant, an array of any shape and dtype."""
        name = self.fresh(stem)
        self.constants[name] = array
        return name

    def fresh(self, stem: str) -> str:
        """Return a name that nothing in the graph has."""
        if not self._named:
            self._named.update(name for node in self.nodes for name in (*node.output, node.name))
            self._named.update((*self.constants, *(value.name for value in self.inputs)))
        name, count = stem, 0
        while name in self._named:
            count += 1
            name = f"{stem}_{count}"
        self._named[name] += 1
        return name

    def add(self, kind: str, reads: Sequence[str], stem: str, **attributes: Any) -> str:
        """Put a node with one output at the end, and return the name of that, made from `stem`."""
        output = self.fresh(stem)
        node = helper.make_node(kind, list(reads), [output], name=self.fresh(f"{output}_{kind}"), **attributes)
        self.nodes.append(node)
        return output

    def rename_reads(self, old: str, new: str, *, but: Iterable[onnx.NodeProto] = ()) -> None:
        """Let all readers of `old` read `new`, except the nodes `but`."""
        left = {id(node) for node in but}
        for node in self.nodes:
            if id(node) not in left:
                for index, name in enumerate(node.input):
                    if name == old:
                        node.input[index] = new

    def remove(self, gone: Iterable[onnx.NodeProto]) -> None:
        """Take nodes out."""
        left = {id(node) for node in gone}
        self.nodes = [node for node in self.nodes if id(node) not in left]

    def prune(self) -> None:
        """Remove nodes whose outputs are not read."""
        needed, kept = set(self.output_names), []
        self.sort()
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                needed.update(node.input)
                kept.append(node)
        self.nodes = kept[::-1]

    def sort(self) -> None:
        """Put each node after those whose outputs it reads."""
        makers, done, order = self.makers(), set(), []
        for last in self.nodes:
            stack = [last]
            while stack:
                node = stack[-1]
                waits = [makers[name] for name in node.input if name in makers and id(makers[name]) not in done]
                if waits:
                    stack.extend(waits)
                    continue
                stack.pop()
                if id(node) not in done:
                    done.add(id(node))
                    order.append(node)
        self.nodes = order


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Return the attributes of a node by name; text as text."""
    values = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in values.items()}


def set_attribute(node: onnx.NodeProto, name: str, value: Any) -> None:
    """Give a node an attribute, in place of the one that it has."""
    kept = [item for item in node.attribute if item.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, value)])


def _copy(node: onnx.NodeProto) -> onnx.NodeProto:
    copied = onnx.NodeProto()
    copied.CopyFrom(node)
    return copied


def _constant(node: onnx.NodeProto) -> Array:
    values = attributes(node)
    if "value" in values:
        return numpy_helper.to_array(values["value"])
    kinds = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    name, value = next(iter(values.items()))
    return np.asarray(value, dtype=kinds[name])
