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
ABOVE, BELOW = (217, 72, 15), (47, 111, 176)
"""Orange and blue: for an answer, and against it."""


def filter_grid(filters: NDArray[np.float32]) -> Pixels:
    """Return filters (F, C, k, k) with 1 or 3 channels as one picture (h, w, 4): 0 is grey, gaps are transparent."""
    shown = np.asarray(filters[:MOST_FILTERS], np.float32)
    F, _, h, w = shown.shape
    tiles = (127.5 + 127.5 * shown / max(np.abs(shown).max(), 1e-12)).round().astype(np.uint8)
    return tiled(np.broadcast_to(tiles, (F, 3, h, w)).transpose(0, 2, 3, 1), columns=min(COLUMNS, F))


def tiled(tiles: Pixels, *, columns: int, gap: int = 1) -> Pixels:
    """Return tiles (F, h, w, 1 or 3) row by row as one picture (H, W, 4); the gaps between them are transparent."""
    F, h, w = tiles.shape[:3]
    grid = np.zeros((-(-F // columns) * (h + gap) - gap, columns * (w + gap) - gap, 4), np.uint8)
    for index, tile in enumerate(tiles):
        top, left = index // columns * (h + gap), index % columns * (w + gap)
        grid[top : top + h, left : left + w, :3] = tile
        grid[top : top + h, left : left + w, 3] = 255
    return grid


def in_colour(pixels: Pixels) -> Pixels:
    """Return an image (H, W, C) uint8 in three channels: what is neither grey nor colour shows its first channel."""
    return pixels if pixels.shape[2] == 3 else np.repeat(pixels[..., :1], 3, axis=2)


def signed_tiles(values: NDArray[np.float32]) -> Pixels:
    """Return maps (F, h, w) as (F, h, w, 3): 0 is white, what is above turns orange, what is below blue.

    Each is on a scale of its own.
    """
    strength = np.abs(values) / np.maximum(np.abs(values).max((1, 2), keepdims=True), 1e-30)
    colours = np.where(values[..., None] > 0, ABOVE, BELOW)
    tiles: Pixels = (255 + (colours - 255) * strength[..., None]).round().astype(np.uint8)
    return tiles


def heat_tiles(values: NDArray[np.float32]) -> Pixels:
    """Return maps (F, h, w) as (F, h, w, 3), from the lowest value of each to its highest; one that is flat is dark."""
    low, high = values.min((1, 2), keepdims=True), values.max((1, 2), keepdims=True)
    return _coloured((values - low) / np.maximum(high - low, 1e-30), EMBERS)[..., :3]


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
        colours = np.where(values[..., None] > 0, ABOVE, BELOW).astype(np.uint8)
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
