"""The loss of detectors with anchors: each learns the object that it overlaps most, or that there is none.

Lin et al. 2017, arXiv:1708.02002 (RetinaNet). Outputs are (N, A, K + 4) float32: K logits and four deltas of each
anchor. Anchors are (A, 4) float32, true boxes (N, M, 6) float32: class, x0, y0, x1, y1 in pixels of the input, 1 for a
crowd; the class is -1 where there is none. Imported late: it needs PyTorch.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from fovea.decoding.boxes import SIDES
from fovea.tasks.criteria.boxes import areas, pairwise_overlaps, shared_areas

FOUND = 0.5
"""Overlap from which on an anchor learns an object."""
NONE_BELOW = 0.4
"""Overlap below which it learns that there is none; between the two it learns nothing."""
CROWDED = 0.5
"""Share of an anchor in a crowd from which on it learns nothing."""
BACKGROUND, UNUSED = -1, -2
ALPHA, GAMMA = 0.25, 2.0
"""Of the focal loss, section 4.1."""


def anchor_matches(anchors: Tensor, boxes: Tensor) -> Tensor:
    """Return the row (A,) int64 of the boxes (M, 6) of an image that each anchor learns; `BACKGROUND` or `UNUSED` else.

    Section 4: the box of the highest overlap, from `FOUND` on; `BACKGROUND` below `NONE_BELOW`. A box also has the
    anchors that overlap it most, however little, as Ren et al. 2015 (arXiv:1506.01497) have it.
    """
    matches = anchors.new_full((len(anchors),), BACKGROUND, dtype=torch.long)
    (there,) = ((boxes[:, 0] >= 0) & (boxes[:, 5] == 0)).nonzero(as_tuple=True)
    if len(there):
        overlaps = pairwise_overlaps(anchors, boxes[there, 1:5])
        highest, best = overlaps.max(dim=1)
        of_box = overlaps.max(dim=0).values
        nearest = ((overlaps == of_box) & (of_box > 0)).any(dim=1)
        matches[highest >= NONE_BELOW] = UNUSED
        matches = torch.where((highest >= FOUND) | nearest, there[best], matches)
    crowds = boxes[(boxes[:, 0] >= 0) & (boxes[:, 5] > 0), 1:5]
    if len(crowds):
        share = shared_areas(anchors[:, None], crowds).amax(dim=1) / areas(anchors).clamp(min=1e-6)
        matches[(matches == BACKGROUND) & (share >= CROWDED)] = UNUSED
    return matches


def deltas_of(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Return what a network has to say of boxes (A, 4) at anchors (A, 4): (A, 4) float32.

    Girshick et al. 2014, arXiv:1311.2524, appendix C: how far the centre is away, in sides of the anchor, and the
    logarithms of how much wider and higher the box is.
    """
    sizes, own = boxes[:, 2:] - boxes[:, :2], anchors[:, 2:] - anchors[:, :2]
    away = (boxes[:, :2] + sizes / 2 - anchors[:, :2] - own / 2) / own
    return torch.cat([away, (sizes.clamp(min=1e-3) / own).log()], dim=1)


def sigmoid_focal(logits: Tensor, truth: Tensor, *, alpha: float = ALPHA, gamma: float = GAMMA) -> Tensor:
    """Return the focal loss of each of logits, any shape, float32 in nats; `truth` is 1 or 0 of the same shape.

    Equation 5: -alpha (1 - p)^gamma log p where `truth` is 1, else -(1 - alpha) p^gamma log(1 - p).
    """
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    p = logits.sigmoid()
    wrong = p + truth - 2 * p * truth
    return (alpha * truth + (1 - alpha) * (1 - truth)) * wrong**gamma * entropy


def anchor_losses(outputs: Tensor, boxes: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
    """Return the losses of classes and of deltas, means over images of sums per anchor with an object; scalars."""
    outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
    classes, deltas = [], []
    for row, truth in zip(outputs, boxes.to(outputs.dtype), strict=True):
        matches = anchor_matches(anchors, truth)
        (own,) = (matches >= 0).nonzero(as_tuple=True)
        wanted = torch.zeros_like(row[:, :-SIDES])
        wanted[own, truth[matches[own], 0].long()] = 1
        used = matches != UNUSED
        objects = max(len(own), 1)
        classes.append(sigmoid_focal(row[used, :-SIDES], wanted[used]).sum() / objects)
        away = row[own, -SIDES:] - deltas_of(truth[matches[own], 1:5], anchors[own])
        deltas.append(away.abs().sum() / objects)
    return torch.stack(classes).mean(), torch.stack(deltas).mean()


def anchors_loss(outputs: Tensor, boxes: Tensor, anchors: Tensor) -> Tensor:
    """Return the loss of outputs (N, A, K + 4) float32 for true boxes (N, M, 6): focal, and L1 of the deltas."""
    classes, deltas = anchor_losses(outputs, boxes, anchors)
    return classes + deltas
