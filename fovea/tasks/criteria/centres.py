"""The loss of detectors of the centre form: heat maps of centres, and a box at each cell near one.

Outputs are (N, K + 4, h, w) float32: K logits, then the logarithms of the distances left, top, right and bottom from
the centre of the cell to the sides of the box, in strides. True boxes are (N, M, 6) float32: class, x0, y0, x1, y1 in
pixels of the input, 1 for a crowd; the class is -1 where there is none. Imported late: it needs PyTorch.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from fovea.decoding.boxes import SIDES
from fovea.decoding.centres import LARGEST
from fovea.tasks.criteria.boxes import generalised_overlaps

NEAR = 0.54
"""Of a box's sides: the part around its centre in which cells learn it (alpha and beta of Liu et al. 2019)."""
BOX_WEIGHT = 5.0
"""Of the boxes' loss beside that of the centres, as in Liu et al. 2019."""
FOCUS = 2
"""Alpha of Zhou et al. 2019, equation 1: how much less is learned from cells that are right."""
LENIENCE = 4
"""Beta there: how much less from cells beside a centre."""


class CentreTargets(NamedTuple):
    """What the maps of a batch should be, float32."""

    heat: Tensor
    """(N, K, h, w): 1 at centres, less around them, 0 elsewhere."""
    counts: Tensor
    """(N, K, h, w): 0 in crowds, where nothing is learned, and else 1."""
    owners: Tensor
    """(N, h, w) int64: the row of the box that a cell has to give, -1 for none."""
    weights: Tensor
    """(N, h, w): what the cell counts, 0 where it has no box; about 1 in sum for each object."""


def centre_targets(boxes: Tensor, *, classes: int, size: tuple[int, int], stride: int) -> CentreTargets:
    """Return the targets of maps of `size` (h, w) for true boxes (N, M, 6) float32 in pixels.

    Liu et al. 2019, arXiv:1909.00700 (TTFNet), section 3: around each centre a Gaussian as wide and as high as the box
    says, cut at `NEAR` of its sides, in which cells learn the box too. Where boxes overlap the smaller one is learned.
    Departure: each object counts equally, whatever its area.
    """
    N, (h, w) = len(boxes), size
    found = CentreTargets(
        boxes.new_zeros(N, classes, h, w),
        boxes.new_ones(N, classes, h, w),
        boxes.new_full((N, h, w), -1, dtype=torch.long),
        boxes.new_zeros(N, h, w),
    )
    sides = (boxes[..., 3:5] - boxes[..., 1:3]).clamp(min=0)
    order = (sides[..., 0] * sides[..., 1]).argsort(dim=1, descending=True, stable=True)
    rows = torch.arange(N, device=boxes.device)
    for row in order[:, : _most(boxes.gather(1, order[..., None].expand_as(boxes)))].unbind(1):
        _put(found, boxes, (rows, row), stride)
    return found


def _most(boxes: Tensor) -> int:
    """Return how many leading boxes of an image there are at most that are none of the padding."""
    (used,) = (boxes[..., 0] >= 0).any(dim=0).nonzero(as_tuple=True)
    return int(used[-1]) + 1 if len(used) else 0


def _put(found: CentreTargets, boxes: Tensor, at: tuple[Tensor, Tensor], stride: int) -> None:
    """Put one box of each image, at these images and rows, into the targets."""
    (rows, row), (h, w) = at, found.weights.shape[1:]
    box = boxes[at]
    there, crowd = box[:, 0] >= 0, box[:, 5] > 0
    index = box[:, 0].clamp(min=0).long()
    across = _bell(box[:, 1], box[:, 3], w, stride)
    down = _bell(box[:, 2], box[:, 4], h, stride)
    bell = (down[:, :, None] * across[:, None, :]) * (there & ~crowd)[:, None, None]
    found.heat[rows, index] = torch.maximum(found.heat[rows, index], bell)
    if crowd.any():
        down, across = (_inside(box[:, i], box[:, i + 2], cells, stride) for i, cells in ((2, h), (1, w)))
        inside = down[:, :, None] & across[:, None, :] & (there & crowd)[:, None, None]
        found.counts[rows, index] *= (~inside).to(bell.dtype)
    near = bell > 0
    found.weights.copy_(torch.where(near, bell / bell.sum(dim=(1, 2), keepdim=True).clamp(min=1), found.weights))
    found.owners.copy_(torch.where(near, row[:, None, None], found.owners))


