"""`fovea predict` of images that are larger than a network's input: tile by tile, in bounded memory."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.decoding.tiles import Place
from fovea.display import Display
from fovea.errors import ImageError, StorageError
from fovea.inputs.views import PLAIN
from fovea.inputs.views import Protocol as Views
from fovea.jobs.predict import FilePrediction, Preview
from fovea.model.predictor import Predictor
from fovea.model.tiled import AT_ONCE, Asking, Tiling, said_of
from fovea.preprocess import MAX_PIXELS, Pixels
from fovea.preprocess.regions import Windows
from fovea.storage import cache_root, make_folder
from fovea.tasks.task import Task

PREVIEWED = 25_000_000
"""Pixels from which on an image is drawn at a fraction of its size."""
PREVIEW_SIDE = 2048


class Work(NamedTuple):
    """What looks at images."""

    predictor: Predictor
    target: Task
    """That of the predictor, or one that tells of other scores."""
    tiling: Tiling
    batch: int
    display: Display | None
    views: Views = PLAIN


def tiled_predictions(work: Work, paths: Iterable[str]) -> Iterator[FilePrediction]:
    """Yield a prediction for each image, or why it cannot be read."""
    for path in paths:
        try:
            yield _prediction(work, path)
        except ImageError as error:
            yield FilePrediction(image=path, error=str(error).removeprefix(f"`{Path(path)}`: "))


def _prediction(work: Work, path: str) -> FilePrediction:
    with Windows(work.predictor.preprocess.channels) as windows:
        source = _Source(windows, Path(path), work.tiling.tile)
        counter = work.display.counter(Path(path).name) if work.display else None
        asking = Asking(views=work.views, batch=min(work.batch, AT_ONCE), progress=counter)
        said = said_of(work.predictor, work.tiling.grid(source.size), source.read, asking)
        prediction = work.tiling.joining.prediction(work.target, said, held_for)
        preview = source.preview.shown if source.preview else None
        return FilePrediction(image=path, prediction=prediction, preview=preview)


class _Source:
    """An image of which windows are read; a large one leaves a preview behind."""

    def __init__(self, windows: Windows, path: Path, tile: tuple[int, int]) -> None:
        self.windows, self.path, self.tile = windows, path, tile
        self.size = windows.size(path)
        large = self.size[0] * self.size[1] > PREVIEWED
        self.preview = _Drawing(self.size, windows.channels) if large else None

    def read(self, place: Place) -> Pixels:
        window = self.windows.read(self.path, left=place.left, top=place.top, size=self.tile)
        if self.preview:
            self.preview.add(window, place)
        return window


@dataclass
class _Drawing:
    """A preview that is put together window by window."""

    size: tuple[int, int]
    channels: int
    pixels: Pixels = field(init=False)

    def __post_init__(self) -> None:
        shape = tuple(max(1, round(side * PREVIEW_SIDE / max(self.size))) for side in self.size)
        self.pixels = np.zeros((*shape, self.channels), np.uint8)
        self.rows, self.columns = sampled(self.size, shape)

    def add(self, window: Pixels, place: Place) -> None:
        """Take from a window those pixels of the preview that lie in it."""
        (i, j), (k, m) = (
            np.searchsorted(places, (begin, begin + side)).tolist()
            for places, begin, side in (
                (self.rows, place.top, len(window)),
                (self.columns, place.left, window.shape[1]),
            )
        )
        self.pixels[i:j, k:m] = window[np.ix_(self.rows[i:j] - place.top, self.columns[k:m] - place.left)]

    @property
    def shown(self) -> Preview:
        return Preview(self.pixels, self.size)


def sampled(size: tuple[int, int], shape: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows (h,) and columns (w,) int64 of an image of `size` that a picture of a smaller `shape` shows."""
    rows, columns = (
        ((np.arange(count) + 0.5) * side / count).astype(np.int64) for count, side in zip(shape, size, strict=True)
    )
    return rows, columns


def held_for(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return zeros uint8 (H, W): in memory, or of more than can be decoded in a file of the cache that ends with it."""
    if size[0] * size[1] <= MAX_PIXELS:
        return np.zeros(size, np.uint8)
    folder = cache_root()
    make_folder(folder)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):  # else a full disk would end the process
                os.posix_fallocate(file.fileno(), 0, size[0] * size[1])
            return np.memmap(file, np.uint8, mode="w+", shape=size)
    except OSError as error:
        raise StorageError(
            f"A mask of {size[1]:,} x {size[0]:,} pixels cannot be stored in `{folder}`: {error.strerror or error}. "
            "Free some disk space, or set `FOVEA_CACHE` to another folder."
        ) from error
