"""Channels that change nothing: what nothing reads, and what is the same for every input.

A filter whose weights are all zero makes its bias everywhere, and what follows makes another constant of that, as 0 of
a ReLU. A constant that is not 0 goes into the biases of the layers that read it, where they pad nothing.

Which channels are constant is seen in one pass of inputs that are not a number: what any input can change comes out
as not a number, too.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from fovea.compression.channels import Channels, Group, Place, channel_groups, remove
from fovea.compression.fold import pads
from fovea.compression.resizing import channel_axis
from fovea.errors import UsageError
from fovea.hooks import changed, watch
from fovea.layers import Convolution
from fovea.wiring import Counting

Weighted = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear
Constants = dict[str, Tensor]
"""By the path of a layer the value that each of its inputs always has, NaN for others: (c_in,)."""


@torch.no_grad()
def remove_dead(model: nn.Module, input_shape: Sequence[int]) -> list[dict[str, Any]]:
    """Take channels that change nothing out of `model`, in place, and return the changes for its card.

    Outputs for inputs (N, C, *sizes) stay what they are, in evaluation mode, to rounding.

    Raises:
        UsageError: the network cannot be followed; it is left as it was.
    """
    if not _has_zeros(model):
        return []
    channels = channel_groups(model, input_shape)
    constants = _constants(model, channels)
    keep = {group.name: stay for group in channels.free if (stay := _alive(model, group, constants)) is not None}
    if not keep:
        return []
    biases = {path: layer.bias.clone() for path, layer in _weighted(model) if layer.bias is not None}
    for name, stay in keep.items():
        for place in channels[name].at("in"):
            _into_bias(model, place, np.setdiff1d(np.arange(len(channels[name])), stay), constants)
    try:
        return remove(model, channels, keep)
    except UsageError:
        for path, layer in _weighted(model):
            if layer.bias is not None:
                layer.bias.copy_(biases[path])
        raise


PRODUCTS = {torch.mul, torch.multiply, Tensor.mul, Tensor.multiply, Tensor.__mul__, Tensor.__rmul__}


class _Products(TorchFunctionMode):
    """While active, zero times what is not a number is zero: it stands for numbers, as the weights of a gate."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        if func in PRODUCTS and all(isinstance(factor, Tensor) for factor in args[:2]):
            return found.masked_fill((args[0] == 0) | (args[1] == 0), 0)
        return found


def _weighted(model: nn.Module) -> Iterator[tuple[str, Weighted]]:
    yield from ((path, layer) for path, layer in model.named_modules() if isinstance(layer, Weighted))


def _has_zeros(model: nn.Module) -> bool:
    """Tell whether a filter, or all weights that read an input, or a norm's scale is zero."""
    for _, layer in _weighted(model):
        used = layer.weight != 0
        if used.ndim and not (used.flatten(1).any(1).all() and used.transpose(0, 1).flatten(1).any(1).all()):
            return True
    norms = (module for module in model.modules() if isinstance(module, _BatchNorm))
    return any(norm.weight is not None and bool((norm.weight == 0).any()) for norm in norms)


def _constants(model: nn.Module, channels: Channels) -> Constants:
    """Return what layers always read, whatever the input."""
    found = Constants()

    def enter(path: str, layer: nn.Module, inputs: list[Tensor]) -> None:
        if inputs and inputs[0].ndim > 1:
            axis = channel_axis(layer, inputs[0].ndim)
            values = inputs[0].transpose(0, axis).flatten(1)
            same = torch.where((values == values[:, :1]).all(1), values[:, 0], torch.nan)
            # a layer that runs twice must read the same both times
            found[path] = torch.where(found[path] == same, same, torch.nan) if path in found else same

    modes = {module: module.training for module in model.modules()}
    weight = next(model.parameters())
    x = torch.full((1, *channels.input_shape), torch.nan, dtype=weight.dtype, device=weight.device)
    with ExitStack() as stack:
        for path, layer in model.named_modules():
            if isinstance(layer, Weighted | _BatchNorm) and layer.weight is not None:
                stack.enter_context(changed(model, path, partial(_what_is_known, layer)))
        stack.enter_context(watch(model, enter=enter, leave=lambda *_: None))
        try:
            with _Products():
                model.eval()(x)
        finally:
            for module, training in modes.items():
                module.training = training
    return found


