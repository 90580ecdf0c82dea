"""Maps made of answers to masked images and masked feature maps: RISE, Score-CAM, Ablation-CAM.

Inputs are (N, C, H, W) float, normalised: a pixel that is masked is 0 there. Masks are (M, 1, H, W) float32, 0 to 1.
"""

from collections.abc import Iterator
from math import ceil
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fovea.errors import UsageError
from fovea.explanation.attribution.behind import Behind
from fovea.explanation.attribution.registry import COUNT, Attribution, Progress, method
from fovea.explanation.objective import Objective
from fovea.explanation.passes import Images, evidence, generator, laid_out_as, wide
from fovea.explanation.target_layer import target_layer

MOST_CELLS = 16
"""Cells of a grid whose 2^16 = 65,536 masks are still enumerated."""


class Masks(NamedTuple):
    """M grids of cells that are kept or hidden, how they lie on the image, and how much each counts."""

    cells: Tensor
    """(M, s, s) float32, 1 where kept."""
    shifts: Tensor | None
    """(M, 2) int64, pixels by which a mask is moved up and to the left; None if all span the image exactly."""
    weights: Tensor
    """(M,) float64 that add up to 1: the probability of each."""

    def drawn(self, rows: slice, size: tuple[int, int]) -> Tensor:
        """Return some of the masks at `size` (H, W), bilinear between the cells: (m, 1, H, W) float32, 0 to 1."""
        cells = self.cells[rows, None]
        if self.shifts is None:
            return nn.functional.interpolate(cells, size, mode="bilinear", align_corners=False)
        s = cells.shape[-1]
        large = nn.functional.interpolate(
            cells, [(s + 1) * ceil(pixels / s) for pixels in size], mode="bilinear", align_corners=False
        )
        row, column = (self.shifts[rows, axis, None] + torch.arange(size[axis]) for axis in (0, 1))
        return large[torch.arange(len(cells))[:, None, None], 0, row[:, :, None], column[:, None, :]][:, None]


def random_masks(count: int, *, grid: int, keep: float, size: tuple[int, int], seed: int) -> Masks:
    """Return `count` masks (M, 1, H, W) float32 whose cells are kept with probability `keep`, each moved at random.

    As in the paper's section 3.2: grids of s x s cells are enlarged to s + 1 cells of ceil(H / s) x ceil(W / s) pixels,
    and cut to H x W at a place drawn evenly from one cell.
    """
    draw = generator(seed)
    cells = (torch.rand(count, grid, grid, generator=draw) < keep).float()
    shifts = [torch.randint(ceil(pixels / grid), (count,), generator=draw) for pixels in size]
    return Masks(cells, torch.stack(shifts, 1), torch.full((count,), 1 / count, dtype=torch.float64))


def all_masks(*, grid: int, keep: float) -> Masks:
    """Return every mask of grid x grid cells, (M, 1, H, W) float32, unmoved, with its probability.

    Raises:
        UsageError: more than `MOST_CELLS` cells.
    """
    count = grid * grid
    if count > MOST_CELLS:
        raise UsageError(f"`exact` needs `grid` (={grid}) of at most 4: 2^(grid^2) masks are enumerated.")
    numbers = torch.arange(2**count)
    bits = (numbers[:, None] >> torch.arange(count)) & 1
    kept = bits.sum(1).double()
    return Masks(bits.float().view(-1, grid, grid), None, keep**kept * (1 - keep) ** (count - kept))


