"""Large images as tiles: where these lie, how their answers are blended, which boxes that several of them found stay.

A tile is a window of an image; where it reaches beyond, the image is mirrored. A network with valid convolutions
answers for the middle of its tile only, `margin` pixels less on each side (Ronneberger et al. 2015, arXiv:1505.04597,
figure 2). Sizes are (H, W), windows x0, y0, x1, y1 in pixels of the image, half-open.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.decoding.boxes import areas, intersections

Floats = NDArray[np.float64]
ALIGNED = 32
"""Pixels: tiles lie so far apart, or a multiple of it, where the image allows: networks that halve their maps up to
five times then see the same cells in each."""
NEAR = 0.02
"""Of the sides of a tile: a box that comes so near to its border may be cut there."""
SAME = 0.5
"""Boxes of two tiles that overlap more are of one object."""
CLASS, SCORE = 0, 5


class Place(NamedTuple):
    """A tile in its grid."""

    row: int
    column: int
    left: int
    top: int


@dataclass(frozen=True)
class Grid:
    """The tiles of an image: their answers cover it, and overlap."""

    size: tuple[int, int]
    """Of the image."""
    tile: tuple[int, int]
    overlap: int
    """Pixels that the answers of two neighbours share at least; 0 where they only touch."""
    margin: int = 0
    """Pixels on each side of a tile that it is not answered for."""
    columns: tuple[int, int] | None = None
    """The first and last column of tiles of a part of the grid; None for all."""

    @property
    def answered(self) -> tuple[int, int]:
        """The size of what one tile is answered for."""
        return self.tile[0] - 2 * self.margin, self.tile[1] - 2 * self.margin

    @cached_property
    def tops(self) -> tuple[int, ...]:
        """The first row that each row of tiles is answered for."""
        return starts(self.size[0], self.answered[0], overlap=self.overlap)

    @cached_property
    def all_lefts(self) -> tuple[int, ...]:
        """The first pixel column that each column of tiles is answered for, in the whole grid."""
        return starts(self.size[1], self.answered[1], overlap=self.overlap)

    @property
    def lefts(self) -> tuple[int, ...]:
        """The same of this part."""
        return self.all_lefts if self.columns is None else self.all_lefts[self.columns[0] : self.columns[1] + 1]

    @property
    def core(self) -> tuple[int, int]:
        """The pixel columns from and to which all tiles are in this part that answer for them."""
        if self.columns is None:
            return 0, self.size[1]
        (first, last), every = self.columns, self.all_lefts
        begin = every[first - 1] + self.answered[1] if first else 0
        return begin, every[last + 1] if last + 1 < len(every) else self.size[1]

    def parts(self, width: int) -> "list[Grid]":
        """Return grids of neighbouring columns of tiles, each up to `width` pixels wide where a few tiles allow it.

        Their cores together are the image: tiles at the seams are in two of them.
        """
        every, found, first = self.all_lefts, list[Grid](), 0
        while True:
            last = first
            done = found[-1].core[1] if found else 0
            # at least one column further than the core of the part before
            while last + 1 < len(every) and (
                every[last + 1] <= done or every[last + 1] + self.answered[1] - every[first] <= width
            ):
                last += 1
            found.append(replace(self, columns=(first, last)))
            if last + 1 == len(every):
                return found
            first = next(column for column in range(last + 1) if every[column] + self.answered[1] > every[last + 1])

    def __len__(self) -> int:
        return len(self.tops) * len(self.lefts)

    def __iter__(self) -> Iterator[Place]:
        """Yield where the windows begin, row by row; with a margin outside of the image."""
        for row, top in enumerate(self.tops):
            for column, left in enumerate(self.lefts):
                yield Place(row, column, left - self.margin, top - self.margin)


def starts(length: int, answered: int, *, overlap: int) -> tuple[int, ...]:
    """Return where intervals of `answered` pixels begin that cover 0 to `length` with an `overlap`.

    They lie apart by a multiple of `ALIGNED`, where they are long enough; the last ends at `length`, one that is longer
    begins at 0.
    """
    step = max(1, answered - overlap)
    step = step // ALIGNED * ALIGNED or step
    last = length - answered
    return (0,) if last <= 0 else (*range(0, last, step), last)


def shares(begins: tuple[int, ...], answered: int, length: int) -> NDArray[np.float32]:
    """Return how much each interval counts at its own pixels, (intervals, answered) float32: they sum to 1 everywhere.

    The weight rises from each end as a squared sine over what neighbours share, so that no seam shows.
    """
    shared = max((a + answered - b for a, b in zip(begins, begins[1:], strict=False)), default=1)
    rise = np.sin(np.pi / 2 * np.minimum((np.arange(answered) + 0.5) / max(shared, 1), 1)) ** 2
    weight = np.minimum(rise, rise[::-1])
    total = np.zeros(max(length, answered))
    for begin in begins:
        total[begin : begin + answered] += weight
    found: NDArray[np.float32] = np.stack([weight / total[b : b + answered] for b in begins]).astype(np.float32)
    return found


class Band(NamedTuple):
    """A part of an image that is answered to the end."""

    top: int
    left: int
    values: NDArray[np.float32]
    """(K, rows, columns)"""


def blended(grid: Grid, answers: Iterable[NDArray[np.float32]]) -> Iterator[Band]:
    """Yield the bands of the core of a grid whose tiles have the `answers` (K, h, w) float32, in its order.

    What is held is one row of tiles: K x h x its width numbers.
    """
    (H, _), (h, w) = grid.size, grid.answered
    down = shares(grid.tops, h, H)
    first = grid.columns[0] if grid.columns else 0
    across = shares(grid.all_lefts, w, grid.size[1])[first : first + len(grid.lefts)]
    begin, (low, high) = grid.lefts[0], grid.core
    ends = (*grid.tops[1:], H)
    held: NDArray[np.float32] | None = None
    for place, answer in zip(grid, answers, strict=True):
        if held is None:
            held = np.zeros((len(answer), h, grid.lefts[-1] + w - begin), np.float32)
        left = grid.lefts[place.column] - begin
        held[:, :, left : left + w] += answer * (down[place.row][:, None] * across[place.column])
        if place.column == len(grid.lefts) - 1:
            top, done = grid.tops[place.row], ends[place.row] - grid.tops[place.row]
            yield Band(top, low, held[:, :done, low - begin : high - begin].copy())
            held[:, : h - done] = held[:, done:].copy()
            held[:, h - done :] = 0


def joined(grid: Grid, found: Iterable[Floats]) -> Floats:
    """Return the boxes (D, 6) float64 of an image, the best first, of those (d, 6) of its tiles, in pixels of these.

    Rows are class, x0, y0, x1, y1, score. Of two boxes of one class and of two tiles that overlap by more than half
    the better one stays. One that ends at the border of its tile, inside the image, is worse than any whole one, and
    falls as well where half of it lies in that. Those whose centre is outside of the image are mirror images.
    """
    H, W = grid.size
    rows, tiles, cut = [np.zeros((0, 6))], [np.zeros(0, np.int64)], [np.zeros(0, bool)]
    for index, (place, boxes) in enumerate(zip(grid, found, strict=True)):
        moved = boxes.astype(np.float64) + np.array([0, place.left, place.top, place.left, place.top, 0])
        x, y = (moved[:, 1] + moved[:, 3]) / 2, (moved[:, 2] + moved[:, 4]) / 2
        moved = moved[(x >= 0) & (x < W) & (y >= 0) & (y < H)]
        rows.append(moved)
        tiles.append(np.full(len(moved), index))
        cut.append(_cut(moved, place, grid))
    every, tile, ends = np.concatenate(rows), np.concatenate(tiles), np.concatenate(cut)
    kept = every[_kept(every, tile, ends, grid)]
    kept = kept[np.argsort(-kept[:, SCORE], kind="stable")]
    kept[:, 1:5] = np.clip(kept[:, 1:5], 0, [W, H, W, H])
    return kept


def _cut(boxes: Floats, place: Place, grid: Grid) -> NDArray[np.bool_]:
    """Return which boxes (d, 6) of the image end at a border of their tile that is not one of the image."""
    (H, W), (h, w) = grid.size, grid.tile
    near_x, near_y = NEAR * w, NEAR * h
    right, bottom = place.left + w, place.top + h
    found: NDArray[np.bool_] = (
        ((boxes[:, 1] < place.left + near_x) & (place.left > 0))
        | ((boxes[:, 2] < place.top + near_y) & (place.top > 0))
        | ((boxes[:, 3] > right - near_x) & (right < W))
        | ((boxes[:, 4] > bottom - near_y) & (bottom < H))
    )
    return found


def _kept(boxes: Floats, tiles: NDArray[np.int64], cut: NDArray[np.bool_], grid: Grid) -> list[int]:
    """Return the indices of the boxes (D, 6) that stay, of the tiles (D,) by number; each is compared to near ones."""
    stays: dict[int, list[int]] = {}
    columns = len(grid.lefts)
    near = _neighbours(grid)
    for index in np.lexsort((-boxes[:, SCORE], cut)).tolist():
        row, column = divmod(int(tiles[index]), columns)
        others = [
            other
            for r in near[0][row]
            for c in near[1][column]
            if (r, c) != (row, column)
            for other in stays.get(r * columns + c, ())
            if boxes[other, CLASS] == boxes[index, CLASS]
        ]
        if not _told(boxes[index, 1:5], boxes[others, 1:5], cut=bool(cut[index])):
            stays.setdefault(int(tiles[index]), []).append(index)
    return [index for indices in stays.values() for index in indices]


def _neighbours(grid: Grid) -> tuple[list[list[int]], list[list[int]]]:
    """Return which rows of tiles, and which columns, share pixels with each."""
    return tuple(  # type: ignore[return-value]
        [[j for j, other in enumerate(begins) if abs(other - begin) < side] for begin in begins]
        for begins, side in zip((grid.tops, grid.lefts), grid.tile, strict=True)
    )


def _told(box: Floats, others: Floats, *, cut: bool) -> bool:
    """Return whether one of the others (D, 4) is the same object as the box (4,)."""
    if not len(others):
        return False
    shared, own = intersections(box[None], others)[0], areas(box[None])[0]
    whole = own + areas(others) - shared
    same = shared > SAME * whole
    return bool((same | (cut & (shared > SAME * own))).any())
