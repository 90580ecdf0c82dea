"""What a network says of the tiles of a large image, joined to what it says of the image: by kind of target.

Of a tile it says outputs (K, h, w) float32, as the network gives them. What is kept of an image is what `condensed`
keeps of one: masks (2, H, W) uint8, objects (D, 6) float32.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from fovea.decoding.tiles import Grid, blended, joined
from fovea.errors import UsageError
from fovea.storage import let_go
from fovea.tasks.box_prediction import BoxPrediction
from fovea.tasks.mask_prediction import MaskPrediction
from fovea.tasks.prediction import Prediction
from fovea.tasks.task import Task

Held = Callable[[tuple[int, int]], NDArray[np.uint8]]
"""From a size (H, W) to zeros of it: in memory, or on the disk where they are many."""
CLASS = 0
OF_MASKS, OF_BOXES = 8, 4
"""The part of a tile's side that neighbours share: enough for the seam, or for most objects."""
MAPS = 3
"""Axes of maps (K, h, w)."""


class Said(NamedTuple):
    """What a network says of an image by tiles."""

    grid: Grid
    parts: tuple[Grid, ...]
    """In which order it is looked at."""
    outputs: Iterator[NDArray[np.float32]]
    """(K, h, w) of each tile of each part."""
    scale: float
    """Pixels of the image in one of the network's input, along each axis."""


class Joining(NamedTuple):
    """How a kind of target joins tiles."""

    overlap: int
    """Neighbours share the side of a tile divided by this."""
    rows: Callable[[Task, Said], NDArray[Any]]
    """What is kept of the image."""
    prediction: Callable[[Task, Said, Held], Prediction]
    """What is said of it to a person; `Held` makes what a mask is kept in."""
    dense: bool
    """Whether outputs lie on the pixels of the tile, so that those of valid convolutions are smaller."""

    def margin(self, shape: tuple[int, ...], size: tuple[int, int]) -> int:
        """Return how many pixels on each side of an input of `size` outputs of a `shape` (K, h, w) leave out."""
        return (size[0] - shape[1]) // 2 if self.dense and len(shape) == MAPS else 0


def joining_of(target: Task | type[Task]) -> Joining:
    """Return how tiles are joined. Raises: UsageError for a kind of target that has one answer for a whole image."""
    if target.name not in _JOINED:
        raise UsageError(
            f"Tiles work only for masks and boxes, and this model predicts {target.noun}; leave out `tile`, or "
            "choose another `fit`."
        )
    return _JOINED[target.name]


def _mask_rows(target: Task, said: Said) -> NDArray[np.uint8]:
    """Return class and 255 times its probability of each pixel, (2, H, W)."""
    found = np.zeros((2, *said.grid.size), np.uint8)
    for area, values in _areas(said):
        found[(0, *area)], found[(1, *area)] = values.argmax(0), np.round(255 * values.max(0))
    return found


def _mask_prediction(target: Task, said: Said, held: Held) -> Prediction:
    mask = held(said.grid.size)
    for area, values in _areas(said):
        mask[area] = values.argmax(0)
        let_go(mask)
    return MaskPrediction.of(mask, target.classes)


def _areas(said: Said) -> Iterator[tuple[tuple[slice, slice], NDArray[np.float32]]]:
    """Yield rows and columns of the image with the blended probabilities (K, rows, columns) of the tiles."""
    for part in said.parts:
        each = map(probabilities, _of_side(islice(said.outputs, len(part)), part.answered))
        for top, left, values in blended(part, each):
            yield (slice(top, top + values.shape[1]), slice(left, left + values.shape[2])), values


def _box_rows(target: Task, said: Said) -> NDArray[np.float32]:
    """Return all objects of the tiles once, the best first, in pixels of the image, (D, 6)."""
    each = (rows[rows[:, CLASS] >= 0].astype(np.float64) for rows in _decoded(target, said))
    found: NDArray[np.float32] = joined(said.grid, _scaled(each, said.scale)).astype(np.float32)
    return found


def _box_prediction(target: Task, said: Said, held: Held) -> Prediction:
    """Return the objects that are reported: those of too low a score suppress no others."""
    each = (cast(BoxPrediction, target.prediction(rows.astype(np.float64))).found for rows in _decoded(target, said))
    return BoxPrediction.of(joined(said.grid, _scaled(each, said.scale)), target.classes)


def _decoded(target: Task, said: Said) -> Iterator[NDArray[np.float32]]:
    for outputs in said.outputs:
        yield target.rows_of(outputs[None])[0]


def _scaled(found: Iterable[NDArray[np.float64]], scale: float) -> Iterator[NDArray[np.float64]]:
    for rows in found:
        yield rows * np.array([1, scale, scale, scale, scale, 1])


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the softmax of maps (K, h, w) over their classes."""
    powers = np.exp(logits - logits.max(0))
    found: NDArray[np.float32] = powers / powers.sum(0)
    return found


def _of_side(outputs: Iterable[NDArray[np.float32]], size: tuple[int, int]) -> Iterator[NDArray[np.float32]]:
    for each in outputs:
        yield each if each.shape[1:] == size else resized(each, size)


def resized(maps: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return maps (K, h, w) at another size (H, W), bilinear between the centres of their cells."""
    for axis, length in ((1, size[0]), (2, size[1])):
        side = maps.shape[axis]
        position = np.clip((np.arange(length) + 0.5) * (side / length) - 0.5, 0, side - 1)
        low = np.minimum(position.astype(np.int64), max(side - 2, 0))
        share = (position - low).astype(np.float32).reshape((-1, 1) if axis == 1 else (1, -1))
        first, second = maps.take(low, axis), maps.take(np.minimum(low + 1, side - 1), axis)
        maps = first + (second - first) * share
    return maps


_JOINED: Mapping[str, Joining] = {
    "masks": Joining(OF_MASKS, _mask_rows, _mask_prediction, dense=True),
    "boxes": Joining(OF_BOXES, _box_rows, _box_prediction, dense=False),
}
