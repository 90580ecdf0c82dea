"""What a network loses when a share of a group's channels, or a whole block, is taken away: before any training.

Li et al. 2016, arXiv:1608.08710, section 3.2: each group alone, its least important channels first.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from fovea.compression.pruning.importance import Samples
from fovea.layers import TransposedConvolution

Outputs = Mapping[str, Sequence[Sequence[int]]]
"""By path of layer, convolutions, dense layers and norms: which of its outputs each channel of a group is."""


SHARES = (0.25, 0.5, 0.75)
"""Of a group's channels, that are taken away."""
MOST = 1e6
"""Stands for a loss that has no bound."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A group whose channels are in the order of their importance."""

    name: str
    order: Sequence[int]
    """Its channels, the least important first."""
    outputs: Outputs


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The loss of the network as one group becomes narrower."""

    name: str
    channels: int
    points: tuple[tuple[int, float], ...]
    """How many channels are kept, falling from all, and the loss then."""

    def at(self, kept: int) -> float:
        """Return the loss with so many channels, on straight lines between what was measured; never falling.

        >>> Curve(name="a", channels=4, points=((4, 1.0), (2, 0.9), (1, 3.9))).at(1)
        3.9
        """
        highest = self.points[0][1]
        for (more, before), (fewer, after) in zip(self.points, self.points[1:], strict=False):
            before, after = max(before, highest), max(after, highest)
            if kept >= fewer:
                return before + (after - before) * (more - kept) / (more - fewer)
            highest = after
        return highest


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """What was measured."""

    base: float
    """The loss of the whole network."""
    curves: tuple[Curve, ...]
    """One for each group, in the order in which they run."""
    blocks: tuple[tuple[str, float], ...] = ()
    """Blocks that may go, and the loss without each."""
    samples: int = 0
    """How many samples of the training split it was measured on."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


@torch.inference_mode()
def mean_loss(model: nn.Module, samples: Samples) -> float:
    """Return the loss of a network in evaluation mode on samples."""
    model.eval()
    total = sum(len(labels) * samples.loss(model(inputs), labels).item() for inputs, labels in samples.batches)
    return total / samples.count


def sensitivity(
    model: nn.Module,
    samples: Samples,
    groups: Sequence[Judged],
    *,
    blocks: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Sensitivity:
    """Return what `model` loses on `samples` without some channels of each group, and without each of `blocks`.

    The network is left as it was, in evaluation mode.
    """
    base = mean_loss(model, samples)
    curves, gone = [], []
    for done, group in enumerate(groups):
        curves.append(_curve(model, samples, group, base=base))
        if progress is not None:
            progress(done + 1, len(groups) + len(blocks))
    for done, block in enumerate(blocks, start=len(groups)):
        with without_block(model, block):
            gone.append((block, _rising(mean_loss(model, samples))))
        if progress is not None:
            progress(done + 1, len(groups) + len(blocks))
    return Sensitivity(base=base, curves=tuple(curves), blocks=tuple(gone), samples=samples.count)


def _curve(model: nn.Module, samples: Samples, group: Judged, *, base: float) -> Curve:
    channels = len(group.order)
    points = [(channels, base)]
    for share in SHARES:
        kept = round((1 - share) * channels)
        if 0 < kept < points[-1][0]:
            with silenced(model, group.outputs, group.order[: channels - kept]):
                points.append((kept, _rising(mean_loss(model, samples))))
    return Curve(name=group.name, channels=channels, points=tuple(points))


def _rising(loss: float) -> float:
    """Return the loss, or where it is not a number the largest there is."""
    return loss if math.isfinite(loss) else MOST


@contextmanager
def silenced(model: nn.Module, outputs: Outputs, channels: Sequence[int]) -> Iterator[None]:
    """Let these channels of a group say nothing: weights, scales and shifts, of any shape and dtype, are zero there."""
    with ExitStack() as restored, torch.no_grad():
        for path, places in outputs.items():
            layer = model.get_submodule(path)
            rows = [place for channel in channels for place in places[channel]]
            for parameter in layer.parameters(recurse=False):
                restored.callback(parameter.data.copy_, parameter.detach().clone())
                if isinstance(layer, TransposedConvolution) and parameter.ndim > 1:
                    # (groups, c_in / groups, c_out / groups, *kernel)
                    parts, each = parameter.view(layer.groups, -1, *parameter.shape[1:]), parameter.shape[1]
                    parts[[row // each for row in rows], :, [row % each for row in rows]] = 0
                else:
                    parameter[rows] = 0
        yield


@contextmanager
def without_block(model: nn.Module, path: str) -> Iterator[None]:
    """Let a block hand on its input."""
    parent, _, name = path.rpartition(".")
    holder = model.get_submodule(parent)
    block = getattr(holder, name)
    setattr(holder, name, nn.Identity())
    try:
        yield
    finally:
        setattr(holder, name, block)
