"""Losses of the grid forms (`fovea.decoding.grids`): YOLO, its second version, and one box for an image.

True boxes are (N, M, 6) float32: class, x0, y0, x1, y1 in pixels of the input, 1 for a crowd, of which nothing is
learned; the class is -1 where there is none. Each loss is a scalar float32. Imported late: it needs PyTorch.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from fovea.decoding.grids import LARGEST, PARTS, VOC_PRIORS
from fovea.tasks.criteria.boxes import generalised_overlaps, overlaps, pairwise_overlaps

PLACE, EMPTY = 5.0, 0.5
"""Of YOLO, section 2.2: weights of coordinates, and of the confidence of boxes without an object."""
OBJECT = 5.0
"""Of its second version, as in Darknet: weight of the confidence of boxes with an object; that of others is 1."""
NEAR = 0.6
"""Overlap from which on a box that is not responsible gets no loss for holding nothing."""


class _Objects(NamedTuple):
    """All objects (T,) of a batch, the smaller one where two have one cell."""

    images: Tensor
    rows: Tensor
    columns: Tensor
    classes: Tensor
    boxes: Tensor
    """(T, 4), in sides of the input."""


def _objects(boxes: Tensor, size: tuple[int, int], cells: tuple[int, int]) -> _Objects:
    """Return the objects of boxes (N, M, 6) on a grid of (h, w) cells, the largest first."""
    H, W = size
    there = (boxes[..., 0] >= 0) & (boxes[..., 5] == 0)
    images, _ = there.nonzero(as_tuple=True)
    rows = boxes[there]
    scaled = rows[:, 1:5] / rows.new_tensor([W, H, W, H])
    order = ((scaled[:, 2] - scaled[:, 0]) * (scaled[:, 3] - scaled[:, 1])).argsort(descending=True, stable=True)
    middle = (scaled[:, :2] + scaled[:, 2:]) / 2
    h, w = cells
    column, row = ((middle[:, i] * count).long().clamp(0, count - 1) for i, count in ((0, w), (1, h)))
    return _Objects(*(of[order] for of in (images, row, column, rows[:, 0].long(), scaled)))


def _last_of_each(keys: Tensor) -> Tensor:
    """Return which of keys (T,) have no equal after them."""
    later = keys[:, None] == keys[None]
    return ~later.triu(diagonal=1).any(dim=1)


def grid_loss(outputs: Tensor, boxes: Tensor, *, size: tuple[int, int], per_cell: int = 2) -> Tensor:
    """Return the loss of outputs (N, 5 B + K, h, w) float32, the mean over images of squared errors.

    Redmon et al. 2015, arXiv:1506.02640, equation 3. `size` is that of the input, (H, W). A cell learns one object; of
    its boxes the one that overlaps it most is responsible, and its confidence learns that overlap.
    """
    outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
    N, _, h, w = outputs.shape
    parts = outputs[:, : per_cell * PARTS].unflatten(1, (per_cell, PARTS))  # type: ignore[no-untyped-call]
    there = _objects(boxes.to(outputs.dtype), size, (h, w))
    kept = _last_of_each((there.images * h + there.rows) * w + there.columns)
    n, y, x, classes, truth = (of[kept] for of in there)
    own = parts[n, :, :, y, x]  # (T, B, 5)
    cells = truth.new_tensor([w, h])
    corner = torch.stack([x, y], dim=1).to(truth.dtype)
    middle = (own[..., :2] + corner[:, None]) / cells
    given = _box(middle, own[..., 2:4] ** 2)
    shared = overlaps(given, truth[:, None].expand_as(given)).detach()
    best = shared.argmax(dim=1)
    each = torch.arange(len(best), device=best.device)
    mine = own[each, best]
    wanted_middle = (truth[:, :2] + truth[:, 2:]) / 2 * cells - corner
    wanted_root = (truth[:, 2:] - truth[:, :2]).clamp(min=0).sqrt()
    place = ((mine[:, :2] - wanted_middle) ** 2).sum() + ((mine[:, 2:4] - wanted_root) ** 2).sum()
    confidence = ((mine[:, 4] - shared[each, best]) ** 2).sum()
    empty = (parts[:, :, 4] ** 2).sum() - (mine[:, 4] ** 2).sum()
    labels = F.one_hot(classes, outputs.shape[1] - per_cell * PARTS).to(outputs.dtype)
    kinds = ((outputs[n, per_cell * PARTS :, y, x] - labels) ** 2).sum()
    total: Tensor = PLACE * place + confidence + EMPTY * empty + kinds
    return total / N


def prior_grid_loss(
    outputs: Tensor,
    boxes: Tensor,
    *,
    size: tuple[int, int],
    priors: tuple[tuple[float, float], ...] = VOC_PRIORS,
) -> Tensor:
    """Return the loss of outputs (N, B (5 + K), h, w) float32, the mean over images.

    Redmon and Farhadi 2016, arXiv:1612.08242, with Darknet's weights, which the paper leaves out: of a cell the prior
    whose shape overlaps an object most is responsible for it. It learns place, shape and overlap by squared errors, and
    the class by cross-entropy; those that overlap no object by 0.6 learn that they hold nothing.
    """
    outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
    N, _, h, w = outputs.shape
    boxes = boxes.to(outputs.dtype)
    parts = outputs.unflatten(1, (len(priors), -1))  # type: ignore[no-untyped-call]
    shapes = outputs.new_tensor(priors) / outputs.new_tensor([w, h])  # (B, 2), in sides of the input
    there = _objects(boxes, size, (h, w))
    sides = there.boxes[:, 2:] - there.boxes[:, :2]
    best = pairwise_overlaps(_box(torch.zeros_like(sides), sides), _box(torch.zeros_like(shapes), shapes)).argmax(dim=1)
    kept = _last_of_each(((there.images * len(priors) + best) * h + there.rows) * w + there.columns)
    n, y, x, classes, truth = (of[kept] for of in there)
    best, sides = best[kept], sides[kept].clamp(min=1e-6)
    given = _prior_boxes(parts, shapes)  # (N, B, h, w, 4)
    mine = parts[n, best, :, y, x]
    wanted = (truth[:, :2] + truth[:, 2:]) / 2 * truth.new_tensor([w, h]) - torch.stack([x, y], dim=1)
    small = (2 - sides[:, 0] * sides[:, 1])[:, None]
    place = (small * (mine[:, :2].sigmoid() - wanted) ** 2).sum()
    place = place + (small * (mine[:, 2:4] - (sides / shapes[best]).log()) ** 2).sum()
    shared = overlaps(given[n, best, y, x], truth).detach()
    confidence = ((mine[:, 4].sigmoid() - shared) ** 2).sum()
    kinds = F.cross_entropy(mine[:, PARTS:], classes, reduction="sum")
    told = ~_near_any(given.detach(), boxes, size)
    told[n, best, y, x] = False
    empty = (parts[:, :, 4].sigmoid() ** 2 * told).sum()
    total: Tensor = place + OBJECT * confidence + empty + kinds
    return total / N


def _prior_boxes(parts: Tensor, shapes: Tensor) -> Tensor:
    """Return the boxes (N, B, h, w, 4) for which parts (N, B, 5 + K, h, w) stand, in sides of the input."""
    h, w = parts.shape[-2:]
    x = (parts[:, :, 0].sigmoid() + torch.arange(w, device=parts.device)) / w
    y = (parts[:, :, 1].sigmoid() + torch.arange(h, device=parts.device)[:, None]) / h
    sides = parts[:, :, 2:4].clamp(-LARGEST, LARGEST).exp().movedim(2, -1) * shapes[:, None, None]
    return _box(torch.stack([x, y], dim=-1), sides)


def _near_any(given: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return which boxes (N, B, h, w) overlap an object of their image, or a crowd, by `NEAR`."""
    H, W = size
    scaled = boxes[..., 1:5] / boxes.new_tensor([W, H, W, H])
    shared = pairwise_overlaps(given.flatten(1, 3), scaled) * (boxes[:, None, :, 0] >= 0)
    return (shared >= NEAR).any(dim=2).view(given.shape[:-1])


