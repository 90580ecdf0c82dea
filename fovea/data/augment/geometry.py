"""Where moved pixels come from, so that targets move with their image: masks by nearest neighbour, points exactly.

Positions are (x, y) in pixels from the left and top edges: the centre of the first pixel is at (0.5, 0.5).

Masks are (N, h, w) of whole numbers, points (N, P, 2) float32 in pixels. Boxes are (N, M, 6) float32, rows of class,
x0, y0, x1, y1 and flag; keypoints (N, P, 3) of x, y and visibility.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from fovea.data.augment.batches import pixel_centres
from fovea.errors import ShapeError

LEAST_VISIBLE = 0.25
"""Of the area of a box: where less is left in the image, it stands for nothing that is seen."""
Border = Literal["reflect", "symmetric", "zeros"]
"""What enters where an image ends: its reflection, the border repeated (symmetric) or not (reflect), or zeros."""
Source = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""x and y of moved pixels -> x and y where they come from; affine; all broadcast over (N, H, W)."""


INVERTING_STEPS = 20
"""Of the fixed-point iteration that finds where a bend moves a point."""


class Movement(NamedTuple):
    """One step: an affine map for each image, between images of two sizes, of pixels that may be displaced before."""

    matrix: Tensor
    """(N, 2, 3) float32: times (x, y, 1) of a moved pixel it is (x, y) of where the pixel comes from."""
    before: tuple[int, int]
    """(H, W)"""
    after: tuple[int, int]
    """(H, W)"""
    border: Border
    bend: Tensor | None = None
    """(N, 2, H, W) float32: what is added to x and y of a moved pixel before the affine map."""


class Moved(NamedTuple):
    """Moved images and how to describe their movement, which costs nothing until asked for."""

    images: Tensor
    """(N, C, H, W)"""
    source: Source
    """Where their pixels come from."""
    before: tuple[int, int]
    """(H, W) of the images they were made from."""
    border: Border = "symmetric"
    bend: Tensor | None = None
    """(N, 2, H, W) float32: what is added to x and y before `source`, if anything."""

    def movement(self) -> Movement:
        """Return the affine map that `source` is, read off three corners of the moved images."""
        N, _, H, W = self.images.shape
        x, y = torch.tensor([[0.0, W, 0.0], [0.0, 0.0, H]], device=self.images.device)[:, None, None]
        origin, right, down = torch.stack([p.expand(N, 1, 3)[:, 0] for p in self.source(x, y)], dim=1).unbind(2)
        matrix = torch.stack(((right - origin) / W, (down - origin) / H, origin), dim=2)
        return Movement(matrix, self.before, (H, W), self.border, self.bend)


