"""Masks as files: PNG with a palette, whose indices are the classes, and the table that names them.

Masks are (H, W) uint8.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fovea.preprocess import VOID
from fovea.storage import write_atomically
from fovea.tasks.mask_colours import mask_png
from fovea.texts import in_cell

TABLE = "classes.csv"


def write_mask(path: Path, mask: NDArray[np.uint8]) -> None:
    """Write a mask as `mask_png` gives it. Raises: StorageError."""
    write_atomically(path, mask_png(mask))


def write_table(folder: Path, classes: Sequence[str]) -> None:
    """Write `classes.csv`, by which the masks of a folder are read back: the name of each index, and of void.

    Raises: StorageError.
    """
    with io.StringIO(newline="") as stream:
        rows = [(in_cell(name), index) for index, name in enumerate(classes)]
        csv.writer(stream, lineterminator="\n").writerows([("name", "index"), *rows, ("void", VOID)])
        write_atomically(folder / TABLE, stream.getvalue().encode())
