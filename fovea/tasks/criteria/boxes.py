"""How much boxes overlap, as numbers that have gradients.

Boxes are (N, 4) float32, or with more dimensions before the last: x0, y0, x1, y1 in pixels. Imported late: it needs
PyTorch.
"""

import torch
from torch import Tensor


def areas(boxes: Tensor) -> Tensor:
    """Return width times height (...,) of boxes (..., 4), of their dtype; 0 of inverted ones."""
    sides = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0)
    return sides[..., 0] * sides[..., 1]


def shared_areas(boxes: Tensor, others: Tensor) -> Tensor:
    """Return the area (...,) that boxes (..., 4) share with others, of their dtype."""
    return areas(torch.cat([_highest(boxes, others)[..., :2], _lowest(boxes, others)[..., 2:]], dim=-1))


def overlaps(boxes: Tensor, others: Tensor) -> Tensor:
    """Return the intersection over union (...,), 0 to 1, of boxes (..., 4) and others; 0 where both are empty."""
    shared = shared_areas(boxes, others)
    return shared / (areas(boxes) + areas(others) - shared).clamp(min=torch.finfo(boxes.dtype).tiny)


def pairwise_overlaps(boxes: Tensor, others: Tensor) -> Tensor:
    """Return the intersection over union (..., D, G), 0 to 1, of each of boxes (..., D, 4) and others (..., G, 4)."""
    return overlaps(boxes[..., :, None, :], others[..., None, :, :])


def generalised_overlaps(boxes: Tensor, others: Tensor) -> Tensor:
    """Return the generalised intersection over union (...,), -1 to 1, of boxes (..., 4) and others.

    Rezatofighi et al. 2019, arXiv:1902.09630, algorithm 1: the overlap, less the part of the smallest box around both
    that neither covers. It has a gradient where boxes do not touch.
    """
    tiny = torch.finfo(boxes.dtype).tiny
    shared = shared_areas(boxes, others)
    union = areas(boxes) + areas(others) - shared
    around = areas(torch.cat([_lowest(boxes, others)[..., :2], _highest(boxes, others)[..., 2:]], dim=-1))
    return shared / union.clamp(min=tiny) - (around - union) / around.clamp(min=tiny)


def _lowest(boxes: Tensor, others: Tensor) -> Tensor:
    return torch.minimum(boxes, others)


def _highest(boxes: Tensor, others: Tensor) -> Tensor:
    return torch.maximum(boxes, others)
