"""Maxima of heat maps: where objects have their centres, and persons their points.

Maps are (N, K, h, w) float32, or with fewer or more dimensions before the last two: one cell for `stride` x `stride`
pixels of the input, whose first pixel has its centre at 0.5, 0.5.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


class Peaks(NamedTuple):
    """The highest maxima of one image, each (D,), the best first."""

    maps: NDArray[np.int64]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    values: Floats


def maxima(maps: Floats) -> NDArray[np.bool_]:
    """Return which cells (..., h, w) bool are as high as all of their eight neighbours."""
    edges = [(0, 0)] * (maps.ndim - 2)
    padded = np.pad(maps, [*edges, (1, 1), (1, 1)], constant_values=-np.inf)
    rows = np.maximum(np.maximum(padded[..., :-2, :], padded[..., 1:-1, :]), padded[..., 2:, :])
    around = np.maximum(np.maximum(rows[..., :-2], rows[..., 1:-1]), rows[..., 2:])
    return np.asarray(maps >= around)


def peaks(maps: Floats, *, most: int, least: float = -np.inf) -> Peaks:
    """Return the `most` highest maxima of maps (K, h, w) that are `least` at least; of equal ones the first.

    Zhou, Wang and Kraehenbuehl 2019, arXiv:1904.07850, section 4.1: they stand for suppression.
    """
    (cells,) = np.nonzero((maxima(maps) & (maps >= least)).ravel())
    values = maps.ravel()[cells]
    order = np.argsort(-values, kind="stable")[:most]
    planes, rows, columns = (index.astype(np.int64) for index in np.unravel_index(cells[order], maps.shape))
    return Peaks(planes, rows, columns, values[order])


def points(maps: Floats, *, stride: float) -> NDArray[np.float64]:
    """Return (..., P, 3) float64 of maps (..., P, h, w): x and y of each highest cell in pixels, and its value.

    A quarter of a cell towards the higher neighbour on each axis, as Newell, Yang and Deng 2016 (arXiv:1603.06937,
    section 3.2) and Xiao, Wu and Wei 2018 (arXiv:1804.06208) have it; of equal cells the first.
    """
    *lead, h, w = maps.shape
    flat = maps.reshape(-1, h, w)
    best = flat.reshape(len(flat), -1).argmax(axis=1)
    y, x = np.divmod(best, w)
    each = np.arange(len(flat))
    padded = np.pad(flat, ((0, 0), (1, 1), (1, 1)), mode="edge")  # at the edge there is no neighbour to move from
    dx = np.sign(padded[each, y + 1, x + 2] - padded[each, y + 1, x]) * ((x > 0) & (x < w - 1))
    dy = np.sign(padded[each, y + 2, x + 1] - padded[each, y, x + 1]) * ((y > 0) & (y < h - 1))
    found = np.stack([(x + 0.5 + dx / 4) * stride, (y + 0.5 + dy / 4) * stride, flat[each, y, x]], axis=-1)
    return found.reshape(*lead, 3).astype(np.float64)
