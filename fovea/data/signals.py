"""Signals in CSV files: values at equal steps, one per row, with or without a column of times."""

import csv
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.errors import DataError
from fovea.files import check_regular
from fovea.reference.filters import MAX_VALUE

MAX_FILE_BYTES = 50_000_000
MAX_SAMPLES = 1_000_000


class Signal(NamedTuple):
    """Values (N,) float64 at the times `start`, `start + step`, ..., and what the columns are called."""

    values: NDArray[np.float64]
    start: float = 0.0
    step: float = 1.0
    time_name: str = "sample"
    value_name: str = "value"

    def slid(self, values: NDArray[np.float64], *, width: int, before: int, stride: int) -> "Signal":
        """Return what a window of `width` samples made of this signal after `before` samples of padding.

        Of `values` (M,) float64 each stands at the time of the window's middle.
        """
        first = (width - 1) / 2 - before
        return self._replace(values=values, start=self.start + first * self.step, step=stride * self.step)


def read_signal(file: Path) -> Signal:
    """Return the signal in a CSV file of one column (values) or two (times, values), with or without a header.

    Raises: DataError if a cell is no number of at most `MAX_VALUE`, the times are not equally far apart, or the file
    cannot be read, holds nothing, or more than `MAX_SAMPLES` rows.
    """
    rows = _rows(file)
    # a first row without any number is the header
    header = rows.pop(0)[1] if rows and not any(map(_is_number, rows[0][1])) else []
    if not rows:
        raise DataError(f"`{file}` contains no numbers; write one value per row, or time and value.")
    if len(rows) > MAX_SAMPLES:
        raise DataError(f"`{file}` has more than {MAX_SAMPLES:,} rows, the limit for a signal.")
    columns = len(rows[0][1])
    if columns > 2:
        raise DataError(f"`{file}` has {columns} columns; a signal must have one (values) or two (times, values).")
    numbers = np.array([_numbers(file, line, cells, columns) for line, cells in rows])
    names = [name.strip()[:60] for name in header] if len(header) == columns else []
    if columns == 1:
        return Signal(numbers[:, 0], value_name=names[0] if names else "value")
    time_name, value_name = names or ("time", "value")
    start, step = _times(file, numbers[:, 0])
    return Signal(numbers[:, 1], start, step, time_name, value_name)


def _rows(file: Path) -> list[tuple[int, list[str]]]:
    """Return the lines that are not empty, with their numbers, counted from 1; the first are enough of too many."""
    check_regular(file)
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise DataError(f"`{file}` has more than {MAX_FILE_BYTES:,} bytes, the limit for a signal.")
        # -sig: spreadsheets begin a file with a mark that would become part of the first cell
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream)
            filled = ((reader.line_num, cells) for cells in reader if any(map(str.strip, cells)))
            return list(islice(filled, MAX_SAMPLES + 2))
    except OSError as error:
        raise DataError(f"`{file}` cannot be read: {error.strerror or error}.") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"`{file}` is not a CSV file in UTF-8: {error}.") from error


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _numbers(file: Path, line: int, cells: list[str], columns: int) -> list[float]:
    if len(cells) != columns:
        raise DataError(f"`{file}`, line {line}: {len(cells)} cells, but the first row has {columns}.")
    for cell in cells:
        # `nan` is a number to float(); a comparison with it is false, so it is refused here
        if not (_is_number(cell) and abs(float(cell)) <= MAX_VALUE):
            raise DataError(
                f"`{file}`, line {line}: `{cell[:40]}` is not a number from -{MAX_VALUE:g} to {MAX_VALUE:g}."
            )
    return [float(cell) for cell in cells]


def _times(file: Path, times: NDArray[np.float64]) -> tuple[float, float]:
    """Return the first time and the step."""
    if len(times) == 1:
        return float(times[0]), 1.0
    step = float(times[-1] - times[0]) / (len(times) - 1)
    # a thousandth of a step, as times are written with few digits
    if step <= 0 or np.abs(np.diff(times) - step).max() > 1e-3 * step:
        raise DataError(f"`{file}`: the times must increase in equal steps; resample the signal, or remove the times.")
    return float(times[0]), step
