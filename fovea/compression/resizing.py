"""How each kind of layer takes fewer channels: its sides, what stands at their places, and the layer without some.

`resizing_of` knows the layers with channels. Others are no part of a plan, and what they do to channels is followed
operation by operation.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from fovea.layers import Convolution, InstanceNorm2d, PaddedChannels, PartialConv2d, TransposedConvolution
from fovea.wiring import ChannelShuffle, ChannelSplit, Counting

Side = Literal["out", "in", "each", "pad"]
"""`out`: what a layer makes; `in`: what it reads; `each`: a layer with numbers, or a kernel, for each channel, as a
norm, a depthwise convolution, or a scale on its own; `pad`: a channel of zeros that a shortcut appends."""
Kept = Mapping[Side, Sequence[int]]
"""By side the places that stay, in order; a side that is not named stays whole."""


class Resizing(ABC):
    """One kind of layer."""

    @abstractmethod
    def sides(self, layer: nn.Module) -> dict[Side, int]:
        """Return how many places each side has."""

    @abstractmethod
    def numbers(self, layer: nn.Module) -> list[Any]:
        """Return the size of the layer as a plan says it, in JSON."""

    @abstractmethod
    def first(self, layer: nn.Module, numbers: Sequence[Any]) -> Kept:
        """Return which places, the first ones, make a layer of the size `numbers` of a larger one.

        Raises:
            ValueError: no layer of this size can be made of it; the message is the rule.
        """

    def made(self, layer: nn.Module, own: Mapping[Side, Tensor], read: Tensor) -> list[Tensor]:
        """Return of each output the numbers along the axis of its channels, (places,) int32.

        `own` are those of the layer's sides, (places,) int32 each; `read` those of what it reads, 0 where none are
        known.
        """
        return [own["out" if "out" in own else "each"]]

    @abstractmethod
    def slice(self, layer: nn.Module, kept: Kept) -> None:
        """Leave these places alone in the layer, in place; its weights keep their values."""

    def resize(self, layer: nn.Module, numbers: Sequence[Any]) -> None:
        """Give the layer the size that a plan says, in place; what its weights hold is open.

        Raises:
            ValueError: as `first`.
        """
        if numbers != self.numbers(layer):
            self.slice(layer, self.first(layer, numbers))


class _Dense(Resizing):
    """Convolutions whose outputs each read all inputs of their group, and dense layers: [c_in, c_out, groups]."""

    def sides(self, layer: nn.Module) -> dict[Side, int]:
        c_in, c_out, _ = self.numbers(layer)
        return {"in": c_in, "out": c_out}

    def numbers(self, layer: nn.Module) -> list[Any]:
        if isinstance(layer, TransposedConvolution):
            return [layer.in_channels, layer.out_channels, layer.groups]
        c_out, c_in, *_ = cast(Tensor, layer.weight).shape
        groups = getattr(layer, "groups", 1)
        return [c_in * groups, c_out, groups]

    def first(self, layer: nn.Module, numbers: Sequence[Any]) -> Kept:
        sides: tuple[Side, Side] = ("in", "out")
        groups = self.numbers(layer)[2]
        if len(numbers) != 3 or numbers[2] != groups:
            raise ValueError(f"it has [c_in, c_out, {groups}], the last of which is fixed")
        return {side: _first(self.sides(layer)[side], now, groups) for side, now in zip(sides, numbers, strict=False)}

    def slice(self, layer: nn.Module, kept: Kept) -> None:
        c_in, c_out, groups = self.numbers(layer)
        ins, outs = list(kept.get("in", range(c_in))), list(kept.get("out", range(c_out)))
        weight = cast(Tensor, layer.weight)
        blocks = []
        for group, block in enumerate(weight.detach().chunk(groups)):
            rows = [o - group * c_out // groups for o in outs if o * groups // c_out == group]
            columns = [i - group * c_in // groups for i in ins if i * groups // c_in == group]
            transposed = isinstance(layer, TransposedConvolution)
            blocks.append(block[columns][:, rows] if transposed else block[rows][:, columns])
        _set(layer, "weight", torch.cat(blocks))
        _keep(layer, ("bias",), outs)
        names = ("in_features", "out_features") if isinstance(layer, nn.Linear) else ("in_channels", "out_channels")
        for name, places in zip(names, (ins, outs), strict=True):
            setattr(layer, name, len(places))


class _Depthwise(Resizing):
    """Convolutions with a kernel for each channel: [c, c, c]."""

    def sides(self, layer: nn.Module) -> dict[Side, int]:
        return {"each": cast(nn.Conv2d, layer).groups}

    def numbers(self, layer: nn.Module) -> list[Any]:
        return [cast(nn.Conv2d, layer).groups] * 3

    def first(self, layer: nn.Module, numbers: Sequence[Any]) -> Kept:
        if len(numbers) != 3 or numbers != [numbers[0]] * 3:
            raise ValueError("it has [c, c, c]")
        return {"each": _first(cast(nn.Conv2d, layer).groups, numbers[0], 1)}

    def slice(self, layer: nn.Module, kept: Kept) -> None:
        conv, each = cast(nn.Conv2d, layer), kept["each"]
        _keep(conv, ("weight", "bias"), each)
        conv.in_channels = conv.out_channels = conv.groups = len(each)


class _PerChannel(Resizing):
    """Norms and activations with numbers for each channel: [c]."""

    def __init__(self, count: str) -> None:
        self.count = count
        """The attribute that says how many channels there are."""

    def sides(self, layer: nn.Module) -> dict[Side, int]:
        return {"each": getattr(layer, self.count)}

    def numbers(self, layer: nn.Module) -> list[Any]:
        return [getattr(layer, self.count)]

    def first(self, layer: nn.Module, numbers: Sequence[Any]) -> Kept:
        if len(numbers) != 1:
            raise ValueError("it has [c]")
        return {"each": _first(getattr(layer, self.count), numbers[0], 1)}

    def slice(self, layer: nn.Module, kept: Kept) -> None:
        _keep(layer, ("weight", "bias", "running_mean", "running_var"), kept["each"])
        setattr(layer, self.count, len(kept["each"]))


class _Padded(Resizing):
    """Channels of zeros that are appended: [before, after]."""

    def sides(self, layer: nn.Module) -> dict[Side, int]:
        return {"pad": sum(self.numbers(layer))}

    def made(self, layer: nn.Module, own: Mapping[Side, Tensor], read: Tensor) -> list[Tensor]:
        before, _ = self.numbers(layer)
        return [torch.cat([own["pad"][:before], read, own["pad"][before:]])]

    def numbers(self, layer: nn.Module) -> list[Any]:
        pad = cast(PaddedChannels, layer)
        return [pad.before, pad.after]

    def first(self, layer: nn.Module, numbers: Sequence[Any]) -> Kept:
        before, after = self.numbers(layer)
        if len(numbers) != 2 or not all(type(n) is int for n in numbers):
            raise ValueError("it has [before, after]")
        if not (0 <= numbers[0] <= before and 0 <= numbers[1] <= after):
            raise ValueError(f"it has at most {before} before and {after} after")
        return {"pad": [*range(numbers[0]), *range(before, before + numbers[1])]}

    def slice(self, layer: nn.Module, kept: Kept) -> None:
        pad = cast(PaddedChannels, layer)
        before = sum(place < pad.before for place in kept["pad"])
        pad.before, pad.after = before, len(kept["pad"]) - before


class _Table(Resizing):
    """A convolution with a table of connections: the table."""

    def sides(self, layer: nn.Module) -> dict[Side, int]:
        sees = cast(PartialConv2d, layer).sees
        return {"in": 1 + max(map(max, sees)), "out": len(sees)}

    def numbers(self, layer: nn.Module) -> list[Any]:
        return cast(PartialConv2d, layer).sees

    def first(self, layer: nn.Module, numbers: Sequence[Any]) -> Kept:
        sees = cast(PartialConv2d, layer).sees
        known = self.sides(layer)["in"]
        if not 1 <= len(numbers) <= len(sees) or not all(isinstance(one, list) and one for one in numbers):
            raise ValueError(f"its table has from 1 to {len(sees)} rows of the maps that each sees")
        if not all(type(one) is int and 0 <= one < known for row in numbers for one in row):
            raise ValueError(f"its table names maps from 0 to {known - 1}")
        if sum(map(len, numbers)) > sum(map(len, sees)):
            raise ValueError(f"its table has at most {sum(map(len, sees))} connections")
        return {}

    def resize(self, layer: nn.Module, numbers: Sequence[Any]) -> None:
        self.first(layer, numbers)
        weights = [conv.weight for conv in self._maps(layer)]
        one = weights[0].detach()
        self._put(layer, numbers, [one.new_empty((1, len(row), *one.shape[2:])) for row in numbers])

    def slice(self, layer: nn.Module, kept: Kept) -> None:
        sides, sees = self.sides(layer), cast(PartialConv2d, layer).sees
        ins, outs = list(kept.get("in", range(sides["in"]))), list(kept.get("out", range(sides["out"])))
        weights, table, maps = [], [], self._maps(layer)
        for out in outs:
            seen = [k for k, one in enumerate(sees[out]) if one in ins]
            weight = maps[out].weight.detach()
            # a map that would see none sees the first one that is left, by weights of zero
            weights.append(weight[:, seen] if seen else torch.zeros_like(weight[:, :1]))
            table.append([ins.index(sees[out][k]) for k in seen] or [0])
        biases = [maps[out].bias for out in outs]
        self._put(layer, table, weights)
        for conv, bias in zip(self._maps(layer), biases, strict=True):
            conv.bias = bias

    @staticmethod
    def _maps(layer: nn.Module) -> list[nn.Conv2d]:
        return [cast(nn.Conv2d, conv) for conv in cast(PartialConv2d, layer).maps]

    def _put(self, layer: nn.Module, table: Sequence[Any], weights: Sequence[Tensor]) -> None:
        """Leave the first maps alone, and give them these weights, and the layer this table."""
        partial = cast(PartialConv2d, layer)
        partial.maps = partial.maps[: len(table)]
        partial.sees = [list(row) for row in table]
        for conv, weight in zip(self._maps(layer), weights, strict=True):
            _set(conv, "weight", weight)
            conv.in_channels = weight.shape[1]


class _Split(Resizing):
    """Channels in two parts: [first, rest]."""

    def sides(self, layer: nn.Module) -> dict[Side, int]:
        return {"each": sum(self.numbers(layer))}

    def made(self, layer: nn.Module, own: Mapping[Side, Tensor], read: Tensor) -> list[Tensor]:
        return list(torch.split(own["each"], self.numbers(layer)))

    def numbers(self, layer: nn.Module) -> list[Any]:
        split = cast(ChannelSplit, layer)
        return [split.first, split.rest]

    def first(self, layer: nn.Module, numbers: Sequence[Any]) -> Kept:
        first, rest = self.numbers(layer)
        if len(numbers) != 2 or not all(type(n) is int for n in numbers):
            raise ValueError("it has [first, rest]")
        if not (1 <= numbers[0] <= first and 1 <= numbers[1] <= rest):
            raise ValueError(f"its parts have from 1 to {first} and from 1 to {rest} channels")
        return {"each": [*range(numbers[0]), *range(first, first + numbers[1])]}

    def slice(self, layer: nn.Module, kept: Kept) -> None:
        split = cast(ChannelSplit, layer)
        first = sum(place < split.first for place in kept["each"])
        rest = len(kept["each"]) - first
        if not first or not rest:
            raise ValueError("one of its parts would have no channel left")
        split.first, split.rest = first, rest


class _Shuffle(Resizing):
    """Channels in another order: of each place of the output that of the input."""

    def sides(self, layer: nn.Module) -> dict[Side, int]:
        return {"each": len(cast(ChannelShuffle, layer).order)}

    def made(self, layer: nn.Module, own: Mapping[Side, Tensor], read: Tensor) -> list[Tensor]:
        return [own["each"][self.numbers(layer)]]

    def numbers(self, layer: nn.Module) -> list[Any]:
        return list(cast(ChannelShuffle, layer).order)

    def first(self, layer: nn.Module, numbers: Sequence[Any]) -> Kept:
        most = self.sides(layer)["each"]
        if not 1 <= len(numbers) <= most or not all(type(n) is int for n in numbers):
            raise ValueError(f"it has the places of from 1 to {most} channels")
        if sorted(numbers) != list(range(len(numbers))):
            raise ValueError(f"it has each place from 0 to {len(numbers) - 1} once")
        return {}

    def resize(self, layer: nn.Module, numbers: Sequence[Any]) -> None:
        self.first(layer, numbers)
        cast(ChannelShuffle, layer).order = list(numbers)

    def slice(self, layer: nn.Module, kept: Kept) -> None:
        now = {place: k for k, place in enumerate(sorted(kept["each"]))}
        cast(ChannelShuffle, layer).order = [now[place] for place in self.numbers(layer) if place in now]


class _Counting(Resizing):
    """Layers that compute over all channels of a place, where those that were removed count as zeros: [c, absent]."""

    def sides(self, layer: nn.Module) -> dict[Side, int]:
        return {"each": cast(Counting, layer).channels}

    def numbers(self, layer: nn.Module) -> list[Any]:
        counting = cast(Counting, layer)
        return [counting.channels, counting.absent]

    def first(self, layer: nn.Module, numbers: Sequence[Any]) -> Kept:
        channels, absent = self.numbers(layer)
        if len(numbers) != 2 or not all(type(n) is int for n in numbers) or sum(numbers) != channels + absent:
            raise ValueError(f"it has [c, absent], {channels + absent} together")
        return {"each": _first(channels, numbers[0], 1)}

    def slice(self, layer: nn.Module, kept: Kept) -> None:
        counting, left = cast(Counting, layer), len(kept["each"])
        _keep(layer, ("weight", "bias"), kept["each"])
        counting.absent += counting.channels - left
        counting.channels = left
        if isinstance(layer, nn.LayerNorm):
            layer.normalized_shape = (left,)


CONVOLUTIONS = {one.forward for one in (*get_args(Convolution), *get_args(TransposedConvolution))}
_NORM, _PRELU = _PerChannel("num_features"), _PerChannel("num_parameters")
_DENSE, _DEPTHWISE = _Dense(), _Depthwise()
_OF_CLASS: Mapping[type, Resizing] = {
    PaddedChannels: _Padded(),
    PartialConv2d: _Table(),
    ChannelSplit: _Split(),
    ChannelShuffle: _Shuffle(),
    Counting: _Counting(),
}
"""Of layers of this package, and what is derived from them."""


def resizing_of(layer: nn.Module) -> Resizing | None:
    """Return how a layer takes fewer channels; None if it is not a known one, or computes its weights."""
    forward = type(layer).forward
    for kind, resizing in _OF_CLASS.items():
        if isinstance(layer, kind):
            return resizing
    if forward in (_BatchNorm.forward, _InstanceNorm.forward, InstanceNorm2d.forward):
        return _NORM
    if "weight" not in layer._parameters:
        return None
    if forward in CONVOLUTIONS and isinstance(layer, Convolution | TransposedConvolution):
        return _DEPTHWISE if layer.in_channels == layer.out_channels == layer.groups > 1 else _DENSE
    if forward is nn.Linear.forward:
        return _DENSE
    return _PRELU if isinstance(layer, nn.PReLU) and layer.num_parameters > 1 else None


def channel_axis(layer: nn.Module, ndim: int) -> int:
    """Return the axis of the channels in what a layer reads, of so many axes."""
    if isinstance(layer, Counting):
        return layer.axis % ndim
    return ndim - 1 if isinstance(layer, nn.Linear) else 1


def shortened_along(model: nn.Module, name: str, axis: int, places: Sequence[int]) -> None:
    """Leave these places along an axis alone in the tensor `name` of a network, in place.

    Raises:
        ValueError: it is on no list of tensors, has no such axis, or is shorter.
    """
    path, _, own = name.rpartition(".")
    module = model.get_submodule(path)
    tensor = module._parameters.get(own, module._buffers.get(own))
    if tensor is None:
        raise ValueError("there is none")
    if type(axis) is not int or not 0 <= axis < tensor.ndim or not 0 < len(places) <= tensor.shape[axis]:
        raise ValueError(f"its shape is {tuple(tensor.shape)}")
    _set(module, own, tensor.detach().index_select(axis, torch.tensor(list(places), device=tensor.device)))


def _first(now: int, then: Any, groups: int) -> list[int]:
    """Return the first places of each group that make `then` of `now` places."""
    if type(then) is not int or not groups <= then <= now or then % groups:
        parts = f" in {groups} equal groups" if groups > 1 else ""
        raise ValueError(f"it has from {groups} to {now} channels{parts}, not {then!r:.40}")
    each = then // groups
    return [group * (now // groups) + k for group in range(groups) for k in range(each)]


def _keep(layer: nn.Module, names: Sequence[str], places: Sequence[int]) -> None:
    for name in names:
        if isinstance(tensor := getattr(layer, name, None), Tensor) and tensor.ndim:
            _set(layer, name, tensor.detach()[list(places)])


def _set(layer: nn.Module, name: str, values: Tensor) -> None:
    """Put other values, of another shape perhaps, in the place of a parameter or buffer, in its memory layout."""
    old = getattr(layer, name)
    if old.ndim == 4 and old.is_contiguous(memory_format=torch.channels_last):
        values = values.to(memory_format=torch.channels_last)
    if isinstance(old, nn.Parameter):
        values = nn.Parameter(values, old.requires_grad)
    setattr(layer, name, values)
