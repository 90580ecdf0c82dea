"""Outlines of regions as polygons: what a mask says, in corners that a person can drag.

Regions are (H, W) bool; a ring is a list x0, y0, x1, y1, ... of corners between pixels.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Corner = tuple[int, int]
TOLERANCE = 1.0
"""Pixels that an outline may be off where it has fewer corners."""
TURNS = ((1, 0), (0, 1), (-1, 0), (0, -1))
"""Right, down, left, up: with the region on the right hand."""


def outer_ring(region: NDArray[np.bool_], *, tolerance: float = TOLERANCE) -> list[float]:
    """Return the ring around a connected region (H, W) bool, whose holes are filled; empty if there is none.

    Corners are left out that lie within `tolerance` pixels of the ring without them (Douglas and Peucker 1973).
    """
    ring = _followed(np.pad(region, 1))
    if not ring:
        return []
    furthest = max(range(len(ring)), key=lambda index: _squared(ring[0], ring[index]))
    halves = (ring[: furthest + 1], [*ring[furthest:], ring[0]])
    corners = [corner for half in halves for corner in _simplified(half, tolerance)[:-1]]
    return [float(value - 1) for corner in corners for value in corner]


def _followed(region: NDArray[np.bool_]) -> list[Corner]:
    """Return the corners of the outline, clockwise; pixels that touch at a corner are connected."""
    found = np.argwhere(region)
    if not len(found):
        return []
    y, x = map(int, found[0])
    corner, way, ring = (x, y), 0, [(x, y)]
    while True:
        corner = corner[0] + TURNS[way][0], corner[1] + TURNS[way][1]
        left, right = _ahead(region, corner, way)
        turn = -1 if left else 0 if right else 1
        if corner == ring[0] and (way + turn) % 4 == 0:
            return ring
        if turn:
            ring.append(corner)
            way = (way + turn) % 4


def _ahead(region: NDArray[np.bool_], corner: Corner, way: int) -> tuple[bool, bool]:
    """Return whether the pixels left and right of the way ahead of a corner are in the region."""
    x, y = corner
    around = ((x, y - 1), (x, y), (x - 1, y), (x - 1, y - 1))  # right of the corner above and below, and so on
    left, right = around[way], around[(way + 1) % 4]
    return bool(region[left[1], left[0]]), bool(region[right[1], right[0]])


def _squared(one: Corner, other: Corner) -> int:
    return (one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2


def _simplified(corners: Sequence[Corner], tolerance: float) -> list[Corner]:
    """Return the corners of a line without those that its course does not need."""
    points, keep = np.array(corners, np.float64), np.zeros(len(corners), bool)
    keep[[0, -1]] = True
    open_pieces = [(0, len(corners) - 1)]
    while open_pieces:
        first, last = open_pieces.pop()
        if last - first < 2:
            continue
        away = _distances(points[first + 1 : last], points[first], points[last])
        if away.max() > tolerance:
            middle = first + 1 + int(away.argmax())
            keep[middle] = True
            open_pieces += [(first, middle), (middle, last)]
    return [corner for corner, kept in zip(corners, keep.tolist(), strict=True) if kept]


def _distances(
    points: NDArray[np.float64], start: NDArray[np.float64], end: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how far each of the points (P, 2) is from the line between two (2,)."""
    along = end - start
    length = float(along @ along)
    share = ((points - start) @ along / length).clip(0, 1) if length else np.zeros(len(points))
    away: NDArray[np.float64] = np.hypot(*(points - start - share[:, None] * along).T)
    return away