@dataclass(frozen=True)
class Geometry:
    """How the images of a batch were moved, step after step: what masks and points must follow."""

    movements: tuple[Movement, ...]
    """One or more, in the order in which they were done."""

    def moved_mask(self, mask: Tensor, *, fill: int = 0) -> Tensor:
        """Return the mask of the moved images, by nearest neighbour: (N, h, w) -> (N, H, W), of the same type.

        What enters is what enters the images; `fill` where that is black, from outside.

        Raises:
            ShapeError: the masks are not as many or not of the size of the images that were moved.
        """
        first = self.movements[0]
        N, (h, w) = len(first.matrix), first.before
        if mask.shape != (N, h, w):
            raise ShapeError(
                f"`mask` (={tuple(mask.shape)}) must be ({N}, {h}, {w}), the size of the images that were transformed."
            )
        x, y, inside = self._origins()
        x, y = (position.floor().long().clamp(0, size - 1) for position, size in ((x, w), (y, h)))
        moved = mask.flatten(1).gather(1, (y * w + x).flatten(1)).view(x.shape)
        return moved.masked_fill(~inside, fill)

    def moved_points(self, points: Tensor) -> Tensor:
        """Return where points of the images now are: (N, P, 2) -> (N, P, 2) float32, perhaps outside.

        Points have one place each: that some pixels entered as reflections does not double them. A box follows by its
        corners.
        """
        points = points.float()
        for matrix, _, _, _, bend in self.movements:
            points = straight = (points - matrix[:, None, :, 2]) @ torch.linalg.inv(matrix[:, :, :2]).mT
            for _ in range(0 if bend is None else INVERTING_STEPS):
                points = straight - displaced(bend, *points[:, None].unbind(3))[:, :, 0].mT  # type: ignore[arg-type]
        return points

    def moved_boxes(self, boxes: Tensor) -> Tensor:
        """Return the boxes of the moved images, cut at their borders: (N, M, 6) -> (N, M, 6) float32.

        A turned box becomes the upright one around its corners. One of which less than `LEAST_VISIBLE` is left gets the
        class -1, as padding has.
        """
        N, M, _ = boxes.shape
        corners = boxes[:, :, [1, 2, 3, 2, 3, 4, 1, 4]].float().reshape(N, 4 * M, 2)
        moved = self.moved_points(corners).view(N, M, 4, 2)
        low, high = moved.amin(dim=2), moved.amax(dim=2)
        H, W = self.movements[-1].after
        border = moved.new_tensor((W, H))
        cut_low, cut_high = low.clamp(min=0).minimum(border), high.clamp(min=0).minimum(border)
        whole, left = (high - low).prod(dim=2), (cut_high - cut_low).prod(dim=2)
        kept = (left > 0) & (left >= LEAST_VISIBLE * whole)
        classes = torch.where(kept, boxes[..., 0].float(), -1.0)
        return torch.cat((classes[..., None], cut_low, cut_high, boxes[..., 5:].float()), dim=2)

    def moved_keypoints(self, points: Tensor, *, opposite: Sequence[int]) -> Tensor:
        """Return the keypoints of the moved images: (N, P, 3) -> (N, P, 3) float32.

        In a mirrored image each is what its `opposite` was, the left eye the right one; a point without a partner is
        its own. One that is outside now has the visibility 0.
        """
        points = points.float()
        x, y = self.moved_points(points[..., :2]).unbind(2)
        H, W = self.movements[-1].after
        inside = (x >= 0) & (x <= W) & (y >= 0) & (y <= H)
        moved = torch.stack((x, y, points[..., 2] * inside), dim=2)
        exchanged = moved[:, torch.as_tensor(opposite, device=moved.device)]
        return torch.where(self.mirrored[:, None, None], exchanged, moved)

    @property
    def mirrored(self) -> Tensor:
        """(N,) bool: which images show left and right exchanged."""
        determinants = torch.stack([torch.linalg.det(matrix[:, :, :2]) for matrix, *_ in self.movements])
        return determinants.prod(dim=0) < 0

    def _origins(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return x and y of where each moved pixel comes from, and whether that is inside; each (N, H, W)."""
        last = self.movements[-1]
        x, y = pixel_centres(last.after, last.matrix.device)
        inside = torch.ones(len(last.matrix), *last.after, dtype=torch.bool, device=x.device)
        for matrix, (h, w), _, border, bend in reversed(self.movements):
            if bend is not None:
                x, y = torch.stack(torch.broadcast_tensors(x, y, inside)[:2], 1).add(displaced(bend, x, y)).unbind(1)  # type: ignore[no-untyped-call]
            (a, b, c), (d, e, f) = (row[..., None, None].unbind(1) for row in matrix.unbind(1))
            x, y = a * x + b * y + c, d * x + e * y + f
            if border == "zeros":
                inside &= (x >= 0) & (x < w) & (y >= 0) & (y < h)
            else:
                x, y = _reflected(x, w, border), _reflected(y, h, border)
        return x, y, inside


def displaced(bend: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return the displacements (N, 2, h, w) at `x` and `y`, broadcast to (N, h, w), of a `bend` (N, 2, H, W)."""
    H, W = bend.shape[2:]
    x, y, _ = torch.broadcast_tensors(x, y, bend[:, 0, :1, :1])  # type: ignore[no-untyped-call]
    grid = torch.stack((x * (2 / W) - 1, y * (2 / H) - 1), dim=3)
    return F.grid_sample(bend, grid, padding_mode="border", align_corners=False)


def _reflected(position: Tensor, size: int, border: Border) -> Tensor:
    """Mirror positions into 0..`size`, at the edges of the image or at the centres of its outermost pixels."""
    edge = 0.5 if border == "reflect" else 0.0
    length = size - 2 * edge
    # an image of one pixel has its own centre at both ends
    distance = (position - edge).remainder(2 * length) if length else torch.zeros_like(position)
    return edge + length - (length - distance).abs()
