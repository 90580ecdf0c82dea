"""What a network says of whole images that it sees as tiles: the rows of a part are put together again.

Images of a part may differ in size: all stand in the top left corner of the largest, and void or nothing around.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray

from fovea.budget import MEGABYTE, machine_bytes
from fovea.data.dataset import Dataset, Part
from fovea.data.tiles import Tiles
from fovea.decoding.tiles import Place
from fovea.errors import DataError
from fovea.evaluation.outcome import Outcome
from fovea.inputs.views import Protocol
from fovea.metrics.masks import VOID
from fovea.model.predictor import Predictor
from fovea.model.tiled import AT_ONCE, Asking, said_of, tiling_of
from fovea.preprocess import Pixels
from fovea.tasks.task import Labels
from fovea.training.inference import Progress

PLANES = 3
"""Bytes that a pixel of each image takes: class, probability and truth."""


def is_tiled(dataset: Dataset) -> bool:
    """Return whether the rows of a decoded data set are tiles of its images."""
    return any(part.tiles is not None for part in dataset.parts.values())


@dataclass(frozen=True)
class JoinedPart:
    """A part whose rows are tiles, as whole images."""

    part: Part

    @property
    def tiles(self) -> Tiles:
        """Which tiles of which images."""
        return cast(Tiles, self.part.tiles)

    def __len__(self) -> int:
        return len(self.tiles.names)

    @cached_property
    def _first(self) -> NDArray[np.int64]:
        """The first row of each image, and the end; those of an image follow each other."""
        return np.searchsorted(self.tiles.owners, np.arange(len(self) + 1))

    def rows(self, image: int) -> Iterator[tuple[int, Place]]:
        """Yield the rows of an image, and where they lie on it."""
        for row in range(self._first[image], self._first[image + 1]):
            left, top = self.tiles.places[row].tolist()
            yield row, Place(0, 0, left, top)

    def reader(self, image: int) -> Callable[[Place], Pixels]:
        """Return what reads the window (h, w, C) uint8 of an image at one of its places."""
        held = {(place.left, place.top): row for row, place in self.rows(image)}
        return lambda place: np.asarray(self.part.decoded[held[place.left, place.top]])

    def whole(self, image: int, values: Any, shape: tuple[int, ...], *, fill: int) -> NDArray[Any]:
        """Return an array of `shape` (H, W, ...) with the uint8 `values` (N, h, w, ...) of an image's tiles."""
        H, W = self.tiles.sizes[image]
        found = np.full(shape, fill, np.uint8)
        for row, place in self.rows(image):
            tile = np.asarray(values[row])
            top, left = max(place.top, 0), max(place.left, 0)
            bottom, right = min(place.top + tile.shape[0], H), min(place.left + tile.shape[1], W)
            found[top:bottom, left:right] = tile[
                top - place.top : bottom - place.top, left - place.left : right - place.left
            ]
        return found


class _Joined(NamedTuple):
    """What a network says of all images, and the truth, by kind of target."""

    outputs: Callable[[list[NDArray[Any]], tuple[int, int]], NDArray[Any]]
    labels: Callable[[JoinedPart, tuple[int, int]], Labels]


def joined_outcome(
    predictor: Predictor,
    decoded: Dataset,
    *,
    split: str,
    protocol: Protocol,
    batch: int = AT_ONCE,
    progress: Progress | None = None,
) -> Outcome:
    """Return what the network says of all images of a data set whose rows are tiles; its labels as the network's.

    Raises: DataError if the masks of all images are too large to be held.
    """
    parts = [JoinedPart(part) for part in decoded.parts.values()]
    sizes = [size for part in parts for size in part.tiles.sizes]
    largest = max(size[0] for size in sizes), max(size[1] for size in sizes)
    tiling = tiling_of(predictor)
    if tiling is None:
        raise DataError(f"`{decoded.name}` is cut into tiles, but this network takes whole images.")
    if tiling.joining.dense:
        _check_room(len(sizes), largest, name=decoded.name)
    found, done = [], 0
    for part in parts:
        for image, size in enumerate(part.tiles.sizes):
            asking = Asking(views=protocol, batch=min(batch, AT_ONCE))
            said = said_of(predictor, tiling.grid(size), part.reader(image), asking)
            found.append(tiling.joining.rows(predictor.target, said))
            done += 1
            if progress:
                progress(done, len(sizes))
    way = _WAYS[predictor.target.name]
    labels = np.concatenate([way.labels(part, largest) for part in parts])
    return Outcome(
        data=decoded.name,
        split=split,
        protocol=protocol,
        target=predictor.target,
        outputs=torch.from_numpy(way.outputs(found, largest)),
        labels=predictor.target.matched(labels, decoded.classes),
        names=tuple(name for part in parts for name in part.tiles.names),
        picture=lambda index: _picture(parts, index, largest),
    )


def _check_room(images: int, size: tuple[int, int], *, name: str) -> None:
    needed = PLANES * images * size[0] * size[1]
    if needed > (allowed := machine_bytes() // 2):
        raise DataError(
            f"The masks of `{name}`, {images} of up to {size[1]:,} x {size[0]:,} pixels, would need "
            f"{needed // MEGABYTE:,} MB, more than half of this machine's memory ({allowed // MEGABYTE:,} MB): "
            "evaluate fewer images at a time, or cut them."
        )


def _picture(parts: list[JoinedPart], index: int, size: tuple[int, int]) -> Pixels:
    for part in parts:
        if index < len(part):
            break
        index -= len(part)
    return part.whole(index, part.part.decoded, (*size, part.part.decoded.shape[3]), fill=0)


def _masks_of_one_size(found: list[NDArray[Any]], size: tuple[int, int]) -> NDArray[Any]:
    whole = np.zeros((len(found), 2, *size), np.uint8)
    for rows, mask in zip(whole, found, strict=True):
        rows[:, : mask.shape[1], : mask.shape[2]] = mask
    return whole


def _true_masks(part: JoinedPart, size: tuple[int, int]) -> Labels:
    return np.stack([part.whole(image, part.part.labels, size, fill=VOID) for image in range(len(part))])


def _boxes_of_one_length(found: list[NDArray[Any]], _: tuple[int, int]) -> NDArray[Any]:
    most = max(1, *map(len, found))
    whole = np.zeros((len(found), most, 6), np.float32)
    whole[..., 0] = -1
    for rows, boxes in zip(whole, found, strict=True):
        rows[: len(boxes)] = boxes
    return whole


def _true_boxes(part: JoinedPart, _: tuple[int, int]) -> Labels:
    """Return the boxes (I, M, 7) of whole images, in whose pixels they are."""
    given = part.tiles.labels[..., :6]
    return np.concatenate([given, np.ones((*given.shape[:2], 1), np.float32)], axis=2)


_WAYS: Mapping[str, _Joined] = {
    "masks": _Joined(_masks_of_one_size, _true_masks),
    "boxes": _Joined(_boxes_of_one_length, _true_boxes),
}
