"""Whether maps point into known boxes: the pointing game, and the share of a map that lies inside.

Maps are (N, H, W) float of the input's size. Boxes are, for each image, (b, 4) of x0, y0, x1, y1 in pixels of the
input, half-open: x0 <= x < x1. An image may have several.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from fovea.errors import DataError, ShapeError

Boxes = Sequence[Tensor]


def inside(boxes: Boxes, size: tuple[int, int]) -> Tensor:
    """Return which places of images of `size` (H, W) lie in a box of theirs: (N, H, W) bool.

    Raises:
        DataError: a box that is empty or lies outside the image.
    """
    H, W = size
    masks = torch.zeros(len(boxes), H, W, dtype=torch.bool)
    for mask, given in zip(masks, boxes, strict=True):
        for x0, y0, x1, y1 in torch.as_tensor(given).reshape(-1, 4).round().long().tolist():
            if not (max(x0, 0) < min(x1, W) and max(y0, 0) < min(y1, H)):
                raise DataError(f"The box {x0}, {y0}, {x1}, {y1} covers no pixel of the input of {W} x {H} pixels.")
            mask[max(y0, 0) : y1, max(x0, 0) : x1] = True
    return masks


def whole_pixels(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return those of boxes (b, 4) float that reach into an image of `size` (H, W), cut at its border: (c, 4) int64.

    Sides are rounded, and a box has one pixel at least.
    """
    H, W = size
    x0, y0, x1, y1 = boxes.double().reshape(-1, 4).T
    seen = (x1 > 0) & (y1 > 0) & (x0 < W) & (y0 < H)
    corners = []
    for low, high, side in ((x0, x1, W), (y0, y1, H)):
        first = low.round().clamp(0, side - 1)
        corners.append((first, torch.maximum(high.round().clamp(max=side), first + 1)))
    (left, right), (top, bottom) = corners
    return torch.stack([left, top, right, bottom], 1)[seen].long()


def pointing(maps: Tensor, boxes: Boxes, *, tolerance: int = 0) -> Tensor:
    """Return whether the highest place of each map, (N, H, W), lies in a box, or within `tolerance` pixels of it: (N,).

    float32: of several highest places, the share that does, so that a map that is the same everywhere gets its chance.

    Zhang et al. 2016, arXiv:1608.00507, section 4.2. Departures: no tolerance unless asked for; there it is 15 pixels.
    """
    masks = _checked(maps, boxes)
    if tolerance:
        rows, columns = (torch.arange(-tolerance, tolerance + 1).square() for _ in range(2))
        disc = ((rows[:, None] + columns) <= tolerance**2).float()[None, None]
        masks = torch.nn.functional.conv2d(masks[:, None].float(), disc, padding=tolerance)[:, 0] > 0.5
    highest = maps == maps.amax((1, 2), keepdim=True)
    return (highest & masks).sum((1, 2)) / highest.sum((1, 2))


def energy(maps: Tensor, boxes: Boxes) -> Tensor:
    """Return the share of what is positive in each map, (N, H, W), that lies in its boxes: (N,) float32, 0 to 1.

    Wang et al. 2019, arXiv:1910.01279, section 4.3. Not a number where nothing is positive.
    """
    masks = _checked(maps, boxes)
    positive = maps.double().clamp_min(0)
    return ((positive * masks).sum((1, 2)) / positive.sum((1, 2))).float()


def shares(boxes: Boxes, size: tuple[int, int]) -> Tensor:
    """Return the share of each image of `size` (H, W) that its boxes cover: (N,) float32, what chance would reach."""
    return inside(boxes, size).float().mean((1, 2))


def _checked(maps: Tensor, boxes: Boxes) -> Tensor:
    if len(boxes) != len(maps):
        raise ShapeError(f"There are {len(maps)} maps but boxes for {len(boxes)}.")
    return inside(boxes, (maps.shape[1], maps.shape[2]))
