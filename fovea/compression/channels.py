"""Which channels of a network live and die together, and how to take some away.

A *channel* is one value of a map, or unit of a dense layer, with all that follows from it: the filter that makes it,
the norm's numbers for it, the weights that read it. Where maps are added, theirs at the same place are one channel.
A *group* is channels that are alike: they stand in the same layers, so that any of them may go in place of another.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from torch import nn

from fovea.compression.change import Change, kind, layer_named
from fovea.compression.following import followed
from fovea.compression.groups import Group, Line, Place, grouped
from fovea.compression.recording import recorded
from fovea.compression.resizing import Resizing, Side, resizing_of, shortened_along
from fovea.errors import UsageError, first_line, shortened, unknown
from fovea.layers import copied
from fovea.measurement.network import without_values

__all__ = ["Channels", "Group", "Place", "channel_groups", "remove"]

MADE: tuple[Side, ...] = ("out", "pad")
"""Sides that make channels; the others are handed them."""
At = tuple[str, Side]
Labels = Mapping[At, NDArray[np.int64]]
"""The channel at each place, by layer and side."""
Kept = dict[At, list[int]]
"""The places that stay, by layer and side."""


@dataclass(frozen=True, eq=False)
class Channels:
    """All channels of a network, for inputs of one shape."""

    input_shape: tuple[int, ...]
    groups: tuple[Group, ...]
    """In the order of the pass."""
    lines: tuple[Line, ...]
    """The channel at each place of each side of each layer."""
    parts: Mapping[At, int]
    """Into how many equal parts a convolution in groups divides a side."""

    @property
    def free(self) -> tuple[Group, ...]:
        """Those whose channels may go."""
        return tuple(group for group in self.groups if not group.fixed)

    @property
    def fixed(self) -> tuple[Group, ...]:
        """Those whose channels stay, each with the reason."""
        return tuple(group for group in self.groups if group.fixed)

    def __getitem__(self, name: str) -> Group:
        """Return the group `name`; UsageError if there is none."""
        for group in self.groups:
            if group.name == name:
                return group
        raise unknown("group of channels", name, [group.name for group in self.groups])


@kind("channels")
@dataclass(frozen=True)
class Resized(Change):
    """Layers with fewer channels: the channel plan."""

    layers: Mapping[str, Sequence[Any]]
    """By the path of a module its size: [c_in, c_out, groups] of a convolution or dense layer, [c] of a norm, [before,
    after] of a shortcut that appends zeros, the table of a partial convolution."""
    tensors: Mapping[str, tuple[int, int]]
    """By the name of a tensor on its own the axis of its channels and how many there are."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the change that JSON holds."""
        layers, tensors = values.get("layers"), values.get("tensors", {})
        if not {"layers"} <= values.keys() <= {"layers", "tensors"} or not isinstance(layers, dict):
            raise UsageError("A change `channels` has `layers`, sizes by layer, perhaps `tensors`, and no other field.")
        if not isinstance(tensors, dict):
            raise UsageError("`tensors` of a change `channels` must hold an axis and a size by the name of a tensor.")
        for name, size in (layers | tensors).items():
            if not isinstance(size, list) or not all(type(one) is int or isinstance(one, list) for one in size):
                raise UsageError(f"A change `channels` must give `{shortened(name)}` a size, a list of whole numbers.")
        if not all(len(size) == 2 and all(type(one) is int for one in size) for size in tensors.values()):
            raise UsageError("`tensors` of a change `channels` must hold an axis and a size by the name of a tensor.")
        return cls(layers, {name: tuple(size) for name, size in tensors.items()})

    def values(self) -> dict[str, Any]:
        """Return JSON values."""
        tensors = {"tensors": {name: list(size) for name, size in self.tensors.items()}} if self.tensors else {}
        return {"layers": {name: list(size) for name, size in self.layers.items()}, **tensors}

    def apply(self, model: nn.Module) -> None:
        """Make the layers smaller; none grows."""
        for name, size in self.layers.items():
            layer = layer_named(model, name)
            resizing = resizing_of(layer)
            try:
                if resizing is None:
                    raise ValueError("its kind is not known")
                resizing.resize(layer, size)
            except ValueError as error:
                raise UsageError(f"A change cannot resize `{shortened(name)}`: {error}.") from error
        for name, (axis, count) in self.tensors.items():
            try:
                shortened_along(model, name, axis, range(count))
            except (ValueError, AttributeError, OverflowError) as error:
                raise UsageError(f"A change cannot resize the tensor `{shortened(name)}`: {error}.") from error


