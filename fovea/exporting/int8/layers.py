"""The layers of a folded core that may stay float, by names that a person can write."""

from collections.abc import Collection, Sequence

import onnx

from fovea.errors import unknown
from fovea.exporting.int8.graph import Graph
from fovea.exporting.int8.selection import layers

PARAMETER = ".weight"
"""Ends the names of weights; what stands before is the layer's place in the network."""
WRAPPED = "model."
"""Begins them in a float core, where the network is a part of what is traced."""


def layer_names(core: onnx.ModelProto) -> list[str]:
    """Return the names of the layers with weights, in the order of the graph: `stage1.block1.conv1`."""
    return [node.name for node in layers(Graph.of(core))]


def name_layers(graph: Graph) -> None:
    """Give layers with weights the names that they have in the network, and all other nodes one of their own."""
    for node in layers(graph):
        weights = node.input[1]
        place = weights[: weights.index(PARAMETER)].removeprefix(WRAPPED) if PARAMETER in weights else ""
        if place:
            node.name = place
    seen: set[str] = set()
    for node in graph.nodes:
        if not node.name or node.name in seen:
            node.name = graph.fresh(node.name or f"{node.output[0]}_{node.op_type}")
        seen.add(node.name)


def named(core: onnx.ModelProto, wanted: Collection[str]) -> Sequence[str]:
    """Return the layers that are meant: each name is a layer's, or that of a part of the network with all below it.

    Raises: UsageError for a name that means none.
    """
    known = layer_names(core)
    found: list[str] = []
    for name in wanted:
        meant = [layer for layer in known if layer == name or layer.startswith(f"{name}.")]
        if not meant:
            raise unknown("layer", name, known)
        found.extend(meant)
    return list(dict.fromkeys(found))
