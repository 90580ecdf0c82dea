"""Insertion and deletion: how fast the answer comes and goes as the pixels that a map ranks highest come and go.

Petsiuk et al. 2018, arXiv:1806.07421, section 4.1. Inputs are (N, C, H, W) float, normalised; maps (N, H, W) float.

Departures: pixels of equal value, as where a map is 0, follow in a random order, not row by row; and the number of
steps is chosen, where the paper takes as many as the image has rows.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fovea.explanation.attribution.registry import Progress, part_of
from fovea.explanation.objective import Objective
from fovea.explanation.passes import Fill, Images, evidence, filled, generator, laid_out_as

STEPS = 50

CELLS = 7
"""Random cells along each side of a random map: as coarse as a class activation map of 224 x 224 pixels."""

SPREAD = 0.25
"""Deviation of the centre Gaussian, as a share of each side."""


@dataclass(frozen=True, kw_only=True)
class Curves:
    """The objective of each image as its pixels come or go."""

    shares: Tensor
    """(S + 1,) float32 from 0 to 1: the pixels that came, or went."""
    values: Tensor
    """(N, S + 1) float32."""

    @property
    def areas(self) -> Tensor:
        """Return the area under each curve by the trapezoidal rule: (N,) float32, the mean over all shares."""
        return torch.trapezoid(self.values, self.shares, dim=1)


def deletion(
    model: nn.Module, x: Tensor, maps: Tensor, objective: Objective, *, fill: Fill = "mean", **options: Any
) -> Curves:
    """Return the objective as the highest pixels go, replaced by `fill`: a small area supports the map, (N, H, W).

    Values and areas are float32. `options` are those of `curves`.
    """
    return curves(model, objective, maps, start=x, end=filled(x, fill), **options)


def insertion(
    model: nn.Module, x: Tensor, maps: Tensor, objective: Objective, *, fill: Fill = "blur", **options: Any
) -> Curves:
    """Return the objective as the highest pixels come, in place of `fill`: a large area supports the map, (N, H, W).

    Values and areas are float32. `options` are those of `curves`.
    """
    return curves(model, objective, maps, start=filled(x, fill), end=x, **options)


def curves(
    model: nn.Module,
    objective: Objective,
    maps: Tensor,
    *,
    start: Tensor,
    end: Tensor,
    steps: int = STEPS,
    batch: int = 64,
    seed: int = 0,
    progress: Progress | None = None,
) -> Curves:
    """Return the objective of images on the way from `start` to `end`, (N, C, H, W) float, the highest pixels first.

    There are at most as many steps as pixels, equally far from each other but for rounding.
    """
    pixels = maps[0].numel()
    counts = torch.linspace(0, pixels, min(steps, pixels) + 1, dtype=torch.float64).round().long()
    images, found = Images(start, objective, passes=len(counts), progress=progress), []
    for index, (image, one) in enumerate(images):
        ranks = ranked(maps[index], seed=seed).to(image.device)
        for some in torch.split(counts.to(image.device), batch):
            there = (ranks < some[:, None, None])[:, None]
            found.append(evidence(model, laid_out_as(torch.where(there, end[index], image), image), one).float().cpu())
            images.passed(len(some))
    return Curves(shares=(counts / pixels).float(), values=torch.cat(found).view(len(start), -1))


def ranked(values: Tensor, *, seed: int = 0) -> Tensor:
    """Return the place of each value of a map (H, W) float among all, the highest 0, equals in random order: int64."""
    flat = values.flatten().cpu()
    shuffled = torch.randperm(len(flat), generator=generator(seed))
    order = shuffled[flat[shuffled].argsort(descending=True, stable=True)]
    ranks = torch.empty_like(order)
    ranks[order] = torch.arange(len(order))
    return ranks.view(values.shape)


def random_maps(count: int, size: tuple[int, int], *, seed: int) -> Tensor:
    """Return maps (N, H, W) float32, 0 to 1, that know nothing: random cells, bilinear between them.

    Single random pixels would be the easier rival in deletion: they are noise, which breaks any network.
    """
    cells = torch.rand(count, 1, CELLS, CELLS, generator=generator(seed))
    return nn.functional.interpolate(cells, size, mode="bilinear", align_corners=False)[:, 0]


def centre_map(size: tuple[int, int]) -> Tensor:
    """Return the map (H, W) float32, 0 to 1, that knows only where photographers aim: a Gaussian at the centre."""
    rows, columns = (((torch.arange(side) + 0.5) / side - 0.5) / SPREAD for side in size)
    return torch.exp(-(rows[:, None] ** 2 + columns**2) / 2)


@dataclass(frozen=True, kw_only=True)
class Areas:
    """What maps, a random map and the centre reach under both curves: (N,) float32 each."""

    insertion: Tensor
    deletion: Tensor
    came: Curves | None = None
    """The curves whose areas these are, where they are known."""
    went: Curves | None = None

    @property
    def gain(self) -> Tensor:
        """Return insertion less deletion, (N,) float32: high for a map that ranks what counts before what does not."""
        return self.insertion - self.deletion


def areas_of(
    model: nn.Module, x: Tensor, maps: Tensor, objective: Objective, *, progress: Progress | None = None, **options: Any
) -> Areas:
    """Return the areas of `maps`, (N, H, W) float, of images (N, C, H, W); `options` are those of `curves`."""
    came = insertion(model, x, maps, objective, progress=part_of(progress, 0, 2), **options)
    went = deletion(model, x, maps, objective, progress=part_of(progress, 1, 2), **options)
    return Areas(insertion=came.areas, deletion=went.areas, came=came, went=went)
