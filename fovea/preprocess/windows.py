"""Boxes, points and masks that move as an image does whose part in one window comes to lie in another.

Windows are x0, y0, x1, y1 in pixels, half-open; the centre of the first pixel is at (0.5, 0.5).
Boxes are (B, 4), points (P, 2) float64, masks (H, W) uint8, or numbers of objects of another type.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Integers = TypeVar("Integers", bound=np.integer[Any])

Window = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels, half-open."""
VOID = 255
"""In masks: a pixel that has no class, which is neither learned nor scored."""
SLIGHTEST = 1e-6
"""The least lead of a pixel's own class."""
AT_ONCE = 1 << 21
"""Pixels that are interpolated together."""


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


def majority(
    mask: NDArray[np.uint8], given: Window, made: Window, *, size: tuple[int, int], void: int
) -> NDArray[np.uint8]:
    """Return the mask (h, w) uint8 as one of `size` (H, W), after its window `given` has become `made`.

    Each pixel has the class that covers most of it, and where two cover as much that of its centre, as in `nearest`.
    """
    result = nearest(mask, given, made, size=size, void=void)
    left, top, right, bottom = map(round, made)
    sides = (right - left, bottom - top)
    if sides[0] >= given[2] - given[0] and sides[1] >= given[3] - given[1]:
        return result
    shown = result[top:bottom, left:right]
    centre, most = shown.copy(), np.zeros(shown.shape, np.uint8)
    for value in np.unique(mask):
        indicator = Image.fromarray((mask == value).view(np.uint8) * np.uint8(255))
        covered = np.asarray(indicator.resize(sides, Image.Resampling.BOX, box=given))
        wins = (covered > most) | ((covered == most) & (centre == value))
        shown[wins], most = value, np.maximum(most, covered)
    return result


def smooth(
    mask: NDArray[np.uint8],
    probability: NDArray[np.float32],
    given: Window,
    made: Window,
    *,
    size: tuple[int, int],
    void: int,
    classes: int,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return a mask and the probability of its pixels' classes, both (h, w), at `size` (H, W), interpolated.

    The window `given` becomes `made`. A pixel gives its own class the probability 0..1, and the rest to the other
    `classes` in equal shares. Bilinear means of these between the centres of pixels decide. `void` is as in `nearest`;
    its probability is 0.
    """
    rows = _between(size[0], given[1::2], made[1::2], limit=len(mask))
    columns = _between(size[1], given[0::2], made[0::2], limit=mask.shape[1])
    result, found = nearest(mask, given, made, size=size, void=void), np.zeros(size, np.float32)
    # a class is ahead of the others by so much; what all have alike is the rest
    ahead = np.where(mask == void, 0, np.maximum((classes * probability - 1) / max(1, classes - 1), SLIGHTEST))
    values = [value for value in np.unique(mask) if value != void]
    step = max(1, AT_ONCE // max(1, size[1]))
    for first in range(0, len(rows.at), step):
        part = rows.part(first, first + step)
        area = np.ix_(part.at, columns.at)
        best, winner = np.zeros((len(part.at), len(columns.at)), np.float32), result[area]
        known = winner != void
        for value in values:
            lead = columns.mixed(part.mixed(np.where(mask == value, ahead, 0), 0), 1)
            wins = (lead > best) & known
            best[wins], winner[wins] = lead[wins], value
        alike = (1 - columns.mixed(part.mixed(ahead, 0), 1)) / classes
        result[area], found[area] = winner, np.where(known, best + alike, 0)
    return result, found


class _Between(NamedTuple):
    """Between which two pixels each of some pixels lies, along one axis."""

    at: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    share: NDArray[np.float32]
    """Of the higher one."""

    def part(self, first: int, last: int) -> "_Between":
        own = slice(first, last)
        return _Between(self.at[own], self.low[own], self.high[own], self.share[own])

    def mixed(self, values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
        """Return the values between those of an array (h, w)."""
        share = self.share.reshape((-1, 1) if axis == 0 else (1, -1))
        low = values.take(self.low, axis)
        result: NDArray[np.float32] = low + (values.take(self.high, axis) - low) * share
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


def _between(side: int, given: tuple[float, ...], made: tuple[float, ...], limit: int) -> _Between:
    """Return which of `side` pixels lie in `made`, and the pixels below `limit` of `given` that they lie between."""
    at, pixels = _origins(side, given, made, limit=limit)
    if not len(at):
        return _Between(at, pixels, pixels, np.zeros(0, np.float32))
    origins = (at + 0.5 - made[0]) * ((given[1] - given[0]) / (made[1] - made[0])) + given[0] - 0.5
    origins = np.clip(origins, pixels.min(), pixels.max())
    low = np.floor(origins).astype(np.int64)
    return _Between(at, low, np.minimum(low + 1, pixels.max()), (origins - low).astype(np.float32))


def _scaling(given: Window, made: Window) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return where `given` begins, by how much it grows, and where `made` begins; each x and y."""
    (given_at, given_end), (made_at, made_end) = (np.reshape(window, (2, 2)) for window in (given, made))
    return given_at, (made_end - made_at) / (given_end - given_at), made_at
