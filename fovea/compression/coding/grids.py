"""Rows of float32 that are whole multiples of a scale, -127 to 127 times: found from the numbers alone, and given back.

A product of two float32 is rounded in one way only, so that a row comes back to the bit, or is found to be on no grid.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.compression.coding.bits import Bits

LIMIT = 127
MINUS_ZERO = 2 * LIMIT + 1
STEPS = MINUS_ZERO + 1
"""How many symbols there are: -127 to 127, and minus zero."""
FIRST = 64
"""Numbers of a row that are tried before the others."""

Floats = NDArray[np.float32]


class Grid(NamedTuple):
    """Rows on their grids."""

    scales: Floats
    """(R,) float32."""
    steps: Bits
    """(R * L,) uint16: how many times the scale, plus 127, or `MINUS_ZERO`."""


def of_rows(rows: Floats) -> Grid | None:
    """Return the grids of rows (R, L) float32; None if one has none."""
    if not all(map(_may_be_grid, rows[: FIRST // 8])) or (scales := _scales(rows)) is None:
        return None
    steps = (_times(rows, scales) + LIMIT).astype(np.uint16)
    steps[(rows == 0) & np.signbit(rows)] = MINUS_ZERO
    return Grid(scales, steps.ravel())


def rows_on(scales: Floats, steps: Bits) -> Floats:
    """Return the rows with these scales (R,) and steps (R * L,), one after the other: (R * L,) float32."""
    times = steps.reshape(len(scales), -1).astype(np.float32) - LIMIT
    with np.errstate(all="ignore"):  # a scale of a hostile file may be anything
        rows = times * scales[:, None]
    rows[steps.reshape(rows.shape) == MINUS_ZERO] = -0.0
    return rows.ravel()


def _may_be_grid(row: Floats) -> bool:
    """Tell whether the first numbers of a row, and its greatest, are whole multiples of one scale."""
    greatest = np.abs(row).max()
    if not np.isfinite(greatest):
        return False
    near = greatest / np.arange(LIMIT, 0, -1, dtype=np.float32)
    tried = np.concatenate([near, *(np.nextafter(near, np.float32(end)) for end in (0, np.inf))])
    tried = tried[tried > 0]
    few = np.append(row[row != 0][:FIRST], greatest)
    found = _times(np.broadcast_to(few, (len(tried), len(few))), tried) * tried[:, None]
    return bool((found == few).all(1).any()) or not greatest


def _scales(rows: Floats) -> Floats | None:
    """Return the scale of each row: its greatest magnitude over 127, or over the next less number that fits."""
    greatest = np.abs(rows).max(1)
    if not np.isfinite(greatest).all():
        return None
    scales, left = np.ones(len(rows), np.float32), np.flatnonzero(greatest)
    for limit in range(LIMIT, 0, -1):
        near = greatest / np.float32(limit)
        for candidates in (near, np.nextafter(near, np.float32(0)), np.nextafter(near, np.float32(np.inf))):
            tried = candidates[left]
            fits = (tried > 0) & (_times(rows[left], tried) * tried[:, None] == rows[left]).all(1)
            scales[left[fits]] = tried[fits]
            left = left[~fits]
            if not len(left):
                return scales
    return None


def _times(rows: Floats, scales: Floats) -> Floats:
    """Return how many times its scale each number is, to the nearest of -127 to 127."""
    with np.errstate(all="ignore"):  # scales of the smallest numbers are zero, and refused
        times: Floats = np.clip(np.rint(np.nan_to_num(rows / scales[:, None])), -LIMIT, LIMIT)
    return times
