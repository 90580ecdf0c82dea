"""What a data set is: named parts of images with labels, as files to decode or as decoded pixels.

Decoded images are (N, H, W, C) uint8 0..255.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea import tasks
from fovea.data.tiles import Tiles
from fovea.errors import DataError
from fovea.inputs.interface import Samples
from fovea.notebook import Cells, Tabular
from fovea.tasks.task import Labels, Task

PARTS = ("train", "val", "test")


class BadFile(NamedTuple):
    """A file that was left out of a data set, and why."""

    name: str
    reason: str


Images = Samples
"""Decoded images, (N, H, W, C) uint8 0..255: an array, or `Rows` of one. Index it by number, slice or indices."""


@dataclass(frozen=True)
class Rows:
    """Some of the images of an array, read when they are asked for: a mapped array is divided without a copy."""

    images: Images
    indices: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W, C)."""
        return len(self), *self.images.shape[1:]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int | slice | NDArray[np.int64], /) -> Any:
        return self.images[self.indices[index]]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part (train, val or test): images in a fixed order with a label each.

    Exactly one of `files` and `pixels` is given. After decoding it is `pixels`.
    """

    labels: Labels
    """(N,) int64 class indices, (N,) float32 numbers in their unit, (N, L) float32 labels: what `Task.encode` gives."""
    names: tuple[str, ...]
    """(N,) what to call each image to a person: a POSIX path relative to the data set, or an index."""
    files: tuple[Path, ...] | None = None
    """(N,) files still to be decoded."""
    pixels: Images | None = None
    """(N, H, W, C) uint8 0..255, possibly memory-mapped read-only."""
    regions: NDArray[np.int64] | None = None
    """(N, 4) x0, y0, x1, y1 in pixels of the upright image: the part of each file that is its sample, and that its
    label tells of; None if that is the image."""
    areas: NDArray[np.float64] | None = None
    """(N,) how many pixels of its image the object of each sample covers, of points; None if that is not known."""
    tiles: Tiles | None = None
    """Which windows of which images the rows are; None if each is an image."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def images(self) -> int:
        """How many images there are, of which each may be several rows."""
        return len(self) if self.tiles is None else len(self.tiles.names)

    @property
    def decoded(self) -> Images:
        """The pixels; DataError if the files are not decoded yet."""
        if self.pixels is None:
            raise DataError("These images are not decoded yet; call `decode_dataset` first.")
        return self.pixels


@dataclass(frozen=True, kw_only=True, repr=False)
class Dataset(Tabular):
    """A data set as found: its classes, its parts, and what is known about it."""

    name: str
    parts: Mapping[str, Part]
    """Keys from `PARTS`; `train` or `test` at least."""
    classes: tuple[str, ...]
    """Class names in index order; empty if the task has none."""
    channels: int
    """1 (grey) or 3 (RGB), of series any number: what the files hold, and so what the network gets by default."""
    task: str = "classes"
    """The name of a kind of target (`fovea.tasks`)."""
    input: str = "images"
    """The name of a kind of input (`fovea.inputs`)."""
    native_size: tuple[int, ...] | None = None
    """(H, W) where all images, of files all of a sample, share it; of another kind what its `survey` finds."""
    directional: bool = False
    """True if mirroring an image changes its label (digits, letters)."""
    licence: str = "unknown"
    fingerprint: str = ""
    """SHA-256 over names, sizes and labels: the same data gives the same fingerprint on every machine."""
    notes: tuple[str, ...] = ()
    """What the user should know, one line each (a validation split was split off, stray files were ignored)."""
    bad_files: tuple[BadFile, ...] = field(default=())

    @property
    def kind(self) -> type[Task]:
        """The kind of target."""
        return tasks.kind(self.task)

    @property
    def headline(self) -> str:
        """The name, how many samples each split has, and what is learned."""
        parts = ", ".join(f"{name} {part.images:,}" for name, part in self.parts.items())
        learned = f"{len(self.classes)} classes" if self.kind.has_classes else self.kind.name
        return f"{self.name}, {self.input}: {parts}; {learned}"

    def cells(self) -> Cells:
        """Return how many samples each class has in each split; where a sample has no single class, each split."""
        if not self.kind.has_classes or any(part.labels.ndim != 1 for part in self.parts.values()):
            rows = [(name, part.images) for name, part in self.parts.items()]
            return Cells(columns=("split", self.input), rows=rows, notes=self.notes)
        counts = [np.bincount(part.labels, minlength=len(self.classes)).tolist() for part in self.parts.values()]
        rows_ = [(name, *numbers) for name, *numbers in zip(self.classes, *counts, strict=True)]
        return Cells(columns=("class", *self.parts), rows=rows_, notes=self.notes)
