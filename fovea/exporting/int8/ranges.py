"""The steps of each value: from the range that was seen of it, and from which values are stored alike."""

from collections.abc import Callable, Iterable, Mapping

from fovea.exporting.int8.arithmetic import Steps
from fovea.exporting.int8.calibration import Observed
from fovea.exporting.int8.graph import Graph
from fovea.exporting.int8.selection import Selection

Choose = Callable[[Observed], tuple[float, float]]
Ends = tuple[float, float]

ENOUGH = 0.5
"""A value that others read too shares the steps of a concatenation where it fills so much of their range."""


def steps_of(
    graph: Graph,
    selection: Selection,
    seen: Mapping[str, Observed],
    choose: Choose,
    *,
    fixed: Mapping[str, Steps],
) -> dict[str, Steps]:
    """Return the steps of each value; those of values that are stored alike cover the widest range among them.

    What a concatenation puts together is stored alike where that costs nothing, so that it is copied and not converted.
    A group with a value in `fixed` has the steps of that.
    """
    ranges = {name: ends for group in selection.groups for name in group if (ends := _range(graph, name, seen, choose))}
    groups = _joined(graph, selection, ranges)
    found: dict[str, Steps] = {}
    for group in groups:
        given = [fixed[name] for name in sorted(group) if name in fixed]
        steps = given[0] if given else Steps.of_range(*_widest(ranges[name] for name in group if name in ranges))
        found.update(dict.fromkeys(group, steps))
    return found


def _joined(graph: Graph, selection: Selection, ranges: Mapping[str, Ends]) -> list[set[str]]:
    """Return the groups of values that are stored alike, concatenations counted."""
    readers = graph.readers()
    of = {name: group for group in selection.groups for name in group}
    for node in selection.nodes:
        if node.op_type != "Concat":
            continue
        for name in node.input:
            group, whole = of[name], of[node.output[0]]
            outside = (
                reader for member in group for reader in readers.get(member, []) if reader.output[0] not in group
            )
            alone = all(reader is node for reader in outside)
            if group is whole or not (alone or _fills(group | whole, ranges)):
                continue
            whole |= group
            of.update(dict.fromkeys(group, whole))
    return list({id(group): group for group in of.values()}.values())


def _fills(group: Iterable[str], ranges: Mapping[str, Ends]) -> bool:
    """Tell whether the narrowest range of a group is wide enough beside the widest."""
    widths = [high - low for low, high in (_widest([ranges[name]]) for name in group if name in ranges)]
    return not widths or min(widths) >= ENOUGH * max(widths)


def _widest(ranges: Iterable[Ends]) -> Ends:
    """Return the ends of all ranges together with zero."""
    lows, highs = zip((0.0, 0.0), *ranges, strict=True)
    return min(lows), max(highs)


def _range(graph: Graph, name: str, seen: Mapping[str, Observed], choose: Choose) -> Ends | None:
    """Return the range of a value; None of one that only moves others, whose range is theirs."""
    if name in graph.constants:
        return float(graph.constants[name].min()), float(graph.constants[name].max())
    return choose(seen[name]) if name in seen else None
