"""Covered pixels as PNG files in a folder of masks beside one of images, which `fovea train` reads.

A mask has the name of its image, and the values of the table that the masks of the folder already have; of a new folder
the indices of its `classes.csv`. A pixel that nobody covers is `background`, or void where there is no such class.
"""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fovea.data.annotating.covered import Mask, label_of, mask_of
from fovea.data.annotating.kinds import Size
from fovea.data.masks import MaskFile, Table
from fovea.data.sources.annotations.coco import BACKGROUND
from fovea.data.sources.annotations.conventions import Named
from fovea.data.sources.annotations.tables import found_table, read_table, table_file
from fovea.data.sources.folders import is_image
from fovea.data.writers.masks import TABLE, write_mask, write_table
from fovea.errors import DataError, StorageError, UsageError, shortened
from fovea.preprocess import VOID
from fovea.storage import in_turn, make_folder

SUFFIX = ".png"


class MaskFolder:
    """The masks in a folder, by the absolute path of each image."""

    without_label = 0

    def __init__(self, folder: Path, images: Sequence[str]) -> None:
        """Read which masks are there, and what their values stand for; `images` are those that may be labelled.

        Raises: DataError for masks that could not be written back, and for images of one name.
        """
        self.file = folder
        self._images = {Path(image).stem: image for image in images}
        if len(self._images) < len(images):
            raise DataError(f"Images of one name have one mask in `{folder.name}`; keep the labels in a .json file.")
        self._table = self._known()

    @property
    def data(self) -> Path:
        """What a training reads: the folder that holds images and masks."""
        return self.file.parent

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, without the background."""
        return () if self._table is None else tuple(name for name in self._table.names if name != BACKGROUND)

    @property
    def labelled(self) -> frozenset[str]:
        """The images that have a mask."""
        return frozenset(self._images[stem] for stem in self._there() if stem in self._images)

    def label(self, image: str, size: Size = (0, 0)) -> Any:
        """Return the classes of an image of a size with the pixels they cover, or None.

        Raises: ImageError for a mask that cannot be read, or has another size.
        """
        path = self._path(image)
        if self._table is None or not path.exists():
            return None
        mask = MaskFile(path, self._table.table).read(size)
        covered = [index for index, name in enumerate(self._table.names) if name != BACKGROUND]
        return label_of(np.where(np.isin(mask, covered), mask, VOID), self._table.names)

    def put(self, image: str, size: Size, label: Any, classes: tuple[str, ...]) -> None:
        """Write the mask of an image of a size, or remove it where `label` is None.

        Raises:
            StorageError: it cannot be written; what was there is still there.
            UsageError: a class that the table of the masks does not have.
        """
        if label is None:
            with contextlib.suppress(FileNotFoundError):
                self._path(image).unlink()
            return
        make_folder(self.file)
        with in_turn(self.file):
            named = self._with(classes)
            write_mask(self._path(image), _stored(mask_of(label, named.names, size), named))

    def _with(self, classes: Sequence[str]) -> Named:
        """Return the table with all `classes`, which the folder says from now on."""
        before = self._known()
        missing = [name for name in classes if before is None or name not in before.names]
        if before is not None and not missing:
            self._table = before
            return before
        if before is not None and not self._can_grow(before):
            raise UsageError(
                f"The masks in `{self.file.name}` have no class `{shortened(missing[0])}`: add it to their table first."
            )
        names = (*(before.names if before is not None else (BACKGROUND,)), *missing)
        write_table(self.file, names)
        self._table = read_table(self.file / TABLE)
        return self._table

    def _can_grow(self, named: Named) -> bool:
        """Tell whether the values are indices in their order, named by the folder's own table or by none."""
        own = table_file(self.file, self.file.parent) in (None, self.file / TABLE)
        return own and named.table.values[: len(named.names)] == (*range(len(named.names)),)

    def _known(self) -> Named | None:
        """Return what the values of the masks stand for; None of a folder without masks."""
        file, masks = table_file(self.file, self.file.parent), [self.file / f"{stem}{SUFFIX}" for stem in self._there()]
        if file is None and not masks:
            return None
        found = read_table(file) if file is not None else found_table(masks)[0]
        if found.table.colours:
            raise DataError(f"The masks in `{self.file.name}` are colours; keep the labels in a .json file.")
        if BACKGROUND not in found.names and VOID not in found.table.classes:
            raise DataError(
                f"The masks in `{self.file.name}` have a class for every pixel, and none for those that nobody covers: "
                f"name one `{BACKGROUND}` in a `{TABLE}`, or keep the labels in a .json file."
            )
        return found

    def _there(self) -> list[str]:
        """Return the stems of the masks. Raises: DataError for files that are no PNG, StorageError."""
        try:
            names = sorted(os.listdir(self.file))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StorageError(f"`{self.file}` cannot be read ({error.strerror}).") from error
        masks = [name for name in names if is_image(name) and not name.startswith(".")]
        if other := next((name for name in masks if not name.lower().endswith(SUFFIX)), None):
            raise DataError(f"`{shortened(other)}` in `{self.file.name}` is no PNG; keep the labels in a .json file.")
        return [Path(name).stem for name in masks]

    def _path(self, image: str) -> Path:
        return self.file / f"{Path(image).stem}{SUFFIX}"


def _stored(mask: Mask, named: Named) -> Mask:
    """Return the values of the table for a mask (H, W) of class indices, 255 where nothing covers a pixel."""
    table: Table = named.table
    value_of = np.zeros(VOID + 1, np.uint8)
    for value, index in reversed(list(zip(table.values, table.classes, strict=True))):
        value_of[index] = value
    if BACKGROUND in named.names:
        value_of[VOID] = value_of[named.names.index(BACKGROUND)]
    return value_of[mask]