def channel_groups(model: nn.Module, input_shape: Sequence[int]) -> Channels:
    """Return the groups of channels of `model`, which is left as it is, for inputs (C, *sizes).

    That channels can go is tried, on a copy without values: code that counts on a number of channels fixes them.

    Raises:
        UsageError: the network cannot be followed without values.
    """
    found = _found(model, input_shape)
    wrong = _failing(model, found, [group.name for group in found.free])
    groups = [replace(group, fixed=wrong.get(group.name, group.fixed)) for group in found.groups]
    return replace(found, groups=tuple(groups))


def remove(model: nn.Module, channels: Channels, keep: Mapping[str, Sequence[int]]) -> list[dict[str, Any]]:
    """Take channels out of `model`, in place, and return the changes for its card.

    `keep` gives by the name of a group the channels that stay, numbers from 0 in order; a group that is not named
    stays whole. All weights that are left keep their values.

    Raises:
        UsageError: a group that is fixed or unknown; cells that lose unequal numbers; nothing is left in a layer. The
            network is left as it was.
    """
    for name, stays in keep.items():
        _check(channels[name], stays)
    kept = _kept(channels, keep)
    if not kept:
        return []
    kept = _ordered(copied(without_values(model)), channels, kept)
    return [_cut(model, channels, kept).to_dict()]


def _found(model: nn.Module, input_shape: Sequence[int], kinds: Mapping[str, Resizing] | None = None) -> Channels:
    recording = recorded(model, input_shape)
    ran = {call.path for call in recording.calls}
    if any(path not in ran and resizing_of(layer) for path, layer in recording.model.named_modules()):
        with suppress(UsageError):
            recording = recorded(model, input_shape, heads=True)
    passed = followed(recording, kinds)
    groups, along = grouped(passed, recording.model)
    return Channels(tuple(input_shape), groups, tuple(along), passed.parts)


def _check(group: Group, stays: Sequence[int]) -> None:
    if group.fixed:
        raise UsageError(f"The channels of `{group.name}` cannot be removed: {group.fixed}.")
    if list(stays) != sorted(set(stays)) or not stays or not 0 <= stays[0] <= stays[-1] < len(group):
        raise UsageError(
            f"The channels to keep of `{group.name}` must be from 0 to {len(group) - 1}, in order, at least one."
        )
    counts = np.bincount(group.cells) - np.bincount(group.cells[list(stays)], minlength=group.cells.max() + 1)
    if counts.min() != counts.max():
        raise UsageError(
            f"The same number of channels must be removed from each of the {len(counts)} cells of `{group.name}`."
        )


def _kept(channels: Channels, keep: Mapping[str, Sequence[int]]) -> Kept:
    """Return the places that stay on those sides that lose some."""
    gone = dict[At, set[int]]()
    for name, stays in keep.items():
        leaves = np.setdiff1d(np.arange(len(channels[name])), list(stays))
        for place in channels[name].places if len(leaves) else ():
            gone.setdefault((place.layer, place.side), set()).update(map(int, place.index[leaves].flat))
    sizes = {(line.layer, line.side): len(line.labels) for line in channels.lines}
    kept = {at: [place for place in range(sizes[at]) if place not in places] for at, places in gone.items()}
    for (layer, side), places in kept.items():
        if not places and side != "pad":
            raise UsageError(f"`{layer}` would have no channel left; keep at least one input and one output channel.")
    return kept


def _cut(model: nn.Module, channels: Channels, kept: Kept) -> Resized:
    """Leave these places alone in `model`, in place, and return the change."""
    axes = {line.layer: line.axis for line in channels.lines if line.axis is not None}
    layers, tensors = dict[str, Any](), dict[str, tuple[int, int]]()
    for name in dict.fromkeys(layer for layer, _ in kept):
        own: dict[Side, list[int]] = {side: places for (layer, side), places in kept.items() if layer == name}
        if name in axes:
            shortened_along(model, name, axes[name], own["each"])
            tensors[name] = (axes[name], len(own["each"]))
            continue
        layer = model.get_submodule(name)
        resizing = resizing_of(layer)
        if resizing is None:
            raise UsageError(f"`{name}` has a parametrisation; remove it first.")
        resizing.slice(layer, own)
        layers[name] = resizing.numbers(layer)
    return Resized(layers, tensors)