def _what_is_known(layer: nn.Module, output: Tensor) -> Tensor:
    """Return the output of a layer with its bias where the weights are zero, else what any input makes of it."""
    weight, bias = cast(Tensor, layer.weight), cast(Tensor | None, layer.bias)
    zero = ~(weight != 0).reshape(len(weight), -1).any(1)
    axis = output.ndim - 1 if isinstance(layer, nn.Linear) else 1
    shape = [-1 if k == axis else 1 for k in range(output.ndim)]
    constant = torch.zeros_like(weight.reshape(len(weight), -1)[:, 0]) if bias is None else bias
    return torch.where(zero.reshape(shape), constant.reshape(shape), output)


def _alive(model: nn.Module, group: Group, constants: Constants) -> list[int] | None:
    """Return the channels of a group that stay, where some are dead; None if none is."""
    readers = group.at("in")
    dead = np.ones(len(group), bool)
    for place in readers:
        dead &= _unread(model, place) | _foldable(model, place, constants)
    modules = dict(model.named_modules())
    for place in group.at("each"):
        if isinstance(modules.get(place.layer), Counting):  # what is gone counts as zero there
            dead &= _always(0, place, constants)
    if not readers or not dead.any():
        return None
    cells = [np.nonzero(group.cells == cell)[0] for cell in np.unique(group.cells)]
    count = min(min(int(dead[cell].sum()), len(cell) - 1) for cell in cells)
    gone = {int(channel) for cell in cells for channel in cell[dead[cell]][:count]}
    return [channel for channel in range(len(group)) if channel not in gone] if gone else None


def _reads(model: nn.Module, place: Place) -> Weighted | None:
    """Return the layer that reads at a place, where its inputs are the columns of its weight."""
    layer = model.get_submodule(place.layer)
    return layer if isinstance(layer, Weighted) and getattr(layer, "groups", 1) == 1 else None


def _unread(model: nn.Module, place: Place) -> NDArray[np.bool_]:
    layer = _reads(model, place)
    if layer is None:
        return np.zeros(len(place.index), bool)
    used = (layer.weight != 0).transpose(0, 1).flatten(1).any(1).cpu().numpy()
    return np.asarray(~used[place.index].any(1))


def _foldable(model: nn.Module, place: Place, constants: Constants) -> NDArray[np.bool_]:
    """Return which channels are zero where they are read, or a constant that a bias can take."""
    if place.layer not in constants:
        return np.zeros(len(place.index), bool)
    values = constants[place.layer].cpu().numpy()[place.index]
    layer = _reads(model, place)
    takes = layer is not None and layer.bias is not None and not (isinstance(layer, Convolution) and pads(layer))
    return np.asarray((np.isfinite(values) if takes else values == 0).all(1))


def _always(value: float, place: Place, constants: Constants) -> NDArray[np.bool_]:
    """Return which channels always have a value where they are read."""
    if place.layer not in constants:
        return np.zeros(len(place.index), bool)
    return np.asarray((constants[place.layer].cpu().numpy()[place.index] == value).all(1))


def _into_bias(model: nn.Module, place: Place, gone: NDArray[np.int64], constants: Constants) -> None:
    """Add what a layer makes of constants that are about to go to its bias."""
    layer = _reads(model, place)
    index = torch.tensor(place.index[gone].flatten())
    if layer is None or layer.bias is None or place.layer not in constants:
        return
    values = constants[place.layer][index].nan_to_num(0)  # NaN where nothing reads it
    sums = layer.weight[:, index].flatten(2).sum(2) if layer.weight.ndim > 2 else layer.weight[:, index]
    layer.bias += (sums.double() @ values.double()).to(layer.bias.dtype)
