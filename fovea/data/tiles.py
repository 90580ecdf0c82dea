"""Which windows of which images the samples of a part are, where a network takes tiles of images.

Windows begin at (left, top) in pixels of their image, perhaps outside, where it is mirrored. Sizes are (H, W).
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.decoding.boxes import areas
from fovea.preprocess.windows import mirrored
from fovea.tasks.places import TargetSource

KEPT = 2
"""Whole masks that are kept decoded while they are cut."""
CLASS = 0
LEAST_VISIBLE = 0.25
"""Of the area of a box: where less lies in a window, it is not an object there."""


@dataclass(frozen=True, kw_only=True)
class Tiles:
    """The images of a part, and the windows that its rows are, image by image and row by row of tiles."""

    names: tuple[str, ...]
    """(I,) of the images."""
    sizes: tuple[tuple[int, int], ...]
    """(I,) of the images."""
    labels: Any
    """(I, ...) of the images, before they were cut."""
    owners: NDArray[np.int64]
    """(N,) the image of each row."""
    places: NDArray[np.int64]
    """(N, 2) left and top of each window."""

    def taken(self, rows: Sequence[int] | NDArray[np.int64]) -> "Tiles":
        """Return the same for some of the rows, (n,) int64."""
        return replace(self, owners=self.owners[rows], places=self.places[rows])

    def of_images(self, kept: NDArray[np.bool_]) -> "Tiles":
        """Return the same with only the images that are `kept`, (I,) bool, and their rows."""
        rows = np.flatnonzero(kept[self.owners])
        numbers = np.cumsum(kept) - 1
        return Tiles(
            names=tuple(name for name, stays in zip(self.names, kept, strict=True) if stays),
            sizes=tuple(size for size, stays in zip(self.sizes, kept, strict=True) if stays),
            labels=self.labels[np.flatnonzero(kept)],
            owners=numbers[self.owners[rows]],
            places=self.places[rows],
        )


class Masks:
    """Reads whole masks, the last few of which are kept for the next window."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, NDArray[np.uint8]] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, source: TargetSource, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Return the mask of an image of `size`, uint8 (h, w). Raises: ImageError if it cannot be read."""
        with self._lock:
            if source.key not in self._kept:
                while len(self._kept) >= KEPT:
                    self._kept.popitem(last=False)
                self._kept[source.key] = source.read(size)
            return self._kept[source.key]


@dataclass(frozen=True, kw_only=True, eq=False)
class CutMask:
    """A window of a mask: a `TargetSource`."""

    source: TargetSource
    image: tuple[int, int]
    left: int
    top: int
    masks: Masks

    @property
    def key(self) -> str:
        """That of the whole mask, and where the window is."""
        return f"{self.source.key}\0{self.image}\0{self.left} {self.top}"

    def read(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Return the window, uint8 (h, w). Raises: ImageError."""
        return cut_mask(self.masks.read(self.source, self.image), left=self.left, top=self.top, size=size)


def cut_mask(mask: NDArray[np.uint8], *, left: int, top: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a window of a mask uint8 (H, W), mirrored beyond its borders: uint8 (h, w)."""
    return mirrored(
        lambda x, y, width, height: mask[y : y + height, x : x + width],
        mask.shape[:2],
        left=left,
        top=top,
        size=size,
    )


def cut_boxes(
    boxes: NDArray[Any], image: tuple[int, int], *, left: int, top: int, size: tuple[int, int]
) -> NDArray[np.float32]:
    """Return the boxes (m, 6) float32 that a window of `size` shows of those (M, 6) of an image, in its pixels.

    Mirrored ones are among them. Each is cut at the window; one of which less than a quarter is left falls.
    """
    (h, w), there = size, boxes[boxes[:, CLASS] >= 0].astype(np.float64)
    found = [np.zeros((0, boxes.shape[1]))]
    for x in _copies(there[:, (1, 3)], image[1], left, left + w):
        for y in _copies(there[:, (2, 4)], image[0], top, top + h):
            copy = there.copy()
            copy[:, (1, 3)], copy[:, (2, 4)] = x - left, y - top
            whole = areas(copy[:, 1:5])
            copy[:, 1:5] = np.clip(copy[:, 1:5], 0, [w, h, w, h])
            seen = areas(copy[:, 1:5])
            found.append(copy[(seen > 0) & (seen >= LEAST_VISIBLE * whole)])
    result: NDArray[np.float32] = np.concatenate(found).astype(np.float32)
    return result


def _copies(ends: NDArray[np.float64], side: int, low: int, high: int) -> list[NDArray[np.float64]]:
    """Return intervals (M, 2) of an image of that `side` and of its mirror images that lie from `low` to `high`."""
    turns = range(low // (2 * side), (high - 1) // (2 * side) + 1)
    copies = []
    for turn in turns:
        begin = 2 * side * turn
        if begin < high and begin + side > low:
            copies.append(begin + ends)
        if begin + side < high and begin + 2 * side > low:
            copies.append(begin + 2 * side - ends[:, ::-1])
    return copies