def _bell(low: Tensor, high: Tensor, cells: int, stride: int) -> Tensor:
    """Return a Gaussian (N, cells) around the cell with the middle of low..high (N,), 1 there, 0 beyond its reach."""
    middle = ((low + high) / (2 * stride)).floor().clamp(0, cells - 1)
    reach = (NEAR * (high - low) / (2 * stride)).floor().clamp(min=0)
    deviation = (2 * reach + 1) / 6
    away = torch.arange(cells, device=low.device) - middle[:, None]
    bell = torch.exp(-(away**2) / (2 * deviation[:, None] ** 2))
    return torch.where(away.abs() <= reach[:, None], bell, 0.0)


def _inside(low: Tensor, high: Tensor, cells: int, stride: int) -> Tensor:
    """Return which cells (N, cells) have their middle in low..high (N,)."""
    middle = (torch.arange(cells, device=low.device) + 0.5) * stride
    return (middle >= low[:, None]) & (middle < high[:, None])


def heat_loss(logits: Tensor, heat: Tensor, counts: Tensor | None = None) -> Tensor:
    """Return the focal loss of heat maps (N, K, h, w) float32 per object: a scalar, in nats.

    Zhou et al. 2019, arXiv:1904.07850, equation 1, p the sigmoid of the logits: -(1 - p)^2 log p where `heat` is 1,
    else -(1 - heat)^4 p^2 log(1 - p). `counts` (N, K, h, w) is 0 where nothing is learned.
    """
    p = logits.sigmoid()
    centre = heat == 1
    at = (1 - p) ** FOCUS * F.logsigmoid(logits)
    beside = (1 - heat) ** LENIENCE * p**FOCUS * F.logsigmoid(-logits)
    losses = -torch.where(centre, at, beside)
    if counts is not None:
        losses, centre = losses * counts, centre & (counts > 0)
    return losses.sum() / centre.sum().clamp(min=1)


def decoded_boxes(outputs: Tensor, *, stride: int) -> Tensor:
    """Return the boxes (N, 4, h, w) float32 in pixels for which logarithms (N, 4, h, w) stand."""
    h, w = outputs.shape[2:]
    sides = outputs.clamp(-LARGEST, LARGEST).exp()
    x = torch.arange(w, device=outputs.device) + 0.5
    y = (torch.arange(h, device=outputs.device) + 0.5)[:, None].expand(h, w)
    at = torch.stack([x.expand(h, w), y])
    return torch.cat([at - sides[:, :2], at + sides[:, 2:]], dim=1) * stride


def centres_loss(outputs: Tensor, boxes: Tensor, *, stride: int = 4) -> Tensor:
    """Return the loss of outputs (N, K + 4, h, w) float32 for true boxes (N, M, 6) float32, a scalar.

    That of the centres, and `BOX_WEIGHT` times what the generalised overlap lacks of 1 (Rezatofighi et al. 2019): a
    mean over cells near centres, weighted so that each object counts equally.
    """
    outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
    K = outputs.shape[1] - SIDES
    h, w = outputs.shape[2:]
    wanted = centre_targets(boxes.to(outputs.dtype), classes=K, size=(h, w), stride=stride)
    given = decoded_boxes(outputs[:, K:], stride=stride)
    n, y, x = (wanted.owners >= 0).nonzero(as_tuple=True)
    lacking = 1 - generalised_overlaps(given[n, :, y, x], boxes[n, wanted.owners[n, y, x], 1:5].to(given.dtype))
    weights = wanted.weights[n, y, x]
    box_loss = (lacking * weights).sum() / weights.sum().clamp(min=1e-6)
    return heat_loss(outputs[:, :K], wanted.heat, wanted.counts) + BOX_WEIGHT * box_loss
