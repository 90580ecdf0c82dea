"""Masks as files: PNG with a palette, whose indices are the classes, and the table that names them.

Masks are (H, W) uint8.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fovea.errors import MissingDependencyError
from fovea.preprocess import VOID
from fovea.storage import let_go, write_atomically, written_whole
from fovea.tasks.mask_colours import mask_png, palette
from fovea.texts import in_cell

TABLE = "classes.csv"
TILE = 512
LARGEST_CLASSIC = 2_000_000_000
"""Bytes up to which a TIFF has addresses of 32 bits."""


def write_mask(path: Path, mask: NDArray[np.uint8]) -> None:
    """Write a mask as `mask_png` gives it. Raises: StorageError."""
    write_atomically(path, mask_png(mask))


def write_large_mask(path: Path, mask: NDArray[np.uint8]) -> None:
    """Write a mask (H, W) as a TIFF of deflated tiles with a palette, tile by tile.

    Raises: StorageError, MissingDependencyError.
    """
    try:
        import tifffile
    except ImportError as error:
        raise MissingDependencyError(
            f"`{path.name}` needs a library that is not installed: pip install 'fovea-cnn[tiff]'."
        ) from error
    H, W = mask.shape
    with written_whole(path) as temporary:
        tifffile.imwrite(
            temporary,
            _tiles(mask),
            shape=(H, W),
            dtype=np.uint8,
            tile=(TILE, TILE),
            compression="zlib",
            photometric="palette",
            colormap=palette().T.astype(np.uint16) * 257,
            metadata=None,
            bigtiff=H * W > LARGEST_CLASSIC,
        )


def _tiles(mask: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    H, W = mask.shape
    for top in range(0, H, TILE):
        for left in range(0, W, TILE):
            part = mask[top : top + TILE, left : left + TILE]
            yield np.pad(part, ((0, TILE - part.shape[0]), (0, TILE - part.shape[1])))
        let_go(mask)


def write_table(folder: Path, classes: Sequence[str]) -> None:
    """Write `classes.csv`, by which the masks of a folder are read back: the name of each index, and of void.

    Raises: StorageError.
    """
    with io.StringIO(newline="") as stream:
        rows = [(in_cell(name), index) for index, name in enumerate(classes)]
        csv.writer(stream, lineterminator="\n").writerows([("name", "index"), *rows, ("void", VOID)])
        write_atomically(folder / TABLE, stream.getvalue().encode())
