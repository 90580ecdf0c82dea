"""Images listed in a CSV file: a path and a label per row, and optionally the part it belongs to."""

import csv
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from fovea import tasks
from fovea.data.dataset import BadFile, Dataset
from fovea.data.labels import part_of
from fovea.data.sources.folders import Record, dataset_of, is_ignored, subfolders
from fovea.errors import DataError
from fovea.files import no_file, open_text
from fovea.tasks.wording import PLAIN, Wording, Written


class Columns(NamedTuple):
    """The names of the columns; `split` may be absent from the file while it has its default name."""

    path: str = "path"
    label: str = "label"
    split: str = "split"


DEFAULT_COLUMNS = Columns()
SEPARATORS = {";": "semicolons", "\t": "tabs"}
"""What other programs write between columns."""
COLUMN_OPTIONS = "`--path-column`, `--label-column`, `--split-column`"
LABEL_COLUMNS = "`--label-columns`"


class Row(NamedTuple):
    """One line of the file, its number counted from 1 (the header)."""

    line: int
    path: str
    label: Written
    split: str


def load_manifest(
    file: Path, *, columns: Columns = DEFAULT_COLUMNS, task: str = "classes", wording: Wording = PLAIN
) -> Dataset:
    """Return the images listed in the CSV file; relative paths start at its folder, or at the only one in it.

    A row whose file is missing, or whose label says nothing, is left out and named in `bad_files`.

    Raises: DataError for a file that is no CSV, a missing column, an unknown split name, or no usable row at all.
    """
    rows = _rows(file, columns, labels=wording.columns)
    folder = _base(file, rows)
    names = _names([folder / row.path for row in rows], file.parent)
    kind = tasks.kind(task)
    # `names` are found before rows are left out, so that `read_column` finds the same
    records: list[Record] = []
    bad: list[BadFile] = []
    for row, name in zip(rows, names, strict=True):
        path = folder / row.path
        missing = kind.is_missing(row.label, wording)
        reason = no_file(path) or ("no label" if missing else "")
        if reason:
            bad.append(BadFile(name, f"{reason} (line {row.line} of {file.name})"))
        else:
            part = part_of(row.split, where=f"`{file}`, line {row.line}")
            records.append(Record(part, name, row.label, path, path.stat().st_size))
    if not records:
        raise _nothing_usable(file, rows, bad)
    dataset = dataset_of(records, name=file.stem, task=task, classes=frozenset(), wording=wording)
    return replace(dataset, bad_files=tuple(bad))


def read_column(file: Path, column: str, *, columns: Columns = DEFAULT_COLUMNS) -> dict[str, str]:
    """Return what stands in any `column` for each image listed, by the name it has in the data set.

    Of an image listed twice the last row counts. Raises: DataError for a file that is no CSV, or a missing column.
    """
    rows = _rows(file, columns._replace(label=column), options="`--slice`")
    folder = _base(file, rows)
    names = _names([folder / row.path for row in rows], file.parent)
    return {name: str(row.label) for name, row in zip(names, rows, strict=True)}


def manifest_in(folder: Path) -> Path | None:
    """Return the CSV file that lists the images of a folder: the only one, where no sub-folders stand for classes."""
    files = [path for path in sorted(folder.iterdir()) if path.suffix.lower() == ".csv" and not is_ignored(path.name)]
    tops = subfolders(folder)
    sorted_by_class = len(tops) > 1 or any(subfolders(folder / top) for top in tops)
    return files[0] if len(files) == 1 and not sorted_by_class else None


def _base(file: Path, rows: Sequence[Row]) -> Path:
    """Return where relative paths start: at the folder of the manifest, or where they lie in its only folder there."""
    inside = subfolders(file.parent)
    if len(inside) != 1 or any((file.parent / row.path).is_file() for row in rows):
        return file.parent
    return file.parent / inside[0]


def _nothing_usable(file: Path, rows: Sequence[Row], bad: Sequence[BadFile]) -> DataError:
    if not rows:
        return DataError(f"`{file}` has no row below its header; list one image per row.")
    tried = f"the first, `{file.parent / rows[0].path}`: {bad[0].reason}"
    way_out = "Paths start at the folder of the manifest, or at the only folder in it."
    for name in subfolders(file.parent):
        if (file.parent / name / rows[0].path).is_file():
            way_out += f" It is in `{name}`: write `{name}/{rows[0].path}`, or move the manifest there."
    return DataError(f"`{file}` lists no image that can be used; {tried}. {way_out}")


def _rows(file: Path, columns: Columns, *, labels: Sequence[str] = (), options: str = COLUMN_OPTIONS) -> list[Row]:
    """Return the lines of the file, each with what stands in the label column, or in the columns of several labels."""
    try:
        # -sig: spreadsheets begin a file with a mark that would become part of the first column's name
        with open_text(file, encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            header = reader.fieldnames or ()
            wanted = [columns.path, *([] if labels else [columns.label])]
            if columns.split in header or columns.split != DEFAULT_COLUMNS.split:
                wanted.append(columns.split)
            require_columns(wanted, header, file, options=options)
            require_columns(labels, header, file, options=LABEL_COLUMNS)
            return [_row(reader.line_num, row, columns, labels) for row in reader]
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"`{file}` is not a CSV file in UTF-8: {error}.") from error


def _row(line: int, cells: dict[str, str | None], columns: Columns, labels: Sequence[str]) -> Row:
    # None stands in the cells that a short row lacks
    path, label, split = ((cells.get(column) or "").strip() for column in columns)
    several = tuple((cells[column] or "").strip() for column in labels)
    return Row(line, path, several if labels else label, split if columns.split in cells else "train")


def require_columns(wanted: Sequence[str], header: Sequence[str], file: Path, *, options: str = COLUMN_OPTIONS) -> None:
    """Raise DataError where a column is missing; it lists those there are, and the options that choose."""
    missing = [column for column in wanted if column not in header]
    if missing:
        other = next((name for mark, name in SEPARATORS.items() if len(header) == 1 and mark in header[0]), None)
        way_out = f"Choose with {options}." if other is None else f"Separate columns by commas, not {other}."
        raise DataError(
            f"`{file}` has no column `{missing[0]}`; it has {', '.join(f'`{column}`' for column in header) or 'none'}. "
            f"{way_out}"
        )


def _names(paths: Sequence[Path], folder: Path) -> list[str]:
    """Return POSIX names relative to the folder; outside of it, to what the files there have in common."""
    # abspath and not resolve: links keep the names they are listed under
    absolute = [Path(os.path.abspath(path)) for path in paths]
    base = Path(os.path.abspath(folder))
    outside = [path.parent for path in absolute if not path.is_relative_to(base)]
    common = Path(os.path.commonpath(outside)) if outside else base
    return [path.relative_to(base if path.is_relative_to(base) else common).as_posix() for path in absolute]
