"""Files of many series: `.ts`, the UCR archive's `.tsv`, `.arff` of one dimension, and CSV with a series in each row.

`.ts`: Bagnall et al. 2018, arXiv:1811.00075, as the UEA archive has it: dimensions between colons, values between
commas, `?` for one that is missing, the label last. `.tsv`: Dau et al. 2018, arXiv:1810.07758: the label first; series
that are shorter end with NaN. What comes back is (N, T, C) float32, NaN after the end of those that are shorter.
"""

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.budget import TABLE
from fovea.errors import DataError, StorageError, shortened
from fovea.files import open_text
from fovea.inputs.tables import number

Values = NDArray[np.float32]


class Table(NamedTuple):
    """The series of one file, and what stands as the label of each; no labels where the file has none."""

    values: Values
    """(N, T, C) float32, NaN after the end of a series."""
    labels: list[str]
    parts: list[str]
    """The contents of a column of splits; empty if there is none."""


class _Series(NamedTuple):
    channels: list[list[float]]
    label: str
    part: str = ""


def read_series_file(file: Path, *, label_column: str = "label", split_column: str = "split") -> Table:
    """Return the series of a file by its suffix. Raises: DataError for what is none, with the line."""
    reader = _READERS[file.suffix.lower()]
    try:
        with open_text(file, encoding="utf-8-sig") as stream:
            found = list(reader(stream, file, label_column, split_column))
    except (OSError, StorageError) as error:
        raise DataError(f"`{file}` cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    except UnicodeError as error:
        raise DataError(f"`{file}` is not UTF-8 text.") from error
    if not found:
        raise DataError(f"`{file}` contains no series.")
    return _stacked(found, file)


def _stacked(found: Sequence[_Series], file: Path) -> Table:
    """Return series of different lengths as one array."""
    C = len(found[0].channels)
    for index, series in enumerate(found):
        if len(series.channels) != C:
            raise DataError(f"`{file}`: series {index} has {len(series.channels)} channels, but the first has {C}.")
    T = max(max(map(len, series.channels)) for series in found)
    if excess := TABLE.excess(4 * len(found) * T * C):
        raise DataError(f"`{file}`: its series would need {excess}.")
    values = np.full((len(found), T, C), np.nan, np.float32)
    for index, series in enumerate(found):
        for channel, column in enumerate(series.channels):
            values[index, : len(column), channel] = column
    labels = [series.label for series in found]
    return Table(values, labels if any(labels) else [], [series.part for series in found])


def _numbers(cells: Iterable[str], where: str) -> list[float]:
    try:
        return [number(cell) for cell in cells]
    except ValueError as error:
        raise DataError(f"{where}: {shortened(str(error), most=80)}.") from error


def _ts(stream: Iterable[str], file: Path, *_: str) -> Iterator[_Series]:
    """Yield the series of a `.ts` file."""
    labelled, begun = False, False
    for line, text in enumerate(map(str.strip, stream), 1):
        if not text or text.startswith(("#", "%")):
            continue
        if not begun:
            word, *rest = text.lower().split()
            if word == "@timestamps" and rest[:1] == ["true"]:
                raise DataError(f"`{file}` has time stamps (line {line}); only values at equal steps are supported.")
            if word == "@classlabel":
                labelled = rest[:1] == ["true"]
            begun = word == "@data"
            continue
        pieces = text.split(":")
        label = pieces.pop().strip() if labelled else ""
        where = f"`{file}`, line {line}"
        yield _Series([_numbers(piece.split(","), where) for piece in pieces], label)
    if not begun:
        raise DataError(f"`{file}` has no line `@data`, which starts the series of a .ts file.")


def _tsv(stream: Iterable[str], file: Path, *_: str) -> Iterator[_Series]:
    """Yield the series of a file of the UCR archive: label first, then values between tabs."""
    for line, text in enumerate(stream, 1):
        if text.strip():
            label, *cells = text.strip("\r\n").split("\t")
            yield _Series([_ended(_numbers(cells, f"`{file}`, line {line}"))], _class_text(label))


def _arff(stream: Iterable[str], file: Path, *_: str) -> Iterator[_Series]:
    """Yield the series of an `.arff` file of one dimension: values between commas, the label last."""
    begun = False
    for line, text in enumerate(map(str.strip, stream), 1):
        if not text or text.startswith("%"):
            continue
        if not begun:
            if "relational" in text.lower().split()[2:]:
                raise DataError(f"`{file}` has series of several dimensions (line {line}); give the .ts file instead.")
            begun = text.lower() == "@data"
            continue
        *cells, label = text.split(",")
        yield _Series([_ended(_numbers(cells, f"`{file}`, line {line}"))], label.strip(" '\""))
    if not begun:
        raise DataError(f"`{file}` has no line `@data`, which starts the series of an .arff file.")


def _wide(stream: Iterable[str], file: Path, label_column: str, split_column: str) -> Iterator[_Series]:
    """Yield the series of a CSV file with a header, one in each row; values in the order of the columns."""
    try:
        rows = csv.reader(stream)
        header = [name.strip() for name in next(rows, [])]
        first = [] if _named(header) else [header]
        own = [index for index, name in enumerate(header) if name not in (label_column, split_column)]
        label, part = (header.index(name) if name in header else None for name in (label_column, split_column))
        for cells in chain(first, rows):
            if not any(cell.strip() for cell in cells):
                continue
            where = f"`{file}`, line {rows.line_num}"
            if len(cells) != len(header):
                raise DataError(f"{where}: {len(cells)} cells, but the header has {len(header)}.")
            values = _ended(_numbers((cells[index] for index in own), where))
            texts = ("" if index is None else cells[index].strip() for index in (label, part))
            yield _Series([values], *texts)
    except csv.Error as error:
        raise DataError(f"`{file}` is not a CSV file: {shortened(str(error), most=100)}.") from error


def _named(header: list[str]) -> bool:
    """Tell whether the first line of a CSV file names its columns: not all of it is numbers."""
    try:
        return not [number(cell) for cell in header]
    except ValueError:
        return True


def _ended(values: list[float]) -> list[float]:
    """Return the values up to the last that is known."""
    last = next((index for index in range(len(values) - 1, -1, -1) if values[index] == values[index]), -1)
    return values[: last + 1]


def _class_text(label: str) -> str:
    """Return a label of the UCR archive: whole numbers without the fraction that some files have."""
    text = label.strip()
    try:
        value = float(text)
    except ValueError:
        return text
    return str(int(value)) if math.isfinite(value) and value == int(value) else text


_READERS: Mapping[str, Callable[..., Iterator[_Series]]] = MappingProxyType(
    {".ts": _ts, ".tsv": _tsv, ".arff": _arff, ".csv": _wide}
)