def _box(middle: Tensor, sides: Tensor) -> Tensor:
    """Return x0, y0, x1, y1 (..., 4) of middles and sides (..., 2)."""
    return torch.cat([middle - sides / 2, middle + sides / 2], dim=-1)


def one_box_loss(outputs: Tensor, boxes: Tensor, *, size: tuple[int, int]) -> Tensor:
    """Return the loss of outputs (N, K + 4) float32: cross-entropy, and that of the box of each image's largest object.

    A box costs 1 - GIoU and how far its sides are away, as in Carion et al. 2020 (arXiv:2005.12872, section 3.1): one
    that has shrunk to nothing has no overlap to learn from.

    Of an image without an object nothing is learned. `size` is that of the input, (H, W). Corners count in whichever
    order they come, as the decoder takes them: an inverted box has no overlap, and would learn nothing.
    """
    outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
    there = _objects(boxes.to(outputs.dtype), size, (1, 1))
    first = _last_of_each(there.images.flip(0)).flip(0)
    n, truth, classes = there.images[first], there.boxes[first], there.classes[first]
    kinds = F.cross_entropy(outputs[n, :-4], classes, reduction="sum")
    corners = outputs[n, -4:].unflatten(1, (2, 2))  # type: ignore[no-untyped-call]
    given = torch.cat([corners.amin(dim=1), corners.amax(dim=1)], dim=1)
    lacking = 1 - generalised_overlaps(given, truth)
    away = (given - truth).abs().sum()
    return (kinds + lacking.sum() + away) / max(len(n), 1)
