"""Boxes, points and masks that move as an image does whose part in one window comes to lie in another.

Windows are x0, y0, x1, y1 in pixels, half-open; the centre of the first pixel is at (0.5, 0.5).
Boxes are (B, 4), points (P, 2) float64, masks (H, W) uint8, or numbers of objects of another type.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Integers = TypeVar("Integers", bound=np.integer[Any])

Window = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels, half-open."""
VOID = 255
"""In masks: a pixel that has no class, which is neither learned nor scored."""


def moved(boxes: NDArray[Any], given: Window, made: Window) -> NDArray[np.float64]:
    """Return boxes (..., 4) of x0, y0, x1, y1 after the window `given` has become `made`; float64, not cut."""
    start, scale, end = _scaling(given, made)
    result: NDArray[np.float64] = (boxes - np.tile(start, 2)) * np.tile(scale, 2) + np.tile(end, 2)
    return result


def moved_points(points: NDArray[Any], given: Window, made: Window) -> NDArray[np.float64]:
    """Return points (..., 2 or more) of x, y and what else they have after the window `given` has become `made`."""
    start, scale, end = _scaling(given, made)
    result = points.astype(np.float64)
    result[..., :2] = (result[..., :2] - start) * scale + end
    return result


def nearest(
    mask: NDArray[Integers], given: Window, made: Window, *, size: tuple[int, int], void: int
) -> NDArray[Integers]:
    """Return the mask (h, w) as one of `size` (H, W) and of its type, after its window `given` has become `made`.

    Each pixel has the class of the pixel that its centre lies in; `void` outside of `made` and of the mask.
    """
    (H, W), (h, w) = size, mask.shape
    at_y, from_y = _origins(H, given[1::2], made[1::2], limit=h)
    at_x, from_x = _origins(W, given[0::2], made[0::2], limit=w)
    result = np.full(size, void, mask.dtype)
    result[np.ix_(at_y, at_x)] = mask[np.ix_(from_y, from_x)]
    return result


def mirrored(
    inside: Callable[[int, int, int, int], NDArray[Any]],
    image: tuple[int, int],
    *,
    left: int,
    top: int,
    size: tuple[int, int],
) -> NDArray[Any]:
    """Return a window of an `image` of that size, mirrored beyond its borders, of what reads the `inside`."""
    rows, columns = (
        reflected(start, count, side) for start, count, side in ((top, size[0], image[0]), (left, size[1], image[1]))
    )
    y, x = int(rows.min()), int(columns.min())
    part = inside(x, y, int(columns.max()) + 1 - x, int(rows.max()) + 1 - y)
    if part.shape[:2] == size:
        return part
    return np.ascontiguousarray(part[np.ix_(rows - y, columns - x)])


def reflected(start: int, count: int, side: int) -> NDArray[np.int64]:
    """Return which of `side` pixels stand at the positions from `start` on, mirrored at both ends as often as needed.

    >>> reflected(-2, 6, 3).tolist()
    [1, 0, 0, 1, 2, 2]
    """
    position = np.arange(start, start + count) % (2 * side)
    found: NDArray[np.int64] = np.where(position < side, position, 2 * side - 1 - position)
    return found


def _origins(
    side: int, given: tuple[float, ...], made: tuple[float, ...], *, limit: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which of `side` pixels lie in `made`, and the pixels below `limit` that they come from in `given`."""
    centres = np.arange(side) + 0.5
    origins = (centres - made[0]) * ((given[1] - given[0]) / (made[1] - made[0])) + given[0]
    pixels = np.floor(origins).astype(np.int64)
    inside = (centres > made[0]) & (centres < made[1]) & (pixels >= 0) & (pixels < limit)
    return np.flatnonzero(inside), pixels[inside]


def _scaling(given: Window, made: Window) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return where `given` begins, by how much it grows, and where `made` begins; each x and y."""
    (given_at, given_end), (made_at, made_end) = (np.reshape(window, (2, 2)) for window in (given, made))
    return given_at, (made_end - made_at) / (given_end - given_at), made_at
