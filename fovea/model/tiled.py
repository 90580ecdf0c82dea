"""A network on images larger than its input: tile after tile, joined to one answer.

Images are (H, W, C) uint8 0..255, of which windows are read when they are needed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import cast

import numpy as np
from numpy.typing import NDArray

from fovea.decoding.tiles import Grid, Place
from fovea.errors import UsageError
from fovea.inputs.views import PLAIN
from fovea.inputs.views import Protocol as Views
from fovea.model.predictor import Predictor
from fovea.preprocess import Pixels, Preprocess
from fovea.tasks.joining import Joining, Said, joining_of

AT_ONCE = 4
"""Tiles that go through the network together."""
HELD_BYTES = 64_000_000
"""Of probabilities that wait for their neighbours; a wider image is looked at in parts of its width."""
SMALLEST = 16
"""Pixels of the side of a tile."""
Reading = Callable[[Place], Pixels]
"""From a place to the window of the image that begins there."""


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """How a network is laid over images: windows of `tile` (H, W) pixels of the image, each brought to its input."""

    tile: tuple[int, int]
    overlap: int
    margin: int
    joining: Joining

    def grid(self, size: tuple[int, int]) -> Grid:
        """Return the tiles of an image of `size` (H, W)."""
        return Grid(size, self.tile, self.overlap, self.margin)


def tiling_of(predictor: Predictor, *, tile: int | None = None, overlap: int | None = None) -> Tiling | None:
    """Return how a network tiles images: as it was trained, or by tiles of `tile` pixels of the image.

    None if it was trained on whole images, and nothing is asked for.

    Raises:
        UsageError: a kind of target, an input or sizes that do not go with tiles.
    """
    way = predictor.preprocess
    if tile is None and not (isinstance(way, Preprocess) and way.tiles):
        if overlap is not None:
            raise UsageError(f"`overlap` (={overlap}) works only with tiles; give their side in pixels with `tile`.")
        return None
    joining = joining_of(predictor.target)
    frame = cast(Preprocess, way)
    side = frame.size if tile is None else (tile, tile)
    _check_side(frame, side)
    margin = _margin(predictor, joining, frame, side)
    if overlap is None:
        usual = (min(side) - 2 * margin) // joining.overlap if not margin else 0
        overlap = frame.overlap if frame.tiles and side == frame.size else usual
    if not 0 <= overlap < min(side) - 2 * margin:
        raise UsageError(
            f"`overlap` (={overlap}) must be at least 0 and below {min(side) - 2 * margin} pixels, the part of a "
            "tile that is predicted."
        )
    return Tiling(tile=side, overlap=overlap, margin=margin, joining=joining)


def _check_side(frame: Preprocess, side: tuple[int, int]) -> None:
    if min(side) < SMALLEST:
        raise UsageError(f"`tile` (={min(side)}) must be at least {SMALLEST} pixels.")
    if frame.tiles or side == frame.size:
        return
    if frame.size[0] != frame.size[1] or frame.crop != 1:
        raise UsageError(
            f"`tile` (={side[0]}) needs a network with a square input that covers the whole image, and this one "
            f"takes {frame.size[1]}x{frame.size[0]} pixels with `fit` {frame.fit}; train with `--fit tile`."
        )


def _margin(predictor: Predictor, joining: Joining, frame: Preprocess, side: tuple[int, int]) -> int:
    """Return the pixels of the image on each side of a tile that the network does not answer for."""
    blank = np.zeros((1, *frame.stored_shape), np.uint8)
    of_input = joining.margin(predictor.logits(blank).shape[1:], frame.size) if joining.dense else 0
    return round(of_input * side[0] / frame.size[0])


@dataclass(frozen=True, kw_only=True)
class Asking:
    """How a network is asked about tiles."""

    views: Views = PLAIN
    batch: int = AT_ONCE
    progress: Callable[[int, int], None] | None = None
    """Called with the number of tiles done and the number of all."""


def said_of(predictor: Predictor, grid: Grid, read: Reading, asking: Asking) -> Said:
    """Return what a network says of an image, its outputs tile by tile when they are asked for."""
    frame, target = cast(Preprocess, predictor.preprocess), predictor.target
    parts: tuple[Grid, ...] = (grid,)
    if joining_of(target).dense:
        parts = tuple(grid.parts(HELD_BYTES // (4 * target.outputs * grid.answered[0])))
    return Said(grid, parts, _outputs(predictor, parts, read, asking), grid.tile[0] / frame.size[0])


def _outputs(
    predictor: Predictor, grids: Sequence[Grid], read: Reading, asking: Asking
) -> Iterator[NDArray[np.float32]]:
    frame, total = cast(Preprocess, predictor.preprocess), sum(map(len, grids))
    fitted = frame if frame.size == grids[0].tile else _squashed(frame)
    places = chain.from_iterable(grids)
    done = 0
    while some := list(islice(places, asking.batch)):
        samples = np.stack([fitted.fit_stored(read(place)) for place in some])
        outputs = predictor.logits(samples, batch=asking.batch)
        if asking.views.mirrored:
            mirrored = predictor.logits(np.ascontiguousarray(samples[:, :, ::-1]), batch=asking.batch)
            outputs = ((outputs + _unmirrored(predictor, mirrored)) / 2).astype(np.float32)
        yield from outputs
        done += len(some)
        if asking.progress:
            asking.progress(done, total)


def _squashed(frame: Preprocess) -> Preprocess:
    """Return a preprocessing that brings a square to another, as all do but that of tiles."""
    return replace(frame, fit="squash", overlap=0, margin=0, crop=1.0)


def _unmirrored(predictor: Predictor, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
    import torch

    found: NDArray[np.float32] = predictor.target.unmirrored(torch.from_numpy(outputs)).numpy()
    return found
