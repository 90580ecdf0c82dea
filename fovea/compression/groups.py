"""Groups of channels that are alike, from what is known of all places after a pass."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import nn

from fovea.compression.following import Block, Followed
from fovea.compression.resizing import Side

INPUT = "input"
"""The name of the group of the network's input."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where the channels of a group stand in one layer."""

    layer: str
    """The path of the module; of a tensor that belongs to no known layer, its name; of the network's input, empty."""
    side: Side
    index: NDArray[np.int64]
    """(channels, k): of each channel the k places it has there, along `c_out`, `c_in` or the channels."""


@dataclass(frozen=True, eq=False)
class Group:
    """Channels that stand in the same layers."""

    name: str
    """The layer that makes them, the first in the pass; with a number behind `#` where that makes several groups."""
    places: tuple[Place, ...]
    """In the order of the pass."""
    cells: NDArray[np.int64]
    """(channels,): the cell of each. Equally many of every cell must go: convolutions in groups demand it."""
    fixed: str = ""
    """Why none of them may go, with the layer and the operation; empty if they may."""

    def __len__(self) -> int:
        return len(self.cells)

    def at(self, side: Side) -> tuple[Place, ...]:
        """Return the places on one side."""
        return tuple(place for place in self.places if place.side == side)


class Line(NamedTuple):
    """The channels along one side of a layer, or one axis of a tensor on its own."""

    layer: str
    side: Side
    labels: NDArray[np.int64]
    axis: int | None = None


def lines(found: Followed, model: nn.Module) -> tuple[list[Line], dict[int, str]]:
    """Return the channels along all sides, and why some are fixed beside the reasons of the pass."""
    made, reasons, writers = list[Line](), dict[int, str](), set[int]()
    modules, shared, stored = dict(model.named_modules()), _shared(model), model.state_dict().keys()
    for block in found.blocks:
        labels = found.of(block)
        layer = modules.get(block.layer)
        line, reason = _line(block, labels) if layer is None else (Line(block.layer, block.side, labels), "")
        if layer is not None and block.layer and any(id(tensor) in shared for tensor in layer.parameters()):
            reason = f"`{block.layer}` shares its weights"
        if layer is None and block.layer not in stored:
            reason = f"`{block.layer}` is not stored in the file"
        if line is not None:
            made.append(line)
        if reason:
            reasons |= dict.fromkeys(map(int, np.unique(labels)), reason)
        if block.side in ("out", "pad"):
            writers |= set(map(int, labels.flat))
    for line in made:
        alone = {int(one) for one in line.labels} - writers - reasons.keys()
        reasons |= dict.fromkeys(alone, f"the input of `{line.layer}` does not come from a layer")
    return made, reasons


def _line(block: Block, labels: NDArray[np.int64]) -> tuple[Line | None, str]:
    """Return the channels along the one axis of a tensor on its own that has several; or why there is none."""
    if labels.size == 1:
        return None, f"`{block.layer}` is one number"
    for axis in range(labels.ndim):
        first = labels[tuple(slice(None) if k == axis else slice(1) for k in range(labels.ndim))]
        if (labels == first).all():
            return Line(block.layer, "each", first.flatten(), axis), ""
    return None, f"`{block.layer}` has numbers for several channels at a time"


def _shared(model: nn.Module) -> set[int]:
    """Return the identities of parameters that several modules have."""
    seen, found = set[int](), set[int]()
    for _, tensor in model.named_parameters(remove_duplicate=False):
        (found if id(tensor) in seen else seen).add(id(tensor))
    return found


def grouped(found: Followed, model: nn.Module) -> tuple[tuple[Group, ...], list[Line]]:
    """Return the groups of channels, in the order of the pass, and the channels along all sides."""
    along, own = lines(found, model)
    places = dict[int, dict[int, list[int]]]()
    for i, line in enumerate(along):
        for place, label in enumerate(map(int, line.labels)):
            places.setdefault(label, {}).setdefault(i, []).append(place)
    alike = dict[tuple[str, tuple[tuple[int, int], ...]], list[int]]()
    for label, at in places.items():
        reason = found.reasons.get(label) or own.get(label, "")
        alike.setdefault((reason, tuple((i, len(k)) for i, k in at.items())), []).append(label)
    divided = [(what, _part_of(parts), len(parts)) for what, parts in found.divisions]
    names = dict[str, int]()
    groups = []
    for (reason, _), labels in alike.items():
        made = tuple(
            Place(along[i].layer, along[i].side, np.array([places[label][i] for label in labels]))
            for i in places[labels[0]]
        )
        cells, fault = _cells(labels, divided)
        groups.append(Group(_name(made, names), made, cells, reason or fault))
    return tuple(groups), along


def _name(places: Iterable[Place], names: dict[str, int]) -> str:
    """Return the name of a group of these places, of which there is no other in `names`, and add it."""
    made = sorted(places, key=lambda place: place.side == "in")  # what reads comes last
    name = made[0].layer or INPUT
    names[name] = names.get(name, 0) + 1
    return name if names[name] == 1 else f"{name}#{names[name]}"


def _part_of(parts: NDArray[np.int64]) -> dict[int, int]:
    """Return the part that each channel is in; -1 where it is in several."""
    found = dict[int, int]()
    for part, labels in enumerate(parts):
        for label in map(int, labels):
            found[label] = part if found.get(label, part) == part else -1
    return found


def _cells(
    labels: Sequence[int], divided: Sequence[tuple[str, Mapping[int, int], int]]
) -> tuple[NDArray[np.int64], str]:
    """Return the cell of each channel, and why none may go where equal parts could not be kept."""
    columns, whole = [], np.zeros(len(labels), np.int64)
    for what, part_of, parts in divided:
        if labels[0] not in part_of:
            continue
        part = np.array([part_of.get(label, -1) for label in labels])
        if part.min() < 0 or len(np.unique(part)) < parts:
            return whole, f"{what} divides them, with others, into {parts} groups"
        columns.append((what, part))
    if not columns:
        return whole, ""
    cells = np.unique(np.stack([part for _, part in columns], 1), axis=0, return_inverse=True)[1].reshape(-1)
    if len(labels) == cells.max() + 1:
        return whole, f"{columns[-1][0]} has one of them in each of its groups"
    for what, part in columns:
        if len({len(np.unique(cells[part == one])) for one in np.unique(part)}) > 1:
            return whole, f"{what} divides them into other groups than the layer before"
    return cells.astype(np.int64), ""
