"""Pictures made of numbers: the first layer's filters, gradients over the layers, confusions of many classes."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

Pixels = NDArray[np.uint8]

MOST_FILTERS = 128
COLUMNS = 16
HEAT = np.array([(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)])
"""Five colours from low to high, evenly spaced; equal steps look equal, also without colour vision."""


def first_filters(model: nn.Module, input_shape: tuple[int, int, int]) -> Tensor | None:
    """Return the weights of the first layer as images (F, C, k, k) for an input (C, H, W), or None.

    Those of a convolution over all C channels, or of a dense layer over all pixels.
    """
    C, H, W = input_shape
    first = next((module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)), None)
    if first is None:
        return None
    weight = first.weight.detach().float().cpu()
    if isinstance(first, nn.Conv2d):
        return weight if weight.shape[1] == C else None
    return weight.view(-1, C, H, W) if weight.shape[1] == C * H * W else None


def filter_grid(filters: Tensor) -> Pixels:
    """Return filters (F, C, k, k) with 1 or 3 channels as one picture (h, w, 4): 0 is grey, gaps are transparent."""
    shown = filters[:MOST_FILTERS]
    F, _, h, w = shown.shape
    tiles = (127.5 + 127.5 * shown / shown.abs().max().clamp(min=1e-12)).round().byte()
    tiles = tiles.expand(F, 3, h, w).permute(0, 2, 3, 1)
    columns = min(COLUMNS, F)
    grid = np.zeros((-(-F // columns) * (h + 1) - 1, columns * (w + 1) - 1, 4), np.uint8)
    for index, tile in enumerate(tiles.numpy()):
        top, left = index // columns * (h + 1), index % columns * (w + 1)
        grid[top : top + h, left : left + w] = np.concatenate([tile, np.full((h, w, 1), 255, np.uint8)], axis=2)
    return grid


def heat_map(values: Sequence[Sequence[float | None]], *, low: float, high: float) -> Pixels:
    """Return rows of numbers as colours (rows, columns, 4) by their logarithm between `low` and `high`, both above 0.

    None is transparent.
    """
    logs = np.log(np.clip(np.array(values, dtype=np.float64), low, high))
    return _coloured((logs - math.log(low)) / max(math.log(high / low), 1e-12))


def heat_strip() -> Pixels:
    """Return the colours of `heat_map` from low to high, (1, 64, 4)."""
    return _coloured(np.linspace(0, 1, 64)[None])


def confusion_picture(counts: NDArray[np.int64]) -> Pixels:
    """Return counts (classes, classes) as one pixel a cell (classes, classes, 4): the share of the true class as cover.

    Right answers are green and mistakes red, on any background.
    """
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    picture = np.zeros((*counts.shape, 4), np.uint8)
    picture[..., :3] = (215, 70, 60)
    picture[..., 3] = np.round(255 * np.sqrt(share))
    np.fill_diagonal(picture[..., 0], 46)
    np.fill_diagonal(picture[..., 1], 150)
    np.fill_diagonal(picture[..., 2], 100)
    return picture


def _coloured(shares: NDArray[np.float64]) -> Pixels:
    position = np.nan_to_num(shares) * (len(HEAT) - 1)
    channels = [np.interp(position, np.arange(len(HEAT)), HEAT[:, channel]) for channel in range(3)]
    return np.stack([*channels, np.where(np.isnan(shares), 0, 255)], axis=-1).round().astype(np.uint8)
