"""Losses of masks, and the weights that make a network learn the gaps between cells.

Logits are (N, K, H, W) float32, masks (N, H, W) integers: the class of each pixel, 255 void, which counts nowhere.
Each loss is a scalar, 0 for a batch of void. Imported late: it needs PyTorch.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from fovea.metrics.masks import VOID


def cross_entropy(
    logits: Tensor,
    masks: Tensor,
    *,
    weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the mean over known pixels of -log of the probability given to the true class, in nats.

    `weights` (K,) count classes, `pixel_weights` (N, H, W) pixels more or less, both float32; the mean is weighted by
    the classes', as PyTorch's, and not by the pixels', as equation 1 of Ronneberger et al. 2015 (arXiv:1505.04597).
    """
    losses = F.cross_entropy(
        _precise(logits),
        masks.long(),
        weight=weights,
        ignore_index=VOID,
        reduction="none",
        label_smoothing=label_smoothing,
    )
    if pixel_weights is not None:
        losses = losses * pixel_weights
    return losses.sum() / _pixels(masks, weights)


def boundary_loss(logits: Tensor, masks: Tensor, *, background: int = 0, weights: Tensor | None = None) -> Tensor:
    """Return the cross-entropy in which pixels between objects that nearly touch count up to eleven times.

    Ronneberger, Fischer and Brox 2015, arXiv:1505.04597, equations 1 and 2. The weights are those of these very masks,
    moved as their images are: `boundary_weights`, on the processor.
    """
    from fovea.tasks.criteria.boundary import boundary_weights

    found = boundary_weights(masks.detach().to("cpu", torch.uint8).numpy(), background=background)
    return cross_entropy(logits, masks, weights=weights, pixel_weights=torch.from_numpy(found).to(logits.device))


def dice_loss(logits: Tensor, masks: Tensor, *, smooth: float = 1.0) -> Tensor:
    """Return 1 minus the mean soft Dice of the classes that the batch has, from 0 to 1.

    Of a class: (2 sum(p g) + s) / (sum(p) + sum(g) + s) over the known pixels of the batch, p its probability, g 1
    where it is true and 0 elsewhere, s = `smooth` in pixels (Sudre et al. 2017, arXiv:1707.03237, without weights).
    """
    logits = _precise(logits)
    known = (masks != VOID)[:, None]
    probabilities = torch.where(known, logits.softmax(dim=1), 0)
    truth = _one_hot(masks, logits)
    both, given, wanted = (of.sum(dim=(0, 2, 3)) for of in (probabilities * truth, probabilities, truth))
    present = (wanted > 0).to(logits.dtype)
    lacking = 1 - (2 * both + smooth) / (given + wanted + smooth)
    return (lacking * present).sum() / present.sum().clamp(min=1)


def focal_loss(logits: Tensor, masks: Tensor, *, gamma: float = 2.0, weights: Tensor | None = None) -> Tensor:
    """Return the mean over known pixels of -(1 - p)^gamma log p, p the probability given to the true class, in nats.

    Lin et al. 2017, arXiv:1708.02002, equation 4, over classes by softmax; `weights` (K,) float32 are its alpha. At
    gamma 0 it is the cross-entropy.
    """
    log_p = F.log_softmax(_precise(logits), dim=1)
    chosen = log_p.gather(1, _within(masks)[:, None]).squeeze(1)
    losses = -((1 - chosen.exp()) ** gamma) * chosen * _weights_of(masks, weights, chosen)
    return losses.sum() / _pixels(masks, weights)


def _precise(logits: Tensor) -> Tensor:
    """Return logits as float32 at least: sums over pixels are beyond bfloat16."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _within(masks: Tensor) -> Tensor:
    """Return int64 masks with class 0 in place of void, so that they can be looked up."""
    return masks.long().masked_fill(masks == VOID, 0)


def _one_hot(masks: Tensor, like: Tensor) -> Tensor:
    """Return (N, K, H, W) 1 where a class is true, of the type and shape of the logits."""
    return torch.zeros_like(like).scatter_(1, _within(masks)[:, None], (masks != VOID)[:, None].to(like.dtype))


def _weights_of(masks: Tensor, weights: Tensor | None, like: Tensor) -> Tensor:
    """Return what each pixel (N, H, W) counts: 0 where it is void, else 1 or its class's weight."""
    known = (masks != VOID).to(like.dtype)
    return known if weights is None else known * weights.to(like.dtype)[_within(masks)]


def _pixels(masks: Tensor, weights: Tensor | None) -> Tensor:
    """Return the sum of what pixels count, in which a mean is a mean; above 0."""
    like = torch.empty((), device=masks.device) if weights is None else weights
    total = _weights_of(masks, weights, like).sum()
    return torch.where(total > 0, total, torch.ones_like(total))
