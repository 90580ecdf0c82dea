"""Which channels of a network live and die together, and how to take some away.

A *channel* is one value of a map, or unit of a dense layer, with all that follows from it: the filter that makes it,
the norm's numbers for it, the weights that read it. Where maps are added, theirs at the same place are one channel.
A *group* is channels that are alike: they stand in the same layers, so that any of them may go in place of another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import nn

Side = Literal["out", "in", "each", "pad"]
"""`out`: what a layer makes; `in`: what it reads; `each`: a layer with numbers, or a kernel, for each channel, as a
norm, a depthwise convolution, or a scale on its own; `pad`: a channel of zeros that a shortcut appends."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where the channels of a group stand in one layer."""

    layer: str
    """The path of the module; of a parameter that belongs to no known layer, its name."""
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


@dataclass(frozen=True, eq=False)
class Channels:
    """All channels of a network, for inputs of one shape."""

    input_shape: tuple[int, ...]
    groups: tuple[Group, ...]
    """In the order of the pass."""

    @property
    def free(self) -> tuple[Group, ...]:
        """Those whose channels may go."""
        return tuple(group for group in self.groups if not group.fixed)

    @property
    def fixed(self) -> tuple[Group, ...]:
        """Those whose channels stay, each with the reason."""
        return tuple(group for group in self.groups if group.fixed)

    def __getitem__(self, name: str) -> Group:
        """Return the group `name`; UsageError where there is none."""
        raise NotImplementedError


def channel_groups(model: nn.Module, input_shape: Sequence[int]) -> Channels:
    """Return the groups of channels of `model`, which is left as it is, for inputs (C, *sizes).

    Raises:
        UsageError: the network cannot be followed without values.
    """
    raise NotImplementedError


def remove(model: nn.Module, channels: Channels, keep: Mapping[str, Sequence[int]]) -> list[dict[str, Any]]:
    """Take channels out of `model`, in place, and return the changes for its card.

    `keep` gives by the name of a group the channels that stay, numbers from 0 in order; a group that is not named
    stays whole. All weights that are left keep their values.

    Raises:
        UsageError: a group that is fixed or unknown; cells that lose unequal numbers; nothing is left in a layer. The
            network is left as it was.
    """
    raise NotImplementedError