def _ordered(twin: nn.Module, channels: Channels, kept: Kept) -> Kept:
    """Return the places that stay in the order in which the smaller network's channels come to them.

    Code that deals channels out, as a shuffle, deals fewer out in another order. `twin` has no values, and is changed.

    Raises:
        UsageError: other channels would be added up, read together or left over: the network cannot do without these.
    """
    kinds = {path: known for path, layer in twin.named_modules() if (known := resizing_of(layer))}
    try:
        _cut(twin, channels, kept)
        after = _found(twin, channels.input_shape, kinds)
    except ValueError as error:  # ShapeError and UsageError too
        raise UsageError(f"Without these channels the network does not run: {first_line(error)}") from error
    was = {(line.layer, line.side): line.labels for line in channels.lines}
    stay = {at: kept.get(at, range(len(labels))) for at, labels in was.items()}
    now = {(line.layer, line.side): line.labels for line in after.lines}
    if wrong := [at for at in {**was, **now} if len(stay.get(at, ())) != len(now.get(at, ()))]:
        raise _other(wrong[0][0])
    meant = _meant(was, stay, now)
    for at in was:
        if at[1] not in MADE:
            order = _order(was[at], stay[at], [meant.get(int(new), -1) for new in now[at]])
            if order is None or not _keeps_parts(order, len(was[at]), channels.parts.get(at, 1)):
                raise _other(at[0])
            if order != list(range(len(was[at]))):
                kept[at] = order
    return kept


def _meant(was: Labels, stay: Mapping[At, Sequence[int]], now: Labels) -> dict[int, int]:
    """Return the channel that each of the smaller network was; raises UsageError if one was several."""
    found, back = dict[int, int](), dict[int, int]()
    made = {int(label) for at, labels in was.items() if at[1] in MADE for label in labels}
    for at in sorted(was, key=lambda at: at[1] not in MADE):
        for new, place in zip(map(int, now[at]), stay[at], strict=True):
            old = int(was[at][place])
            # what no layer makes, as the output of an operation that mixes channels, is known by its place alone
            if at[1] not in MADE and (old in made or new in found):
                continue
            if found.setdefault(new, old) != old or back.setdefault(old, new) != new:
                raise _other(at[0])
    return found


def _order(labels: NDArray[np.int64], stay: Sequence[int], wanted: Sequence[int]) -> list[int] | None:
    """Return the places that stay, ordered so that theirs are the labels `wanted`; None if they are others."""
    places = dict[int, list[int]]()
    for place in reversed(stay):
        places.setdefault(int(labels[place]), []).append(place)
    if sorted(wanted) != sorted(int(labels[place]) for place in stay):
        return None
    return [places[label].pop() for label in wanted]


def _keeps_parts(order: Sequence[int], size: int, parts: int) -> bool:
    """Tell whether places of equal parts come part by part, equally many of each."""
    return [place * parts // size for place in order] == [k * parts // len(order) for k in range(len(order))]


def _other(layer: str) -> UsageError:
    return UsageError(f"`{layer}` would get other channels: code before it depends on their number.")


def _failing(model: nn.Module, channels: Channels, names: Sequence[str]) -> dict[str, str]:
    """Return why some of these groups cannot lose channels, found by trying, all at first, then ever fewer."""
    keep = {}
    for name in names:
        cells = channels[name].cells
        firsts = np.unique(cells, return_index=True)[1]
        if len(cells) > len(firsts):
            keep[name] = np.setdiff1d(np.arange(len(cells)), firsts).tolist()
    if not keep:
        return {}
    try:
        _ordered(copied(without_values(model)), channels, _kept(channels, keep))
    except UsageError as error:
        if len(keep) == 1:
            return dict.fromkeys(keep, str(error))
        half = len(keep) // 2
        parts = [*keep][:half], [*keep][half:]
        return {name: reason for part in parts for name, reason in _failing(model, channels, part).items()}
    return {}
