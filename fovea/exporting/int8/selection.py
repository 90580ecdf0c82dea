"""Which nodes of a float graph run in int8, and which values share their steps."""

from collections.abc import Collection
from dataclasses import dataclass, field

import onnx

from fovea.exporting.int8.graph import Graph, attributes

WEIGHTED = {"Conv": 0, "Gemm": 0, "MatMul": 1}
"""Layers with weights, and the axis of their output channels; of `Gemm` with transB = 1."""
COMPUTING = ("Add", "Mul", "Concat", "AveragePool", "GlobalAveragePool", "Sigmoid", "HardSigmoid", "LeakyRelu")
"""What onnxruntime computes in uint8, with steps of their own for the result."""
PASSING = (
    "MaxPool",
    "Reshape",
    "Flatten",
    "Transpose",
    "Squeeze",
    "Unsqueeze",
    "Slice",
    "Split",
    "DepthToSpace",
    "SpaceToDepth",
)
"""What only moves or selects values: the result has the steps of the input."""
CUTTING = ("Relu", "Clip")
"""What uint8 does by itself where its steps end there."""
FUSING = ("Add", "Mul")
"""Beside layers with weights, what an activation may stand right behind without a step between."""


@dataclass
class Selection:
    """What runs in int8."""

    nodes: list[onnx.NodeProto]
    """In the order of the graph; activations that are cut by the steps of the node before are among them."""
    fused: dict[str, onnx.NodeProto] = field(default_factory=dict)
    """By the output of a node, the `Relu` or `Clip` that only cuts it."""
    groups: list[set[str]] = field(default_factory=list)
    """Values that must share their steps; each value is in one group."""

    @property
    def values(self) -> set[str]:
        """All values that have steps."""
        return set().union(*self.groups)


def select(graph: Graph, *, kept: Collection[str] = (), stored: Collection[str] = ()) -> Selection:
    """Return what runs in int8: all that can, except the layers with the names `kept`.

    The inputs `stored` are quantised from the beginning.
    """
    tail = _tail(graph)
    taken: list[onnx.NodeProto] = []
    quantised = set(stored)
    for node in graph.nodes:
        # with one float input a concatenation would leave the maximum behind it to a slow kernel
        enough = all if node.op_type == "Concat" else any
        data = [name for name in node.input if name and name not in graph.constants]
        inner = bool(data) and enough(name in quantised for name in data)
        wanted = node.op_type in WEIGHTED and _has_weights(graph, node)
        wanted |= inner and _fits(graph, node)
        if wanted and node.name not in kept and id(node) not in tail:
            taken.append(node)
            quantised.update(node.output if node.op_type != "MatMul" else ())
    fused = _fused(graph, taken)
    return Selection(taken, fused, _groups(graph, taken, {*fused, *_exact(graph, taken)}))


def layers(graph: Graph) -> list[onnx.NodeProto]:
    """Return the layers with weights, which may be kept in float by name."""
    return [node for node in graph.nodes if node.op_type in WEIGHTED and _has_weights(graph, node)]


def data_inputs(graph: Graph, node: onnx.NodeProto) -> list[str]:
    """Return the inputs of a node that are activations, or constants that are computed with as activations are."""
    if node.op_type in WEIGHTED or node.op_type in (*PASSING, *CUTTING):
        return [node.input[0]]
    return [name for name in node.input if name]


def _tail(graph: Graph) -> set[int]:
    """Return what comes after the last layer with weights and its activation: logits keep more than 256 levels."""
    makers, readers, tail = graph.makers(), graph.readers(), set[int]()
    for node in reversed(graph.nodes):
        after = [reader for name in node.output for reader in readers.get(name, [])]
        maker = makers.get(node.input[0]) if node.input else None
        activation = node.op_type in CUTTING and maker is not None and maker.op_type in WEIGHTED
        if node.op_type not in WEIGHTED and not activation and all(id(reader) in tail for reader in after):
            tail.add(id(node))
    return tail


def _fused(graph: Graph, taken: list[onnx.NodeProto]) -> dict[str, onnx.NodeProto]:
    """Return, by the value that they cut, the activations that are the only readers of a computed value."""
    readers, chosen, found = graph.readers(), {id(node) for node in taken}, {}
    for node in taken:
        if node.op_type not in (*WEIGHTED, *FUSING) or node.output[0] in graph.output_names:
            continue
        after = readers.get(node.output[0], [])
        if len(after) == 1 and after[0].op_type in CUTTING and id(after[0]) in chosen:
            found[node.output[0]] = after[0]
    return found


def limits(graph: Graph, node: onnx.NodeProto) -> tuple[float, float] | None:
    """Return where a `Relu` or `Clip` cuts; None if that is not fixed, or zero lies outside."""
    if node.op_type == "Relu":
        return 0.0, float("inf")
    ends = [float("-inf"), float("inf")]
    for index, name in enumerate(node.input[1:3]):
        if name and name not in graph.constants:
            return None
        if name:
            ends[index] = float(graph.constants[name])
    return (ends[0], ends[1]) if ends[0] <= 0 <= ends[1] else None


def _has_weights(graph: Graph, node: onnx.NodeProto) -> bool:
    constant = all(name in graph.constants for name in node.input[1:] if name)
    values = attributes(node)
    if constant and node.op_type == "MatMul":
        return graph.constants[node.input[1]].ndim == 2
    plain = node.op_type != "Gemm" or (
        values.get("alpha", 1.0) == values.get("beta", 1.0) == 1.0 and not values.get("transA", 0)
    )
    return constant and plain and node.input[0] not in graph.constants


def _fits(graph: Graph, node: onnx.NodeProto) -> bool:
    """Tell whether onnxruntime has the node in uint8."""
    if node.op_type in CUTTING:
        return limits(graph, node) is not None
    if node.op_type in PASSING:
        return all(name in graph.constants for name in node.input[1:] if name)
    if node.op_type == "AveragePool":
        return set(attributes(node).get("dilations", [1])) == {1}
    return node.op_type in COMPUTING


def _groups(graph: Graph, nodes: list[onnx.NodeProto], without: set[str]) -> list[set[str]]:
    """Return the values with steps, together where they must be the same; none of those `without`."""
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.setdefault(name, name) != name:
            name = leader[name]
        return name

    for node in nodes:
        read = [] if node.input[0] in without else data_inputs(graph, node)
        made = [name for name in node.output if name not in without]
        for name in (*read, *made):
            find(name)
        if node.op_type in PASSING:
            for name in made:
                leader[find(name)] = find(read[0])
    groups: dict[str, set[str]] = {}
    for name in leader:
        groups.setdefault(find(name), set()).add(name)
    return list(groups.values())


def _exact(graph: Graph, taken: list[onnx.NodeProto]) -> set[str]:
    """Return what nodes give in float, as matrix products can: logits and what only float nodes read lose nothing."""
    readers, chosen = graph.readers(), {id(node) for node in taken}
    return {
        node.output[0]
        for node in taken
        if node.op_type == "MatMul"
        or (node.op_type == "Gemm" and not any(id(reader) in chosen for reader in readers.get(node.output[0], [])))
    }
