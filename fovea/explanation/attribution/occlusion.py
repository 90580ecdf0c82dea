"""Occlusion sensitivity: how much of the evidence is lost where a patch hides the image.

Zeiler and Fergus 2013, arXiv:1311.2901, section 4.2. Inputs are (N, C, H, W) float, normalised; maps (N, H, W) float32,
signed: below 0 the hidden place spoke against the answer.

Departures: the paper colours each position of the patch by what is left of the evidence; here each place gets the mean
of what is lost over all patches that hide it, so that maps of several sizes of patch compare. The last patch of a row
or column ends with the image, so that every place is hidden.
"""

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fovea.errors import ShapeError, UsageError
from fovea.explanation.attribution.registry import COUNT, Attribution, Progress, method, of_any_axes
from fovea.explanation.attribution.windows import default_window, occluded, windows_of
from fovea.explanation.objective import Objective
from fovea.explanation.passes import FILLS, Fill, Images, filled, laid_out_as, wide

PATCHES = (10, 15, 25, 35, 45, 90)
"""Sides in pixels of the grid on the slide: `002_cedc41c7c53ca8d7`, patch sizes by classes."""

LEAST, MOST = 16, 48
"""Steps of the default stride along the longer side: fewer give a coarse map, more take long."""


class Patches(NamedTuple):
    """Squares of an image: (P,) int64 each, the first row, the first column and the side in pixels."""

    top: Tensor
    left: Tensor
    side: Tensor

    def of(self, rows: slice) -> "Patches":
        """Return some of them, each field (p,) int64."""
        return Patches(*(field[rows] for field in self))


def default_stride(patch: int, size: tuple[int, int]) -> int:
    """Return half the side of the patch, so that every place is hidden several times, within what is smooth and short.

    That is at most 1 / `LEAST` and at least 1 / `MOST` of the longer side of an image of `size` (H, W), and never more
    than the patch, which would leave places between.
    """
    longer = max(size)
    return min(patch, max(ceil(longer / MOST), min(ceil(patch / 2), ceil(longer / LEAST))))


def patches_of(size: tuple[int, int], patch: int, stride: int | None = None) -> Patches:
    """Return the places of a square patch on an image of `size` (H, W), row by row: (P,) int64.

    Raises:
        ShapeError: the patch is larger than the image.
        UsageError: the stride leaves gaps.
    """
    if not 1 <= patch <= min(size):
        raise ShapeError(f"`patch` (={patch}) must be from 1 to the image's shorter side (={min(size)}).")
    stride = default_stride(patch, size) if stride is None else stride
    if not 1 <= stride <= patch:
        raise UsageError(f"`stride` (={stride}) must be from 1 to `patch` (={patch}), or some pixels are never hidden.")
    top, left = (torch.tensor([*range(0, pixels - patch, stride), pixels - patch]) for pixels in size)
    places = torch.cartesian_prod(top, left)
    return Patches(places[:, 0], places[:, 1], torch.full((len(places),), patch))


