"""Boxes and points in CSV files: a row for each box, or for each image with its points.

Boxes have the columns path, label, x0, y0, x1 and y1; points `nose_x`, `nose_y` and so on (or `nose.x`, `x_nose`),
`nose_visible` where it is known, or the file in the first column and x0, y0, x1, y1, ... or 0, 1, 2, ... in the others.
Pixels as everywhere: the first has its centre at (0.5, 0.5). A column `split` names the part; of several files each is
a part by its name.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.data.dataset import BadFile, Dataset
from fovea.data.labels import part_named, part_of
from fovea.data.sources.annotations.assembly import Sample
from fovea.data.sources.annotations.boxes import Box, Boxed, boxes_dataset
from fovea.data.sources.annotations.points import points_dataset
from fovea.data.sources.manifests import Columns, Listed, header_of, read_listed
from fovea.errors import DataError, shortened
from fovea.files import is_file
from fovea.texts import composed, natural_key

SIDES = ("x0", "y0", "x1", "y1")
SCORE = "score"
"""The column of lists that `fovea predict` writes."""
VISIBLE = ("visible", "visibility", "v")
MOST_POINTS = 2000
_BEHIND = re.compile(rf"(?P<point>.+)[_ .-](?P<what>x|y|{'|'.join(VISIBLE)})", re.IGNORECASE)
_BEFORE = re.compile(r"(?P<what>[xy])[_ .-](?P<point>.+)", re.IGNORECASE)


class PointColumns(NamedTuple):
    """Where the points of a CSV file stand."""

    path: str
    names: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    """x and y of each point, and its visibility where there is a column for it."""


def holds_boxes(file: Path, columns: Columns) -> bool:
    """Tell whether a CSV file has the columns of boxes."""
    return {columns.path, columns.label, *SIDES} <= set(header_of(file))


def holds_nothing_else(file: Path, columns: Columns) -> bool:
    """Tell whether a CSV file has the columns of boxes, and at the most a split and scores beside them."""
    return holds_boxes(file, columns) and set(header_of(file)) <= {*columns, *SIDES, SCORE}


def load_box_lists(
    files: Sequence[Path], *, columns: Columns, known: Sequence[str] = (), within: Path | None = None
) -> Dataset:
    """Return the images with boxes that CSV files list, all `within` a folder; a row without numbers is an empty image.

    Raises: DataError for a missing column and for a number that is none.
    """
    images: dict[str, Boxed] = {}
    bad: dict[str, BadFile] = {}
    notes: list[str] = []
    for file in files:
        found = read_listed(file, columns, labels=(columns.label, *SIDES), within=within, many=len(files) > 1)
        notes += found.notes
        for number, row in enumerate(found.rows):
            where, name = f"`{file}`, line {row.line}", found.names[number]
            if reason := _missing(found, number):
                bad[name] = BadFile(shortened(name, most=200), f"{reason} (line {row.line} of {file.name})")
                continue
            image = images.setdefault(name, Boxed(part_of(row.split, where=where), name, found.paths[number], []))
            if any(row.label[1:]):
                image.boxes.append(_box(row.label, where))  # type: ignore[attr-defined]
    if not images:
        raise DataError(f"`{files[0]}` lists no usable image{_first_of(bad)}.")
    return boxes_dataset([*images.values()], name=_name(files), known=known, notes=notes, bad=[*bad.values()])


def _box(cells: Sequence[str], where: str) -> Box:
    label, *sides = cells
    if not composed(label):
        raise DataError(f"{where}: a box without a label.")
    x0, y0, x1, y1 = (_number(text, f"{where}: `{side}`") for text, side in zip(sides, SIDES, strict=True))
    return Box(composed(label), x0, y0, x1, y1)


def points_in(file: Path, columns: Columns) -> PointColumns | None:
    """Return where the points of a CSV file stand; None if its columns are of no points."""
    header = header_of(file)
    if columns.label in header:  # of classes, or boxes
        return None
    path = columns.path if columns.path in header else header[0] if header else ""
    rest = [name for name in header if name not in (path, columns.split)]
    numbered = _numbered(rest)
    if numbered is not None:
        pairs = tuple(zip(numbered[::2], numbered[1::2], strict=True))
        return PointColumns(path, tuple(map(str, range(len(pairs)))), pairs)
    own = _named(rest)
    return PointColumns(path, tuple(own), tuple(own.values())) if 0 < len(own) <= MOST_POINTS else None


def _named(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the columns of each point: `nose_x` and `nose_y`, also written `nose.x`, `nose X` or `x_nose`."""
    columns: dict[str, dict[str, str]] = {}
    for name in names:
        if match := _BEHIND.fullmatch(name) or _BEFORE.fullmatch(name):
            columns.setdefault(match["point"], {}).setdefault(match["what"].lower(), name)
    return {
        point: (own["x"], own["y"], *[own[mark] for mark in VISIBLE if mark in own][:1])
        for point, own in columns.items()
        if {"x", "y"} <= own.keys()
    }


