"""Pictures made of numbers: the first layer's filters, gradients over the layers, confusions of many classes.

Pictures are (H, W, 4) uint8 0..255, with transparency. Filters are (F, C, k, k) float32, counts
(classes, classes) int64.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

MOST_FILTERS = 128
COLUMNS = 16
HEAT = np.array([(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)])
"""Five colours from low to high, evenly spaced; equal steps look equal, also without colour vision."""
EMBERS = np.array([(20, 11, 54), (101, 21, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)])
"""Five more, which stand out from photographs."""


def filter_grid(filters: NDArray[np.float32]) -> Pixels:
    """Return filters (F, C, k, k) with 1 or 3 channels as one picture (h, w, 4): 0 is grey, gaps are transparent."""
    shown = np.asarray(filters[:MOST_FILTERS], np.float32)
    F, _, h, w = shown.shape
    tiles = (127.5 + 127.5 * shown / max(np.abs(shown).max(), 1e-12)).round().astype(np.uint8)
    tiles = np.broadcast_to(tiles, (F, 3, h, w)).transpose(0, 2, 3, 1)
    columns = min(COLUMNS, F)
    grid = np.zeros((-(-F // columns) * (h + 1) - 1, columns * (w + 1) - 1, 4), np.uint8)
    for index, tile in enumerate(tiles):
        top, left = index // columns * (h + 1), index % columns * (w + 1)
        grid[top : top + h, left : left + w] = np.concatenate([tile, np.full((h, w, 1), 255, np.uint8)], axis=2)
    return grid


def heat_map(values: Sequence[Sequence[float | None]], *, low: float, high: float) -> Pixels:
    """Return rows of numbers as colours (rows, columns, 4) by their logarithm between `low` and `high`, both above 0.

    None is transparent.
    """
    logs = np.log(np.clip(np.array(values, dtype=np.float64), low, high))
    return _coloured((logs - math.log(low)) / max(math.log(high / low), 1e-12))


def overlay(values: NDArray[np.float32], *, signed: bool) -> Pixels:
    """Return a map (h, w) as a picture (h, w, 4) to lay over an image: the stronger, the less is seen through.

    What is `signed` is orange above 0 and blue below. The scale ends at the value that one place of 200 is beyond, so
    that single places do not hide the rest.
    """
    size = np.abs(values)
    strength = np.clip(size / max(float(np.quantile(size, 0.995)), float(size.max()) / 20, 1e-30), 0, 1)
    if signed:
        colours = np.where(values[..., None] > 0, (217, 72, 15), (47, 111, 176)).astype(np.uint8)
    else:
        colours = _coloured(strength, EMBERS)[..., :3]
    return np.concatenate([colours, np.round(255 * np.sqrt(strength))[..., None].astype(np.uint8)], axis=2)


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


def _coloured(shares: NDArray[np.float64], colours: NDArray[np.int64] = HEAT) -> Pixels:
    position = np.nan_to_num(shares) * (len(colours) - 1)
    channels = [np.interp(position, np.arange(len(colours)), colours[:, channel]) for channel in range(3)]
    return np.stack([*channels, np.where(np.isnan(shares), 0, 255)], axis=-1).round().astype(np.uint8)
