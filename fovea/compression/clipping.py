"""Weights cut where this makes the outputs of a layer on a grid err least.

A folded batch norm leaves huge weights for inputs that are nearly always zero; the scale of their output channel would
follow them, and all other weights would become zero. An error of weight counts by the mean square of what it reads.

Weights are (F, C, *kernel), or (F, C) of dense layers, C the inputs of a group, float32.
"""

import torch
from torch import Tensor, nn

from fovea.compression.grids import SMALLEST_SCALE, WEIGHT_LIMIT

HALVINGS = 10
"""How far below the largest weight the cut is searched for, in factors of two."""


class InputPower:
    """The mean square of each input channel of a layer, over batches."""

    def __init__(self) -> None:
        self.sums: Tensor | None = None
        self.places = 0

    def add(self, layer: nn.Module, x: Tensor) -> None:
        """Look at inputs (N, C, ...), of dense layers (N, ..., C)."""
        rows = x.detach().double()
        rows = rows.flatten(0, -2) if isinstance(layer, nn.Linear) else rows.transpose(0, 1).flatten(1).T
        sums = rows.square().sum(0)
        self.sums = sums if self.sums is None else self.sums + sums
        self.places += len(rows)

    def of_weights(self, layer: nn.Module, weight: Tensor) -> Tensor:
        """Return the mean square of what each weight (F, C, ...) reads, (F, C, 1)."""
        if self.sums is None:
            return torch.ones(*weight.shape[:2], 1, dtype=torch.float64)
        means = (self.sums / self.places).to(weight.device)
        groups = getattr(layer, "groups", 1)
        of_group = means.reshape(groups, -1)
        return of_group.repeat_interleave(weight.shape[0] // groups, 0).unsqueeze(-1)


@torch.no_grad()
def cut_weights(layer: nn.Module, weight: Tensor, power: InputPower) -> None:
    """Cut the weights of each output channel, in place, where the expected squared error of the outputs is least."""
    rows = weight.detach().double().flatten(2) if weight.ndim > 2 else weight.detach().double().unsqueeze(-1)
    largest = rows.abs().flatten(1).amax(1).clamp_min(SMALLEST_SCALE)
    counts = power.of_weights(layer, weight)
    least = torch.full_like(largest, torch.inf)
    best = largest.clone()
    for half in range(2 * HALVINGS + 1):
        limit = largest * 2 ** (-half / 2)
        scale = (limit / WEIGHT_LIMIT)[:, None, None]
        nearest = torch.round(rows / scale).clamp(-WEIGHT_LIMIT, WEIGHT_LIMIT) * scale
        errors = (counts * (rows - nearest).square()).sum((1, 2))
        better = errors < least
        least, best = torch.where(better, errors, least), torch.where(better, limit, best)
    ends = best.to(weight.dtype).reshape(-1, *(1,) * (weight.ndim - 1))
    weight.copy_(torch.minimum(torch.maximum(weight, -ends), ends))
