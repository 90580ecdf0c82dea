"""Groups of channels that are alike, from what is known of all places after a pass."""

from collections.abc import Iterable
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
    """Channels that are alike."""

    name: str
    """The layer that makes them, the first in the pass; with a number behind `#` where that makes several groups."""
    places: tuple[Place, ...]
    """In the order of the pass."""
    cells: NDArray[np.int64]
    """(channels,): the cell of each. Equally many of every cell must go: convolutions in groups demand it."""
    fixed: str = ""
    """Why none of them may go, with the layer and the operation; empty where they may."""

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
    made, reasons = list[Line](), dict[int, str]()
    writers = set[int]()
    for block in found.blocks:
        labels = found.of(block)
        line, reason = _line(block, labels, model)
        if line is not None:
            made.append(line)
        if reason:
            reasons |= dict.fromkeys(map(int, np.unique(labels)), reason)
        if block.side in ("out", "pad"):
            writers |= set(map(int, labels.flat))
    for line in made:
        reasons |= {int(one): "no layer makes them" for one in line.labels if int(one) not in writers | reasons.keys()}
    return made, reasons


def _line(block: Block, labels: NDArray[np.int64], model: nn.Module) -> tuple[Line | None, str]:
    """Return the channels along a block, and why they are fixed."""
    if block.layer == "":
        return Line("", block.side, labels), ""
    if block.layer in dict(model.named_modules()):
        shared = _shared(model)
        layer = model.get_submodule(block.layer)
        reason = f"`{block.layer}` shares its weights" if any(id(one) in shared for one in layer.parameters()) else ""
        return Line(block.layer, block.side, labels), reason
    if labels.size == 1:
        return None, f"`{block.layer}` is one number"
    for axis in range(labels.ndim):
        first = labels[tuple(slice(None) if k == axis else slice(1) for k in range(labels.ndim))]
        if (labels == first).all():
            kept = block.layer in model.state_dict()
            return Line(block.layer, "each", first.flatten(), axis), "" if kept else f"`{block.layer}` is in no file"
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
    alike = dict[tuple[object, ...], list[dict[int, list[int]]]]()
    for label, at in places.items():
        reason = found.reasons.get(label) or own.get(label, "")
        alike.setdefault((reason, *((i, len(k)) for i, k in at.items())), []).append(at)
    names = dict[str, int]()
    groups = []
    for (reason, *_), members in alike.items():
        made = tuple(
            Place(along[i].layer, along[i].side, np.array([member[i] for member in members])) for i in members[0]
        )
        cells, fault = _cells(made, len(members), found, along)
        groups.append(Group(_name(made, names), made, cells, str(reason) or fault))
    return tuple(groups), along


def _name(places: Iterable[Place], names: dict[str, int]) -> str:
    """Return the name of a group of these places, of which there is no other in `names`, and add it."""
    made = sorted(places, key=lambda place: place.side == "in")  # what reads comes last
    name = made[0].layer or INPUT
    names[name] = names.get(name, 0) + 1
    return name if names[name] == 1 else f"{name}#{names[name]}"


def _cells(
    places: Iterable[Place], channels: int, found: Followed, along: Iterable[Line]
) -> tuple[NDArray[np.int64], str]:
    """Return the cell of each channel, and why none may go where equal parts cannot be kept."""
    sizes = {(line.layer, line.side): len(line.labels) for line in along}
    divided = [place for place in places if (place.layer, place.side) in found.parts]
    columns = []
    for place in divided:
        parts = found.parts[place.layer, place.side]
        part = place.index * parts // sizes[place.layer, place.side]
        if (part != part[:, :1]).any() or len(np.unique(part)) < parts:
            return np.zeros(channels, np.int64), f"`{place.layer}` divides them, with others, into {parts} groups"
        columns.append(part[:, 0])
    if not columns:
        return np.zeros(channels, np.int64), ""
    cells = np.unique(np.stack(columns, 1), axis=0, return_inverse=True)[1].reshape(-1)
    for place, part in zip(divided, columns, strict=True):
        each = {len(np.unique(cells[part == one])) for one in np.unique(part)}
        if len(each) > 1:
            return cells, f"`{place.layer}` divides them into groups that do not go with those before"
    return cells.astype(np.int64), ""