@method(
    "rise",
    title="RISE",
    source="Petsiuk et al. 2018, arXiv:1806.07421, equation 6",
    signed=True,
    bounds={"masks": COUNT, "grid": range(1, 65), "keep": range(2)},
)
@torch.no_grad()
def rise(
    model: nn.Module,
    x: Tensor,
    objective: Objective,
    *,
    masks: int = 2000,
    grid: int = 7,
    keep: float = 0.5,
    exact: bool = False,
    batch: int = 64,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    """Return E[f(x M) M] / E[M] - E[f(x M)], (N, H, W), over random masks M, or over all of a small grid if `exact`.

    The figure `mean` is E[f(x M)], (N,): added to the map it gives the paper's equation 6.

    Departures: what the masked image says on average is taken off, a constant that moves no rank, so that 0 means that
    keeping the place changes nothing; and it is taken off before the masks are weighed, where it would only add noise.

    Raises:
        UsageError: `exact` with too large a grid, or `keep` outside 0 to 1.
    """
    if not 0 < keep < 1:
        raise UsageError(f"`keep` (={keep}) must be between 0 and 1.")
    size = (x.shape[2], x.shape[3])
    every = (
        all_masks(grid=grid, keep=keep) if exact else random_masks(masks, grid=grid, keep=keep, size=size, seed=seed)
    )
    images = Images(x, objective, passes=len(every.cells), progress=progress)
    sums = [_weighed(model, image, one, every, images=images, batch=batch) for image, one in images]
    maps = torch.stack([(answered - mean * kept) / keep for answered, kept, mean in sums])
    return Attribution(values=maps.float(), figures={"mean": torch.stack([mean for _, _, mean in sums]).float()})


def _weighed(
    model: nn.Module, image: Tensor, objective: Objective, masks: Masks, *, images: Images, batch: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return E[f M] and E[M], (H, W) float64 each, and E[f], for one image (1, C, H, W)."""
    size = (image.shape[2], image.shape[3])
    answered, kept = torch.zeros(size, dtype=torch.float64), torch.zeros(size, dtype=torch.float64)
    mean = torch.zeros((), dtype=torch.float64)
    for start in range(0, len(masks.cells), batch):
        rows = slice(start, start + batch)
        drawn = masks.drawn(rows, size)
        found = evidence(model, laid_out_as(image * drawn.to(image), image), objective).cpu().double()
        share = masks.weights[rows]
        # two sums over the batch as one product of matrices
        both = torch.stack([share * found, share]).float() @ drawn.flatten(1)
        answered += both[0].view(size)
        kept += both[1].view(size)
        mean += share @ found
        images.passed(len(found))
    return answered, kept, mean


@method("scorecam", title="Score-CAM", source="Wang et al. 2019, arXiv:1910.01279, equations 3 to 6 and algorithm 1")
@torch.no_grad()
def score_cam(
    model: nn.Module,
    x: Tensor,
    objective: Objective,
    *,
    layer: str | None = None,
    batch: int = 64,
    progress: Progress | None = None,
) -> Attribution:
    """Return ReLU(sum over k of w_k A_k), (N, h, w), with w the softmax over channels of f(x H_k).

    H_k is the channel at the size of the input, scaled to 0 to 1. A channel of one value everywhere hides all or
    nothing and gets no weight.

    Departures: the answer to an empty image, the same for every channel, is not subtracted: the softmax takes it out.
    """
    layer = layer or target_layer(model, x)
    K = Behind(model, x[:1], layer).maps.shape[1]
    images = Images(x, objective, passes=K, progress=progress)
    maps = []
    for image, one in images:
        channels = wide(Behind(model, image, layer).maps)[0]
        scores = torch.cat([*_scores(model, image, one, channels, images=images, batch=batch)])
        told = channels.amax((1, 2)) > channels.amin((1, 2))
        weights = torch.where(told, scores, -torch.inf).softmax(0) if told.any() else torch.zeros_like(scores)
        maps.append(torch.einsum("k,khw->hw", weights, channels.to(weights)).relu())
    return Attribution(values=torch.stack(maps).float().cpu(), layer=layer)


def _scores(
    model: nn.Module, image: Tensor, objective: Objective, channels: Tensor, *, images: Images, batch: int
) -> Iterator[Tensor]:
    """Yield the evidence left where the image (1, C, H, W) shows only what each channel (K, h, w) lights."""
    for some in torch.split(channels, batch):
        large = nn.functional.interpolate(some[:, None], image.shape[2:], mode="bilinear", align_corners=False)
        low, high = large.amin((2, 3), keepdim=True), large.amax((2, 3), keepdim=True)
        seen = (large - low) / torch.where(high > low, high - low, 1)
        yield evidence(model, laid_out_as(image * seen.to(image), image), objective)
        images.passed(len(some))


@method("ablationcam", title="Ablation-CAM", source="Desai and Ramaswamy 2020, doi:10.1109/WACV45572.2020.00106, eq. 3")
@torch.no_grad()
def ablation_cam(
    model: nn.Module,
    x: Tensor,
    objective: Objective,
    *,
    layer: str | None = None,
    batch: int = 64,
    progress: Progress | None = None,
) -> Attribution:
    """Return ReLU(sum over k of w_k A_k), (N, h, w), with w_k = (y - y_k) / |y|, y_k the evidence without channel k.

    Only what follows the layer runs once for each channel, where the network allows it: see `Behind`.

    Departures: the paper divides by y, which would turn the map around where the evidence is below 0.
    """
    layer = layer or target_layer(model, x)
    K = Behind(model, x[:1], layer).maps.shape[1]
    images = Images(x, objective, passes=K, progress=progress)
    maps = []
    for image, one in images:
        behind = Behind(model, image, layer)
        y = one(wide(behind.outputs))
        left = torch.cat([*_ablated(behind, one, images=images, batch=batch)])
        weights = (y - left) / torch.where(y == 0, 1, y.abs())
        maps.append(torch.einsum("k,khw->hw", weights, behind.maps[0].to(weights)).relu())
    return Attribution(values=torch.stack(maps).float().cpu(), layer=layer)


def _ablated(behind: Behind, objective: Objective, *, images: Images, batch: int) -> Iterator[Tensor]:
    """Yield the evidence without each channel in turn, `batch` at a time."""
    K = behind.maps.shape[1]
    for start in range(0, K, batch):
        rows = torch.arange(min(batch, K - start), device=behind.maps.device)
        maps = behind.maps.repeat(len(rows), 1, 1, 1)
        maps[rows, start + rows] = 0
        yield objective(wide(behind(maps)))
        images.passed(len(rows))
