"""The changes that made a network of the zoo, or one's own, into a smaller one; all their kinds.

A shrunk network is that of its card's architecture, built, changed by the card's `changes` one after the other, and
filled with the file's tensors.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from torch import nn

from fovea.compression import binarise, blocks, channels, factors, fold, plain, quantise  # noqa: F401 (list their kinds)
from fovea.compression.change import KINDS, Change, parsed

__all__ = ["KINDS", "Change", "changed", "parsed"]

Network = TypeVar("Network", bound=nn.Module)


def changed(model: Network, changes: Sequence[Mapping[str, Any]]) -> Network:
    """Return `model` after these changes of its structure, made in place; also on the device `meta`.

    Weights of layers that a change resizes are not set.

    Raises:
        UsageError: a change is unknown, wrong in itself, or does not fit the network.
    """
    for values in changes:
        parsed(values).apply(model)
    return model
