"""Series in text files, one series each: rows of numbers between commas, bounded in bytes.

What comes back is (T, C) float32, NaN where a cell is empty or says so.
"""

import csv
import io
from itertools import chain, islice
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from fovea.errors import ImageError, StorageError, shortened
from fovea.files import open_text

MAX_FILE_BYTES = 50_000_000
MAX_VALUES = 10_000_000
TIMES = ("time", "times", "t", "timestamp", "step", "index")
"""Names of a first column that counts steps and is not a channel."""
UNKNOWN = ("", "?", "nan", "na", "n/a", "null", "none")
"""What stands for a value that is missing, in any case."""
HEAD_LINES = 2
ENCODING = "utf-8-sig"

Values = NDArray[np.float32]


def number(cell: str) -> float:
    """Return the number that a cell holds, NaN where it is missing; ValueError for anything else."""
    text = cell.strip()
    return float("nan") if text.lower() in UNKNOWN else float(text)


def read_table(source: Path | bytes) -> Values:
    """Return the series in a CSV file, or in its bytes, (T, C) float32: a row for each step, a column per channel.

    A first line that is no numbers names the columns. A first column called as in `TIMES` counts steps and is left out.

    Raises:
        ImageError: it cannot be read, is too large, or holds something else than rows of as many numbers; the reason
            names a path.
    """
    where = "" if isinstance(source, bytes) else f"`{source}`: "
    try:
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ImageError(f"{where}{size:,} bytes; the limit is {MAX_FILE_BYTES:,}")
        with _opened(source) as stream:
            return _read(stream, where)
    except (OSError, StorageError) as error:
        raise ImageError(f"{where}{getattr(error, 'strerror', None) or 'it cannot be read'}") from error
    except (csv.Error, UnicodeError, ValueError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"{where}this is not a CSV file of numbers: {shortened(str(error), most=100)}") from error


def _opened(source: Path | bytes) -> TextIO:
    if isinstance(source, bytes):
        return io.TextIOWrapper(io.BytesIO(source), encoding=ENCODING, newline="")
    return open_text(source, encoding=ENCODING)


def _read(stream: TextIO, where: str) -> Values:
    rows = (row for row in csv.reader(stream) if any(cell.strip() for cell in row))
    head = next(rows, [])
    named = not _is_numbers(head)
    skipped = 1 if named and head and head[0].strip().lower() in TIMES and len(head) > 1 else 0
    width = len(head) - skipped
    if width < 1:
        raise ImageError(f"{where}it contains no numbers")
    values: list[list[float]] = []
    for line, row in enumerate(rows if named else chain([head], rows), 2 if named else 1):
        if len(row) - skipped != width:
            raise ImageError(f"{where}row {line} has {len(row)} cells, but the first has {len(head)}")
        if len(values) * width > MAX_VALUES:
            raise ImageError(f"{where}more than {MAX_VALUES:,} values")
        values.append([number(cell) for cell in row[skipped:]])
    if not values:
        raise ImageError(f"{where}it contains no numbers")
    return np.array(values, np.float32)


def _is_numbers(row: list[str]) -> bool:
    try:
        return bool([number(cell) for cell in row])
    except ValueError:
        return False


def head_of(path: Path) -> list[list[str]]:
    """Return the cells of the first lines of a CSV file; nothing of what cannot be read."""
    try:
        with open_text(path, encoding=ENCODING) as stream:
            return list(islice(csv.reader(stream), HEAD_LINES))
    except (OSError, StorageError, csv.Error, UnicodeError):
        return []
