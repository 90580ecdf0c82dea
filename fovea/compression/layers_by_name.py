"""Plain layers of a network: found by name, and built anew as layers of another kind with the same parameters."""

from typing import Any

import torch
from torch import nn

from fovea.compression.change import layer_named
from fovea.errors import UsageError, shortened
from fovea.layers import Unfilled


def exact_layer(model: nn.Module, name: str, kinds: tuple[type[nn.Module], ...], *, for_what: str) -> Any:
    """Return the layer `name` of exactly one of the `kinds`.

    Raises: UsageError if there is none; `for_what` says what it would have been for.
    """
    found = layer_named(model, name)
    if type(found) not in kinds:
        allowed = ", ".join(kind.__name__ for kind in kinds)
        raise UsageError(f"The layer `{shortened(name)}` cannot be {for_what}: it must be one of {allowed}.")
    return found


def names_in(values: Any, what: str) -> tuple[str, ...]:
    """Return names of layers that a card lists. Raises: UsageError for anything else; `what` says what they are."""
    if not isinstance(values, list) or not all(isinstance(name, str) for name in values):
        raise UsageError(f"A change must list the names of {what}.")
    return tuple(values)


def shape_of(layer: nn.Conv1d | nn.Conv2d | nn.Linear) -> tuple[tuple[int, ...], dict[str, Any]]:
    """Return what a layer of the same shape is built with."""
    bias = {"bias": layer.bias is not None}
    if isinstance(layer, nn.Linear):
        return (layer.in_features, layer.out_features), bias
    names = ("kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")
    return (layer.in_channels, layer.out_channels), {**bias, **{name: getattr(layer, name) for name in names}}


def like(kind: type[nn.Module], layer: nn.Conv1d | nn.Conv2d | nn.Linear, **more: Any) -> Any:
    """Return a layer of another kind with the shape, the parameters and the place in memory of `layer`.

    All else of its state is as new.
    """
    shape, given = shape_of(layer)
    with Unfilled(), torch.device(layer.weight.device):
        found: Any = kind(*shape, **given, **more)
    found.weight, found.bias = layer.weight, layer.bias
    return found.train(layer.training)
