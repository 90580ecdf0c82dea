"""Shapes that stand for parts of an image, and how they are drawn: polygons and run lengths, as COCO writes them.

Pixels are those whose centre lies inside: (0.5, 0.5) is the centre of the first. Drawn shapes are (H, W) bool, corners
of polygons (P, 2) float64, run lengths (R,) int64.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fovea.errors import DataError

Bool = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Shape:
    """A class of pixels, as polygons or as run lengths."""

    class_index: int
    """What its pixels become: an index, or VOID."""
    rings: tuple[NDArray[np.float32], ...] = ()
    """Polygons (n, 2) of x, y in pixels; a pixel counts that lies in any of them."""
    runs: NDArray[np.int64] | None = None
    """Lengths of runs outside and inside by turns, column by column, as COCO has them."""

    group: int | None = None
    """Of a void one: the class of the objects that it stands for, which were not separated."""

    @property
    def digested(self) -> bytes:
        """All of it as bytes."""
        parts = [ring.tobytes() for ring in self.rings] + ([] if self.runs is None else [self.runs.tobytes()])
        return b"|".join([str(self.class_index).encode(), *parts])

    def inside(self, size: tuple[int, int]) -> Bool:
        """Return which pixels of an image of `size` (h, w) it covers: bool (h, w)."""
        if self.runs is not None:
            return from_runs(self.runs, size)
        covered = np.zeros(size, bool)
        for ring in self.rings:
            covered |= polygon(ring, size)
        return covered


def draw(shapes: Sequence[Shape], size: tuple[int, int], *, ground: int = 0) -> NDArray[np.uint8]:
    """Return the classes uint8 (h, w) of an image of `size`: larger shapes below smaller ones, `ground` elsewhere."""
    mask = np.full(size, ground, np.uint8)
    for index, covered in _largest_first(shapes, size):
        mask[covered] = shapes[index].class_index
    return mask


def draw_objects(shapes: Sequence[Shape], size: tuple[int, int]) -> NDArray[np.int32]:
    """Return which shape each pixel of an image of `size` belongs to, as `draw` has them: int32 (h, w), 1 the first.

    0 is none.
    """
    objects = np.zeros(size, np.int32)
    for index, covered in _largest_first(shapes, size):
        objects[covered] = index + 1
    return objects


def _largest_first(shapes: Sequence[Shape], size: tuple[int, int]) -> list[tuple[int, Bool]]:
    """Return the number of each shape and the pixels that it covers."""
    covered = [shape.inside(size) for shape in shapes]
    areas = [int(each.sum()) for each in covered]
    return [(index, covered[index]) for index in sorted(range(len(shapes)), key=lambda index: -areas[index])]


def polygon(ring: NDArray[np.float32], size: tuple[int, int]) -> Bool:
    """Return the pixels bool (h, w) whose centre lies in a polygon (n, 2), by the even-odd rule.

    In each row the crossings with the sides are where inside begins or ends.
    """
    h, w = size
    toggles = np.zeros((h, w + 1), np.int32)
    for (x0, y0), (x1, y1) in zip(ring.astype(np.float64), np.roll(ring, -1, axis=0).astype(np.float64), strict=True):
        low, high = sorted((y0, y1))
        # rows whose centre lies in [low, high): a corner belongs to one of its two sides
        rows = np.arange(max(0, int(np.ceil(low - 0.5))), min(h, int(np.ceil(high - 0.5))))
        if len(rows):
            crossings = x0 + (rows + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
            columns = np.ceil(crossings - 0.5).clip(0, w).astype(np.int64)
            toggles[rows, columns] += 1
    inside: Bool = (np.cumsum(toggles, axis=1)[:, :w] & 1).astype(bool)
    return inside


def from_runs(runs: NDArray[np.int64], size: tuple[int, int]) -> Bool:
    """Return the pixels bool (h, w) of run lengths, outside first, column by column.

    Raises: DataError if they do not fill the image.
    """
    h, w = size
    if (runs < 0).any() or int(runs.sum()) != h * w:
        raise DataError(f"run lengths cover {int(runs.sum()):,} pixels, but the image has {h * w:,}")
    inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return inside.reshape(w, h).T


def object_runs(objects: NDArray[np.int32]) -> list[NDArray[np.int64]]:
    """Return the run lengths of each of the objects 1, 2, ... of int32 (h, w), as `to_runs` gives those of one alone.

    All of them together cost one pass over the pixels.
    """
    flat = objects.T.ravel()
    places = np.flatnonzero(flat)
    places = places[np.argsort(flat[places], kind="stable")]
    numbers = flat[places]
    apart = (np.diff(places) != 1) | (np.diff(numbers) != 0)
    begins = np.concatenate(([True], apart))[: len(places)]
    ends = np.concatenate((apart, [True]))[: len(places)]
    edges = np.stack([places[begins], places[ends] + 1], axis=1)
    last = np.searchsorted(numbers[begins], np.arange(1, int(flat.max(initial=0)) + 1), side="right")
    runs = [np.diff(np.concatenate(([0], own.ravel(), [flat.size]))) for own in np.split(edges, last)[:-1]]
    return [own[:-1] if own[-1] == 0 else own for own in runs]


def runs_from_text(text: str) -> NDArray[np.int64]:
    """Return the run lengths that COCO packs into text: 5 bits a character from `0` on, the lowest first.

    The sixth bit says that more follow, the highest of the last is the sign; from the third on each is the difference
    to the one before the last.

    Raises: DataError for text that is none such.
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 30:
            raise DataError(f"the character {character!r} is not valid in packed run lengths")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= 1 << shift if bits & 16 else 0
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
    if shift:
        raise DataError("packed run lengths are incomplete")
    return np.array(runs, np.int64)
