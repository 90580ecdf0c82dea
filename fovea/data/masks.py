"""Where the mask of an image comes from: a file whose values a table turns into classes, or shapes that are drawn.

Masks are (H, W) uint8 class indices of the upright image; 255, VOID, is no class. Each source has `read(size)`, which
returns the mask of an image of `size` (h, w), and `key`, on which the pixels of that mask depend:
a `fovea.tasks.places.TargetSource`.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.data.shapes import Shape, draw
from fovea.errors import ImageError
from fovea.preprocess.values import decode_values

Mask = NDArray[np.uint8]


class MaskSizeError(ImageError):
    """A mask that has another size than its image."""


class UnknownValueError(ImageError):
    """A mask with a value that is no class of its table."""


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
            raise UnknownValueError(f"{value_text(value, colours=self.colours)}, on {share}, is no class of the table")
        classes: Mask = np.array(self.classes, np.uint8)[order][found]
        return classes


@dataclass(frozen=True)
class MaskFile:
    """A mask that is a file."""

    path: Path
    table: Table

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
                f"the mask `{self.path.name}` has {_size(stored.shape)} pixels, its image {_size(size)}"
            )
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
    def key(self) -> str:
        """Digest of size, ground and shapes."""
        digest = hashlib.sha256(repr((self.size, self.ground)).encode())
        for shape in self.shapes:
            digest.update(shape.digested)
        return digest.hexdigest()

    def read(self, size: tuple[int, int]) -> Mask:
        """Return the mask, uint8 (h, w). Raises: ImageError where the image has another size than is said of it."""
        if self.size != tuple(size):
            raise MaskSizeError(f"its annotation is for {_size(self.size)} pixels, and it has {_size(size)}")
        return draw(self.shapes, self.size, ground=self.ground)


def packed(colours: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return colours uint8 (..., 3) as numbers: 65536 r + 256 g + b."""
    red, green, blue = np.moveaxis(colours, -1, 0).astype(np.int32)
    result: NDArray[np.int32] = red << 16 | green << 8 | blue
    return result


def value_text(value: int, *, colours: bool) -> str:
    """Return what a person reads of a value: a level, or a colour as `#804080`."""
    return f"the colour #{value:06x}" if colours else f"the value {value}"


def distinct(stored: NDArray[Any], *, colours: bool) -> NDArray[np.int64]:
    """Return the values of a mask file, each once, ascending; colours packed."""
    values = packed(stored) if colours else stored
    if values.dtype == np.uint8:
        return np.flatnonzero(np.bincount(values.ravel(), minlength=256))
    return np.unique(values).astype(np.int64)


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"