def _numbered(names: Sequence[str]) -> list[str] | None:
    """Return the columns 0, 1, 2, ... or x0, y0, x1, y1, ... in this order; None if they are others."""
    if not names or len(names) % 2 or len(names) > 2 * MOST_POINTS:
        return None
    ordered = sorted(names, key=natural_key)
    if ordered == [str(number) for number in range(len(names))]:
        return ordered
    pairs = [f"{axis}{number}" for number in range(len(names) // 2) for axis in "xy"]
    first = 0 if "x0" in names else 1
    pairs = pairs if first == 0 else [re.sub(r"\d+", lambda found: str(int(found[0]) + 1), name) for name in pairs]
    return pairs if set(pairs) == set(names) else None


def load_point_lists(files: Sequence[Path], *, columns: Columns, within: Path | None = None) -> Dataset:
    """Return the images with points that CSV files list, a row each, all `within` a folder.

    Empty cells are a point that is not labelled.

    Raises: DataError for columns that are of no points, files whose points differ, and a number that is none.
    """
    samples: dict[str, Sample] = {}
    bad: dict[str, BadFile] = {}
    notes: list[str] = []
    names: tuple[str, ...] = ()
    for file in files:
        where_points = points_in(file, columns)
        if where_points is None or (names and where_points.names != names):
            raise DataError(
                f"`{file}` has no points{' of the same names' if names else ''}: expected the columns "
                f"`{columns.path}`, and `nose_x`, `nose_y` and so on, or numbers."
            )
        names = where_points.names
        flat = [column for each in where_points.columns for column in each]
        own = columns._replace(path=where_points.path)
        found = read_listed(file, own, labels=flat, within=within, many=len(files) > 1 and bool(part_named(file.name)))
        notes += found.notes
        for number, row in enumerate(found.rows):
            where, name = f"`{file}`, line {row.line}", found.names[number]
            if reason := _missing(found, number):
                bad[name] = BadFile(shortened(name, most=200), f"{reason} (line {row.line} of {file.name})")
                continue
            if name in samples:
                raise DataError(f"{where}: `{name}` is listed twice; each image may have the points of one object.")
            points = _points(row.label, where_points, where)
            samples[name] = Sample(part_of(row.split, where=where), name, found.paths[number], points)
    if not samples:
        raise DataError(f"`{files[0]}` lists no usable image{_first_of(bad)}.")
    return points_dataset([*samples.values()], name=_name(files), names=names, notes=notes, bad=[*bad.values()])


def _points(cells: Sequence[str], columns: PointColumns, where: str) -> NDArray[np.float32]:
    points, texts = [], iter(cells)
    for own in columns.columns:
        x, y, *seen = (next(texts) for _ in own)
        if not x and not y:
            points.append((0.0, 0.0, 0.0))
            continue
        visible = _number(seen[0], f"{where}: `{own[2]}`") if seen and seen[0] else 2.0
        if visible not in (0, 1, 2):
            raise DataError(f"{where}: `{own[2]}` (={seen[0]}) must be 0 (not labelled), 1 (hidden) or 2 (visible).")
        place = _number(x, f"{where}: `{own[0]}`"), _number(y, f"{where}: `{own[1]}`")
        points.append((*place, visible) if visible else (0.0, 0.0, 0.0))
    return np.array(points, np.float32)


def _missing(found: Listed, number: int) -> str:
    row = found.rows[number]
    if row.cut:
        return "more cells than the header; put cells that contain commas in quotes"
    return found.places.missing(found.paths[number], row.path)


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) < 1e6:
        raise DataError(f"{where} (={shortened(text)}) must be a number, in pixels of the image.")
    return value


def _name(files: Sequence[Path]) -> str:
    return files[0].stem if len(files) == 1 else files[0].resolve().parent.name


def _first_of(bad: dict[str, BadFile]) -> str:
    first = next(iter(bad.values()), None)
    return f"; the first, `{first.name}`: {first.reason}" if first else ""


def lists_at(path: Path) -> list[Path]:
    """Return the CSV file at `path`, or those right in a folder."""
    if path.is_file():
        return [path] if path.suffix.lower() == ".csv" else []
    return [file for file in sorted(path.iterdir()) if file.suffix.lower() == ".csv" and is_file(file)]