@method(
    "occlusion",
    title="Occlusion",
    source="Zeiler and Fergus 2013, arXiv:1311.2901, section 4.2",
    signed=True,
    bounds={"patch": COUNT, "stride": COUNT, "fill": tuple(FILLS)},
)
@of_any_axes
def occlusion(
    model: nn.Module,
    x: Tensor,
    objective: Objective,
    *,
    patch: int | None = None,
    stride: int | None = None,
    fill: Fill = "mean",
    batch: int = 64,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    """Return the evidence that a place costs when it is hidden: (N, H, W) of x (N, C, H, W).

    The side of the `patch` is a seventh of the image's shorter side where none is given, its `stride` by
    `default_stride`; what it shows is `fill`, see `passes.FILLS`.
    """
    if x.ndim != 4:
        windows = windows_of(x.shape[2:], default_window(x.shape[2:], patch), stride)
        images = Images(x, objective, passes=len(windows) + 1, progress=progress)
        return Attribution(values=occluded(model, images, windows, cover=filled(x, fill, seed=seed), batch=batch))
    size = (x.shape[2], x.shape[3])
    patches = patches_of(size, patch or max(1, round(min(size) / 7)), stride)
    images = Images(x, objective, passes=len(patches.top) + 1, progress=progress)
    cover = filled(x, fill, seed=seed)
    maps = []
    for index, (image, one) in enumerate(images):
        lost = _lost(model, image, [one], patches, cover=cover[index : index + 1], batch=batch, images=images)
        maps.append(_laid_out(lost, patches, size)[0])
    return Attribution(values=torch.stack(maps).float().cpu())


def occlusion_grid(
    model: nn.Module,
    x: Tensor,
    objectives: Sequence[Objective],
    *,
    patches: Sequence[int] = PATCHES,
    stride: int | None = None,
    fill: Fill = "mean",
    batch: int = 64,
    seed: int = 0,
    progress: Progress | None = None,
) -> Tensor:
    """Return a map for each objective, as rows, and each size of patch, as columns: (answers, patches, H, W) float32.

    The image `x` (1, C, H, W) passes through the network once for each patch of each size, whatever the number of
    answers.

    Raises:
        ShapeError: more than one image, or a patch larger than it.
    """
    if len(x) != 1:
        raise ShapeError(f"The grid needs one image; `x` contains {len(x)}.")
    size = (x.shape[2], x.shape[3])
    each = [patches_of(size, patch, stride) for patch in patches]
    every = Patches(*(torch.cat(fields) for fields in zip(*each, strict=True)))
    images = Images(x, objectives[0], passes=len(every.top) + 1, progress=progress)
    cover = filled(x, fill, seed=seed)
    lost = _lost(model, x, objectives, every, cover=cover, batch=batch, images=images)
    parts = torch.split(lost, [len(those.top) for those in each], dim=1)
    maps = [_laid_out(part, those, size) for part, those in zip(parts, each, strict=True)]
    return torch.stack(maps, 1).float().cpu()


@torch.no_grad()
def _lost(
    model: nn.Module,
    image: Tensor,
    objectives: Sequence[Objective],
    patches: Patches,
    *,
    cover: Tensor,
    batch: int,
    images: Images,
) -> Tensor:
    """Return what each of P patches costs each of A answers, for one image (1, C, H, W): (A, P)."""

    def answers(inputs: Tensor) -> Tensor:
        outputs = model(inputs)
        images.passed(len(inputs))
        return torch.stack([objective(wide(outputs)) for objective in objectives])

    # the first patch has no pixels: the image as it is goes through the same pass, not one of its own
    there = Patches(*(torch.cat([field.new_zeros(1), field]).to(image.device) for field in patches))
    starts = range(0, len(there.top), batch)
    found = torch.cat([answers(_hidden(image, there.of(slice(start, start + batch)), cover)) for start in starts], 1)
    return found[:, :1] - found[:, 1:]


def _hidden(image: Tensor, patches: Patches, cover: Tensor) -> Tensor:
    """Return a copy of the image (1, C, H, W) for each of P patches, which shows the cover: (P, C, H, W)."""
    inside = []
    for first, pixels in ((patches.top, image.shape[2]), (patches.left, image.shape[3])):
        at = torch.arange(pixels, device=image.device)
        inside.append((at >= first[:, None]) & (at < (first + patches.side)[:, None]))
    hidden = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return laid_out_as(torch.where(hidden, cover, image), image)


def _laid_out(values: Tensor, patches: Patches, size: tuple[int, int]) -> Tensor:
    """Return the mean at each place of the values (A, P) of the patches over it: (A, H, W) float64.

    Each patch adds its value at two corners and takes it away at the two others; running sums along both axes fill it.
    """
    H, W = size
    top, left, side = patches
    given = torch.cat([values.cpu().double(), torch.ones(1, values.shape[1], dtype=torch.float64)])
    corners = given.new_zeros(len(given), (H + 1) * (W + 1))
    for row, column, sign in (
        (top, left, 1),
        (top, left + side, -1),
        (top + side, left, -1),
        (top + side, left + side, 1),
    ):
        corners.index_add_(1, row * (W + 1) + column, sign * given)
    sums = corners.view(-1, H + 1, W + 1).cumsum(1).cumsum(2)[:, :H, :W]
    return sums[:-1] / sums[-1]
