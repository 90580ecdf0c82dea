"""From a float core to the same core in int8."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import onnx

from fovea.exporting.int8.calibration import Observed
from fovea.exporting.int8.front import image_front, number_front
from fovea.exporting.int8.graph import Graph
from fovea.exporting.int8.ranges import Choose, steps_of
from fovea.exporting.int8.selection import select
from fovea.exporting.int8.writing import Writer
from fovea.inputs.interface import Preprocessing


@dataclass(frozen=True, kw_only=True)
class Observations:
    """A folded float core, and what was seen in it on calibration samples."""

    core: onnx.ModelProto
    """Input `input` float32 (N, *shape), output `logits`."""
    seen: Mapping[str, Observed]
    preprocess: Preprocessing


def quantised(found: Observations, choose: Choose, *, kept: Collection[str] = (), images: str = "") -> onnx.ModelProto:
    """Return a core with the pairs of int8, each range chosen from what was seen; the layers `kept` stay float.

    With `images` its input has that name and is uint8 (N, H, W, C), normalisation inside, where the core allows that;
    else it is the float input of the core.
    """
    graph = Graph.of(found.core)
    means = found.seen[graph.inputs[0].name].means
    front = None
    if images and not _keeps_first(graph, kept):
        front = image_front(graph, found.preprocess, name=images, means=means)
    front = front or number_front(graph, found.preprocess.shape, means=means)
    selection = select(graph, kept=kept, stored=front.steps if front.stored else (graph.inputs[0].name,))
    steps = steps_of(graph, selection, found.seen, choose, fixed=front.steps)
    known = {name: seen.means for name, seen in found.seen.items() if seen.means is not None}
    Writer(graph, selection, steps, {**known, **front.means}).write()
    if front.stored:
        _begin_stored(graph, front.stored)
    return graph.model(found.core)


def _keeps_first(graph: Graph, kept: Collection[str]) -> bool:
    return any(node.name in kept for node in graph.readers().get(graph.inputs[0].name, []))


def _begin_stored(graph: Graph, name: str) -> None:
    """Make the input the stored value itself, uint8: it needs no `QuantizeLinear`."""
    write = next(node for node in graph.nodes if node.op_type == "QuantizeLinear" and node.input[0] == name)
    graph.remove([write])
    graph.rename_reads(write.output[0], name)
    graph.inputs[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
