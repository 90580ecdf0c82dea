"""From a float core to the same core in int8."""

from collections.abc import Callable, Collection, Mapping

import onnx

from fovea.exporting.int8.arithmetic import Steps
from fovea.exporting.int8.calibration import Observed
from fovea.exporting.int8.graph import Graph
from fovea.exporting.int8.selection import Selection, select
from fovea.exporting.int8.writing import Writer

Range = Callable[[Observed], tuple[float, float]]


def quantised(
    core: onnx.ModelProto, seen: Mapping[str, Observed], choose: Range, *, kept: Collection[str] = ()
) -> onnx.ModelProto:
    """Return a folded float core with the pairs of int8, its ranges chosen from what was `seen`."""
    graph = Graph.of(core)
    selection = select(graph, kept=kept)
    Writer(graph, selection, steps_of(graph, selection, seen, choose)).write()
    return graph.model(core)


def steps_of(graph: Graph, selection: Selection, seen: Mapping[str, Observed], choose: Range) -> dict[str, Steps]:
    """Return the steps of each value; the values of a group share those of the widest range among them."""
    found = {}
    for group in selection.groups:
        ranges = [_constant_range(graph, name) if name in graph.constants else choose(seen[name]) for name in group]
        steps = Steps.of_range(min(low for low, _ in ranges), max(high for _, high in ranges))
        found.update(dict.fromkeys(group, steps))
    return found


def _constant_range(graph: Graph, name: str) -> tuple[float, float]:
    values = graph.constants[name]
    return float(values.min()), float(values.max())
