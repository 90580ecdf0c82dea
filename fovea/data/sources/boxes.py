"""Boxes around what images show: a CSV with the columns path, x0, y0, x1 and y1.

Boxes are (b, 4) float64 of x0, y0, x1, y1 in pixels of the upright image, half-open: x0 <= x < x1. An image may have
several, a row each, or none: a row without numbers, or no row.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fovea.data.dataset import Dataset
from fovea.data.sources.manifests import Cells, Columns, header_of, read_cells
from fovea.data.sources.source import DataSource
from fovea.errors import DataError, UsageError, readable, shortened
from fovea.files import no_file

COLUMNS = ("x0", "y0", "x1", "y1")

Boxes = Mapping[str, NDArray[np.float64]]
"""(b, 4) float64 by the name of the image in its data set, of the images that have some."""


def boxes_of(source: DataSource, dataset: Dataset, file: str | Path | None = None) -> Boxes | None:
    """Return the boxes, (b, 4) float64 by name, in `file`, or in the manifest that the data is; None if it has none.

    Paths in the file are the names of the images in the data set, or lead to them from the file on.

    Raises:
        UsageError: there is no such file.
        DataError: a missing column, a box that is none, or an image that is not in the data.
    """
    if file is not None:
        path = Path(file).expanduser()
        if reason := no_file(path):
            raise UsageError(f"`boxes` (={file}): {reason}; give a CSV with the columns path, {', '.join(COLUMNS)}.")
        return read_boxes(path, dataset, source=source)
    found = [manifest for manifest in source.manifests() if set(COLUMNS) <= set(header_of(manifest))]
    each = [read_boxes(manifest, dataset, source=source) for manifest in found]
    return {name: boxes for one in each for name, boxes in one.items()} if found else None


def read_boxes(file: Path, dataset: Dataset, *, source: DataSource) -> Boxes:
    """Return the boxes, (b, 4) float64 by name, that a CSV file lists; errors as `boxes_of`."""
    if missing := [column for column in COLUMNS if column not in header_of(file)]:
        raise DataError(
            f"`{file}` has no column `{missing[0]}`; boxes need the columns {', '.join(COLUMNS)}, in pixels."
        )
    listed = {name for part in dataset.parts.values() for name in part.names}
    known = listed | {bad.name for bad in dataset.bad_files}
    found: dict[str, list[tuple[float, ...]]] = {}
    for row in read_cells(file, COLUMNS, columns=Columns(path=source.path_column)):
        name = next((name for name in (readable(row.name), readable(row.path)) if name in known), None)
        if name is None:
            raise DataError(
                f"`{file}`, line {row.line}: `{shortened(row.path)}` is not an image of `{dataset.name}`, where "
                f"names look like `{shortened(min(listed))}`."
            )
        if any(row.texts):
            found.setdefault(name, []).append(_box(row, file))
    return {name: np.array(boxes) for name, boxes in found.items()}


def _box(row: Cells, file: Path) -> tuple[float, ...]:
    where = f"`{file}`, line {row.line}"
    box = tuple(_pixels(text, f"{where}: `{column}`") for column, text in zip(COLUMNS, row.texts, strict=True))
    for low, high in ((0, 2), (1, 3)):
        if box[high] <= box[low]:
            raise DataError(
                f"{where}: `{COLUMNS[high]}` (={box[high]:g}) must be above `{COLUMNS[low]}` (={box[low]:g})."
            )
    return box


def _pixels(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{where} (={shortened(text)}) must be a number, in pixels of the image.")
    return value
