"""Layers that deal channels out, or compute over all of them, and know how many there are: so any of them may go.

What the code of a network does by numbers of its own, as `x[:, :64]`, holds only as long as there are as many.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fovea.errors import ShapeError
from fovea.layers import channel_shuffle


class ChannelSplit(nn.Module):
    """The first channels, and the rest: (N, first + rest, *sizes) -> (N, first, *sizes), (N, rest, *sizes)."""

    def __init__(self, first: int, rest: int) -> None:
        super().__init__()
        self.first, self.rest = first, rest

    def extra_repr(self) -> str:
        """Return the sizes of both parts."""
        return f"{self.first}, {self.rest}"

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return both parts of `x`."""
        return x[:, : self.first], x[:, self.first :]


class ChannelShuffle(nn.Module):
    """Channels dealt out as by `channel_shuffle`; of fewer channels those that are left, in the same order.

    (N, C, H, W) -> (N, C, H, W)

    Raises:
        ShapeError: `groups` does not divide `channels`.
    """

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        if channels % groups:
            raise ShapeError(f"`groups` (={groups}) must divide the channels (={channels}).")
        self.groups = groups
        each = channels // groups
        self.dealt = [group * each + k for k in range(each) for group in range(groups)]
        self.order: Sequence[int] = self.dealt
        """Of each place of the output the place of the input."""

    def extra_repr(self) -> str:
        """Return how many channels and groups there are, or the order of those that are left."""
        return f"{len(self.order)}, groups={self.groups}" if self.order is self.dealt else f"order={list(self.order)}"

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with its channels in this order."""
        if self.order == self.dealt:
            return channel_shuffle(x, self.groups)
        return x.index_select(1, torch.tensor(self.order, device=x.device))


class Counting:
    """A layer that computes over all channels of a place. Removed channels count as zeros, which they were."""

    axis = 1
    """That of the channels."""
    channels: int
    absent: int = 0
    """How many were removed."""

    @property
    def share(self) -> float:
        """The part of the channels that is left, above 0 to 1."""
        return self.channels / (self.channels + self.absent)


class LayerNorm(Counting, nn.LayerNorm):
    """Layer norm over the last axis, of `channels`: (*sizes, channels) -> (*sizes, channels)."""

    axis = -1

    def __init__(self, channels: int, *, eps: float = 1e-5) -> None:
        super().__init__(channels, eps=eps)
        self.channels = channels

    def extra_repr(self) -> str:
        """Return what PyTorch's has, and how many channels were removed."""
        return f"{super().extra_repr()}, absent={self.absent}"

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with mean 0 and variance 1 along the last axis, then scaled and shifted."""
        if not self.absent:
            return super().forward(x)
        mean = self.share * x.mean(-1, keepdim=True)
        centred = x - mean
        # each of those that are gone, 0, is `mean` away from the mean
        variance = self.share * centred.square().mean(-1, keepdim=True) + (1 - self.share) * mean.square()
        return centred / (variance + self.eps).sqrt() * self.weight + self.bias
