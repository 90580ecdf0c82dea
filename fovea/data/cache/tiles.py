"""The windows that a part of images becomes, where a network takes tiles: for training at random, else on a grid.

Training windows are up to twice as large as the input on each side and lie one input apart, so that a random crop of
each shows every place of an image, and an epoch sees a crop of each window. Rows of the cache all have one size, so an
image takes at most four times its bytes there, on the disk; memory holds what a batch asks for.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.data.dataset import BadFile, Part
from fovea.data.splits import take
from fovea.data.tiles import CutMask, Masks, Tiles, cut_boxes, cut_mask
from fovea.decoding.tiles import Grid
from fovea.errors import UsageError
from fovea.preprocess import Pixels, Preprocess
from fovea.preprocess.regions import Windows, image_size
from fovea.tasks.task import Task

ROOM = 2
"""Training windows are so many times the input, where images are as large."""
Size = tuple[int, int]


class Window(NamedTuple):
    """A window of an image: a source of the cache."""

    image: Path | Pixels
    left: int
    top: int


def read_window(source: Window, *, windows: Windows, size: Size) -> Pixels:
    """Return the pixels (H, W, C) uint8 of a window of `size` (H, W). Raises: ImageError."""
    return windows.read(source.image, left=source.left, top=source.top, size=size)


def windows_of(part: Part, preprocess: Preprocess, *, random: bool) -> tuple[Part, Preprocess]:
    """Return the part with a row for each window, its labels not cut yet, and the preprocessing of its rows.

    `random` is for training: larger windows, of which crops are taken.
    """
    sizes = _sizes(part)
    frame, overlap = preprocess, preprocess.overlap
    if random:
        frame = preprocess.with_size(_roomy(sizes, preprocess))
        overlap = min(preprocess.size) - 2 * preprocess.margin
    owners, places = [], []
    for index, size in enumerate(sizes):
        # what cannot be read has one window, which says why
        grid = Grid((max(size[0], 1), max(size[1], 1)), frame.size, overlap, preprocess.margin)
        places += [(place.left, place.top) for place in grid]
        owners += [index] * len(grid)
    tiles = Tiles(
        names=part.names,
        sizes=tuple(sizes),
        labels=part.labels,
        owners=np.array(owners, np.int64),
        places=np.array(places, np.int64).reshape(-1, 2),
    )
    return replace(take(part, tiles.owners), tiles=tiles), frame


def _sizes(part: Part) -> list[Size]:
    if part.files is None:
        return [part.decoded.shape[1:3]] * len(part)  # type: ignore[list-item]
    return [image_size(file) or (0, 0) for file in part.files]


def _roomy(sizes: Sequence[Size], preprocess: Preprocess) -> Size:
    """Return the size of training windows: no larger than the largest image, and its mirrored border, needs."""
    found = []
    for axis, side in enumerate(preprocess.size):
        largest = max(size[axis] for size in sizes) + 2 * preprocess.margin
        found.append(int(np.clip(largest, side, ROOM * side)))
    return found[0], found[1]


def sources_of(part: Part) -> list[Window]:
    """Return what the rows of a part of windows are read from."""
    tiles = _tiles(part)
    images: Any = part.files if part.files is not None else part.decoded
    return [Window(images[row], int(left), int(top)) for row, (left, top) in enumerate(tiles.places)]


def key_of(part: Part) -> str:
    """Return a digest of all windows of a part."""
    tiles = _tiles(part)
    return hashlib.sha256(tiles.owners.tobytes() + tiles.places.tobytes()).hexdigest()


def with_cut_labels(part: Part, kind: type[Task], frame: Preprocess) -> Part:
    """Return a part of windows with the labels of each window. Raises: UsageError for a target that is not cut."""
    if kind.name not in _CUT:
        raise UsageError(f"`fit` tile works for masks and boxes, not for {kind.noun}; choose another `fit`.")
    return replace(part, labels=_CUT[kind.name](_tiles(part), frame.size))


def complete(part: Part, bad: list[BadFile]) -> tuple[Part, list[BadFile]]:
    """Return the part without images of which a window is bad, and each bad file once; rows are named by their place.

    `part` has lost the rows that are bad already.
    """
    tiles, once = _tiles(part), list(dict.fromkeys(bad))
    lost = {each.name for each in bad}
    kept = np.array([name not in lost for name in tiles.names], bool)
    rows = np.flatnonzero(kept[tiles.owners])
    whole = tiles.of_images(kept)
    names = tuple(
        f"{whole.names[owner]} ({left}, {top})" for owner, (left, top) in zip(whole.owners, whole.places, strict=True)
    )
    return replace(take(part, rows) if len(rows) < len(part) else part, names=names, tiles=whole), once


def _tiles(part: Part) -> Tiles:
    if part.tiles is None:
        raise UsageError("This split has no windows.")
    return part.tiles


def _cut_masks(tiles: Tiles, size: Size) -> NDArray[Any]:
    if tiles.labels.dtype != object:
        cut = [
            cut_mask(np.asarray(tiles.labels[owner]), left=int(left), top=int(top), size=size)
            for owner, (left, top) in zip(tiles.owners, tiles.places, strict=True)
        ]
        return np.stack(cut)
    masks = Masks()
    found = np.empty(len(tiles.owners), object)
    for row, (owner, (left, top)) in enumerate(zip(tiles.owners, tiles.places, strict=True)):
        source = tiles.labels[owner]
        found[row] = CutMask(source=source, image=tiles.sizes[owner], left=int(left), top=int(top), masks=masks)
    return found


def _cut_boxes(tiles: Tiles, size: Size) -> NDArray[np.float32]:
    cut = [
        cut_boxes(tiles.labels[owner], tiles.sizes[owner], left=int(left), top=int(top), size=size)
        if min(tiles.sizes[owner])
        else np.zeros((0, tiles.labels.shape[2]), np.float32)
        for owner, (left, top) in zip(tiles.owners, tiles.places, strict=True)
    ]
    most = max(1, max(map(len, cut), default=1))
    found = np.zeros((len(cut), most, tiles.labels.shape[2]), np.float32)
    found[..., 0] = -1
    for rows, boxes in zip(found, cut, strict=True):
        rows[: len(boxes)] = boxes
    return found


_CUT: Mapping[str, Callable[[Tiles, Size], NDArray[Any]]] = {"masks": _cut_masks, "boxes": _cut_boxes}
"""The labels of windows, by kind of target."""
