"""Where the mask of an image comes from: a file whose values a table turns into classes, or shapes that are drawn.

Masks are (H, W) uint8 class indices of the upright image; 255, VOID, is no class. Each source has `read(size)`, which
returns the mask of an image of `size` (h, w), and `key`, on which the pixels of that mask depend:
a `fovea.tasks.places.TargetSource`. A source that knows the single objects has `true_objects` too.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.data.shapes import Shape, draw, draw_objects
from fovea.errors import ImageError
from fovea.preprocess import VOID
from fovea.preprocess.values import decode_values

Mask = NDArray[np.uint8]
IDS_BELOW = 1000
"""In files of Cityscapes: values from here on have a number of their own."""


class MaskSizeError(ImageError):
    """A mask that has another size than its image."""


class UnknownValueError(ImageError):
    """A mask with a value that is not a class of its table."""


@dataclass(frozen=True)
class Table:
    """Which class each value of a mask file stands for."""

    values: tuple[int, ...]
    """Indices, levels, or colours as 65536 r + 256 g + b; each once."""
    classes: tuple[int, ...]
    """The class of each value; VOID where it is none."""
    colours: bool = False

    def classes_of(self, stored: NDArray[Any]) -> Mask:
        """Return the classes uint8 (H, W) of stored values (H, W), or colours (H, W, 3).

        Raises: UnknownValueError for a value that is not in the table.
        """
        values = packed(stored) if self.colours else stored
        order = np.argsort(self.values)
        known = np.array(self.values)[order]
        found = np.searchsorted(known, values).clip(max=len(known) - 1)
        if (unknown := known[found] != values).any():
            value = int(values[unknown][0])
            share = f"{100 * unknown.mean():.2g} % of its pixels"
            raise UnknownValueError(
                f"{value_text(value, colours=self.colours)}, on {share}, is not a class in the table"
            )
        classes: Mask = np.array(self.classes, np.uint8)[order][found]
        return classes


class TrueObjects(NamedTuple):
    """The single objects of a mask as its data has them."""

    numbers: NDArray[np.int32]
    """(h, w) the object of each pixel, from 1 on; 0 where there is none."""
    classes: NDArray[np.int64]
    """(n,) the class of each object; VOID where most of it is void."""
    crowd: NDArray[np.bool_]
    """(n,) whether it stands for several objects that were not separated."""


@dataclass(frozen=True)
class ObjectFile:
    """A file that numbers the objects of a mask; they have the classes that the mask has there."""

    path: Path
    by_id: bool = False
    """Whether values are those of Cityscapes: 1000 id + number, or the id alone of what is not separated.

    Else they are those of VOC: the numbers, 255 where it is not known.
    """
    counted: tuple[int, ...] = ()
    """The classes that have objects; empty for all but one called background."""

    def objects(self, mask: Mask) -> TrueObjects:
        """Return the objects of a mask (h, w). Raises: ImageError for a file that cannot be read or does not fit."""
        stored = decode_values(self.path, colours=False)
        if stored.shape != mask.shape:
            raise MaskSizeError(
                f"the objects `{self.path.name}` have {_size(stored.shape)} pixels, but their mask has "
                f"{_size(mask.shape)}"
            )
        values, numbers = np.unique(stored, return_inverse=True)
        counts = np.zeros((len(values), VOID + 1), np.int64)
        np.add.at(counts, (numbers.ravel(), mask.ravel()), 1)
        classes = counts.argmax(axis=1)
        there = np.isin(classes, self.counted) if self.counted else classes != VOID
        if not self.by_id:
            there &= (values > 0) & (values != VOID)
        table = np.where(there, np.cumsum(there), 0).astype(np.int32)
        return TrueObjects(
            numbers=table[numbers.reshape(stored.shape)],
            classes=classes[there].astype(np.int64),
            crowd=(values[there] < IDS_BELOW) & self.by_id,
        )


@dataclass(frozen=True)
class MaskFile:
    """A mask that is a file."""

    path: Path
    table: Table
    objects: ObjectFile | None = None
    """What numbers its objects, where that is known."""

    @property
    def counted(self) -> tuple[int, ...] | None:
        """The classes that have objects, empty for all but one called background; None if they are not known."""
        return None if self.objects is None else self.objects.counted

    def true_objects(self) -> TrueObjects:
        """Return its objects; errors as `read`, and ValueError if none are known."""
        if self.objects is None:
            raise ValueError(f"The single objects of `{self.path.name}` are not known.")
        return self.objects.objects(self._classes_of(decode_values(self.path, colours=self.table.colours)))

    @property
    def key(self) -> str:
        """Path, size, time and table."""
        try:
            status = self.path.stat()
            state = f"{status.st_size} {status.st_mtime_ns}"
        except OSError as error:
            state = str(error.errno)
        return f"{os.path.realpath(self.path)}\0{state}\0{self.table}"

    def read(self, size: tuple[int, int]) -> Mask:
        """Return the mask, uint8 (h, w).

        Raises: ImageError for a file that cannot be decoded, has another size, or values that the table does not have.
        """
        stored = decode_values(self.path, colours=self.table.colours)
        if stored.shape[:2] != tuple(size):
            raise MaskSizeError(
                f"the mask `{self.path.name}` has {_size(stored.shape)} pixels, but its image has {_size(size)}"
            )
        return self._classes_of(stored)

    def _classes_of(self, stored: NDArray[Any]) -> Mask:
        try:
            return self.table.classes_of(stored)
        except UnknownValueError as error:
            raise UnknownValueError(f"the mask `{self.path.name}`: {error}") from error


@dataclass(frozen=True, eq=False)
class DrawnMask:
    """A mask that is drawn: the large shapes first, so that small ones are not hidden."""

    size: tuple[int, int]
    """(h, w) of the image in whose pixels the shapes are given."""
    shapes: Sequence[Shape]
    ground: int = 0
    """The class where no shape is."""

    @property
    def counted(self) -> tuple[int, ...]:
        """The classes that have objects: all but one called background."""
        return ()

    def true_objects(self) -> TrueObjects:
        """Return its shapes as objects."""
        classes = [shape.class_index if shape.group is None else shape.group for shape in self.shapes]
        crowd = [shape.group is not None for shape in self.shapes]
        return TrueObjects(draw_objects(self.shapes, self.size), np.array(classes, np.int64), np.array(crowd, bool))

    @property
    def key(self) -> str:
        """Digest of size, ground and shapes."""
        digest = hashlib.sha256(repr((self.size, self.ground)).encode())
        for shape in self.shapes:
            digest.update(shape.digested)
        return digest.hexdigest()

    def read(self, size: tuple[int, int]) -> Mask:
        """Return the mask, uint8 (h, w). Raises: ImageError if the image has another size than is said of it."""
        if self.size != tuple(size):
            raise MaskSizeError(f"its annotation is for {_size(self.size)} pixels, but it has {_size(size)}")
        return draw(self.shapes, self.size, ground=self.ground)


def packed(colours: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return colours uint8 (..., 3) as numbers: 65536 r + 256 g + b."""
    red, green, blue = np.moveaxis(colours, -1, 0).astype(np.int32)
    result: NDArray[np.int32] = red << 16 | green << 8 | blue
    return result


def value_text(value: int, *, colours: bool) -> str:
    """Return a value in words: a level, or a colour as `#804080`."""
    return f"the colour #{value:06x}" if colours else f"the value {value}"


def distinct(stored: NDArray[Any], *, colours: bool) -> NDArray[np.int64]:
    """Return the values of a mask file, each once, ascending; colours packed."""
    values = packed(stored) if colours else stored
    if values.dtype == np.uint8:
        return np.flatnonzero(np.bincount(values.ravel(), minlength=256))
    return np.unique(values).astype(np.int64)


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"
