"""Losses of points: heat maps with a bell at each, or coordinates.

Points are (N, P, 3) float32: x and y in pixels of the input, the centre of the first pixel at 0.5, 0.5, and 0 where a
point is not labelled, which then counts nowhere. Each loss is a scalar. Imported late: it needs PyTorch.
"""

import math

import torch
from torch import Tensor

SHARE = 1 / 32
"""Of the shorter side of a map: the standard deviation of a bell, 2 cells of 64 as in Xiao et al. 2018; 1 at least."""


def heat_maps(points: Tensor, *, size: tuple[int, int], stride: float) -> Tensor:
    """Return what maps of `size` (h, w) should be: (N, P, h, w) float32, 1 at each point and less around, else 0.

    Tompson et al. 2014, arXiv:1406.2984, as Xiao et al. 2018, arXiv:1804.06208, have it. Departure: the bell stands on
    the point, not on the nearest cell, so that the cells beside the highest say on which side of its middle it lies.
    """
    h, w = size
    deviation = _deviation(size)
    across, down = (_bell(points[..., axis] / stride, cells, deviation) for axis, cells in ((0, w), (1, h)))
    labelled = (points[..., 2] > 0)[..., None, None]
    return torch.where(labelled, down[..., :, None] * across[..., None, :], 0.0)


def _deviation(size: tuple[int, int]) -> float:
    return max(1.0, min(size) * SHARE)


def _bell(places: Tensor, cells: int, deviation: float) -> Tensor:
    """Return a Gaussian (N, P, cells) around places (N, P) in cells, cut at three deviations."""
    away = torch.arange(cells, device=places.device) + 0.5 - places[..., None]
    return torch.where(away.abs() <= 3 * deviation, torch.exp(-(away**2) / (2 * deviation**2)), 0.0)


def heat_map_loss(outputs: Tensor, points: Tensor, *, stride: float = 4) -> Tensor:
    """Return the squared error of maps (N, P, h, w) float32, a mean over labelled points.

    In units of a bell's own sum of squares, so that it is 1 for maps of zeros, whatever their size.
    """
    outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
    h, w = outputs.shape[2:]
    wanted = heat_maps(points.to(outputs.dtype), size=(h, w), stride=stride)
    labelled = (points[..., 2] > 0).to(outputs.dtype)
    errors = ((outputs - wanted) ** 2).sum(dim=(2, 3)) * labelled
    return errors.sum() / labelled.sum().clamp(min=1) / (math.pi * _deviation((h, w)) ** 2)


def coordinates_loss(outputs: Tensor, points: Tensor, *, size: tuple[int, int]) -> Tensor:
    """Return the mean absolute error of coordinates (N, 2 P) float32, x and y in turn, in sides of the input (H, W)."""
    outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
    H, W = size
    wanted = points[..., :2].to(outputs.dtype) / outputs.new_tensor([W, H])
    labelled = (points[..., 2:] > 0).to(outputs.dtype).expand_as(wanted)
    errors: Tensor = (outputs.reshape(wanted.shape) - wanted).abs() * labelled
    return errors.sum() / labelled.sum().clamp(min=1)
