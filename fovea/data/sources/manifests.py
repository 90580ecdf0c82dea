"""Samples listed in a CSV file: a path and a label per row, and optionally the part it belongs to."""

import codecs
import csv
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from fovea import inputs, tasks
from fovea.data.dataset import BadFile, Dataset
from fovea.data.labels import PART_NAMES, part_named, part_of
from fovea.data.sources.folders import Record, dataset_of, is_ignored, subfolders
from fovea.data.sources.places import Places
from fovea.errors import DataError, readable, shortened
from fovea.files import is_file, is_folder, open_regular, open_text
from fovea.inputs.interface import InputKind
from fovea.tasks.wording import PLAIN, Wording, Written
from fovea.texts import composed


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
MOST = 20
"""Columns that a message names."""
TRIED = 100
"""Rows that tell where paths start."""


class Row(NamedTuple):
    """One line of the file, its number counted from 1 (the header)."""

    line: int
    path: str
    label: Written
    split: str
    cut: bool = False
    """Whether it has more cells than the header."""


class Listed(NamedTuple):
    """What a manifest lists: rows, their files (there or not), the names of these, and what is to be said of it."""

    rows: list[Row]
    paths: list[Path]
    names: list[str]
    places: Places
    notes: list[str]


def load_manifest(
    file: Path,
    *further: Path,
    columns: Columns = DEFAULT_COLUMNS,
    task: str = "classes",
    wording: Wording = PLAIN,
    within: Path | None = None,
    input: str | None = None,
) -> Dataset:
    """Return the samples listed in the CSV files; relative paths start at their folder, or at the only one in it.

    They are of the kind `input`; where none is named, of that which the first paths tell by suffix or as folders.

    Each has a header of its own. Of several without a column of splits, each holds the part that its name tells. A row
    whose file is missing, or whose label says nothing, is left out and named in `bad_files`; so is one whose file is
    not `within` a folder. `Places` says which paths are understood.

    Raises: DataError for a file that is no CSV, a missing column, an unknown split name, or no usable row at all.
    """
    records: list[Record] = []
    bad: list[BadFile] = []
    notes: list[str] = []
    seen = inputs.kind(input) if input is not None else _kind_listed(file, columns)
    for each in (file, *further):
        found = read_listed(each, columns, labels=wording.columns, within=within, many=bool(further), seen=seen)
        good, faulty = _sorted_out(each, found, task=task, wording=wording)
        if not good:
            raise _nothing_usable(each, found.rows, faulty, seen)
        records, bad, notes = records + good, bad + faulty, notes + found.notes
    given = {"task": task, "classes": frozenset[str](), "wording": wording, "input": seen.name}
    dataset = dataset_of(records, name=file.stem, **given)  # type: ignore[arg-type]
    return replace(dataset, bad_files=tuple(bad), notes=(*dataset.notes, *notes))


def read_column(file: Path, column: str, *, columns: Columns = DEFAULT_COLUMNS) -> dict[str, str]:
    """Return the contents of any `column` for each image listed, by the name it has in the data set.

    Of an image listed twice the last row counts. Raises: DataError for a file that is no CSV, or a missing column.
    """
    seen = _kind_listed(file, columns)
    found = read_listed(file, columns._replace(label=composed(column)), options="`--slice`", seen=seen)
    return {name: composed(str(row.label)) for name, row in zip(found.names, found.rows, strict=True)}


def header_of(file: Path) -> list[str]:
    """Return the names of the columns. Raises: DataError for a file that is no CSV."""
    with open_table(file) as reader:
        return list(reader.fieldnames or ())


class Cells(NamedTuple):
    """The contents of some columns of a row."""

    line: int
    path: str
    """As it is written."""
    name: str
    """Of the image in its data set."""
    texts: tuple[str, ...]
    file: Path
    """Where that is, there or not."""


def read_cells(file: Path, wanted: Sequence[str], *, columns: Columns = DEFAULT_COLUMNS) -> list[Cells]:
    """Return the contents of the columns `wanted`, row by row.

    Raises: DataError for a file that is no CSV, a missing column, and a row of more cells than the header.
    """
    found = read_listed(file, columns, labels=wanted, options="`--path-column`")
    if cut := next((row for row in found.rows if row.cut), None):
        raise DataError(
            f"`{file}`, line {cut.line}: more cells than the header; put cells that contain commas in quotes."
        )
    return [
        Cells(row.line, row.path, name, tuple(row.label), file)
        for row, name, file in zip(found.rows, found.names, found.paths, strict=True)
    ]


def load_listed(
    file: Path, *, columns: Columns = DEFAULT_COLUMNS, input: str | None = None
) -> tuple[Dataset, frozenset[str]]:
    """Return the samples that a CSV file lists as one part, `train`, and the names of those that have a label there.

    The data set itself has no labels; the file may have no column for them. A sample that is listed twice counts once.

    Raises: DataError for a file that is no CSV, a missing column, or no row whose file is there.
    """
    seen = inputs.kind(input) if input is not None else _kind_listed(file, columns)
    labels = [columns.label if columns.label in header_of(file) else columns.path]
    found = read_listed(file, columns, labels=labels, options="`--path-column`", seen=seen)
    records: dict[str, Record] = {}
    labelled, bad = set[str](), list[BadFile]()
    for row, path, name in zip(found.rows, found.paths, found.names, strict=True):
        if reason := found.places.missing(path, row.path):
            bad.append(BadFile(shortened(name, most=200), f"{reason} (line {row.line} of {file.name})"))
        else:
            records[name] = Record("train", name, "", path, _bytes(path))
            if labels != [columns.path] and row.label[0]:
                labelled.add(readable(name))
    if not records:
        raise _nothing_usable(file, found.rows, bad, seen)
    dataset = dataset_of(list(records.values()), name=file.stem, task="classes", classes=frozenset(), input=seen.name)
    return replace(dataset, bad_files=tuple(bad), notes=tuple(found.notes)), frozenset(labelled)


def manifests_in(folder: Path) -> list[Path]:
    """Return the CSV files that list the images of a folder, where no sub-folders stand for classes.

    It is the only one, or all where each is called by a part, as `train.csv` and `test.csv`.
    """
    files = [path for path in sorted(folder.iterdir()) if path.suffix.lower() == ".csv" and not is_ignored(path.name)]
    parts = [part_named(file.name) for file in files]
    if not files or (len(files) > 1 and not (all(parts) and len(set(parts)) == len(parts))):
        return []
    tops = subfolders(folder)
    classes = [top for top in tops if top.lower() not in PART_NAMES]
    # `train` and `test` beside a list hold images, unless there are class folders in them
    sorted_by_class = len(classes) > 1 or any(subfolders(folder / top) for top in tops)
    return [] if sorted_by_class else files


def read_listed(
    file: Path,
    columns: Columns,
    *,
    labels: Sequence[str] = (),
    options: str = COLUMN_OPTIONS,
    within: Path | None = None,
    many: bool = False,
    seen: InputKind | None = None,
) -> Listed:
    """Return what a manifest lists; of `many` each holds a part, unless a column says otherwise."""
    rows, blank = _rows(file, columns, labels=labels, options=options, part=part_named(file.name) if many else "train")
    of_folders = seen is not None and seen.of_folders
    places = Places(_base(file, rows, of_folders=of_folders), within=within, of_folders=of_folders)
    paths = [places.find(row.path) for row in rows]
    # names are found before rows are left out, so that `read_column` finds the same
    names = _names(paths, file.parent)
    between = [f"{blank:,} blank rows between others in {file.name} were skipped"] if blank else []
    return Listed(rows, paths, names, places, [*between, *places.notes(file)])


def _kind_listed(file: Path, columns: Columns) -> InputKind:
    """Return the kind of input that the first paths of a manifest tell, by suffix or as folders; images by default."""
    with open_table(file) as reader:
        written = [(cells.get(columns.path) or "").strip() for cells in islice(reader, TRIED)]
    kinds = inputs.kinds().values()
    for path in map(PurePosixPath, written):
        by_suffix = (kind for kind in kinds if path.suffix.lower() in kind.suffixes and not kind.of_folders)
        if found := next(by_suffix, None):
            return found
        if not path.suffix and is_folder(file.parent / path):
            return next((kind for kind in kinds if kind.of_folders), inputs.kind("images"))
    return inputs.kind("images")


def _sorted_out(file: Path, found: Listed, *, task: str, wording: Wording) -> tuple[list[Record], list[BadFile]]:
    """Return the rows that can be used, and the others with the reason."""
    kind = tasks.kind(task)
    records: list[Record] = []
    bad: list[BadFile] = []
    for row, path, name in zip(found.rows, found.paths, found.names, strict=True):
        reason = found.places.missing(path, row.path)
        if row.cut:
            reason = "more cells than the header; put cells that contain commas in quotes"
        if not reason and kind.is_missing(row.label, wording):
            reason = "no label"
        if reason:
            bad.append(BadFile(shortened(name, most=200), f"{reason} (line {row.line} of {file.name})"))
        else:
            part = part_of(row.split, where=f"`{file}`, line {row.line}")
            records.append(Record(part, name, row.label, path, _bytes(path)))
    return records, bad


def _bytes(path: Path) -> int:
    """Return the size of a file, or of the files in a folder."""
    files = filter(Path.is_file, path.iterdir()) if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)


def _base(file: Path, rows: Sequence[Row], *, of_folders: bool) -> Path:
    """Return where relative paths start: at the folder of the manifest, or where they lie in a folder there.

    That is the only one, or of several that of the part that the manifest is called by, as `train` of `train.csv`.
    """
    inside = subfolders(file.parent)
    if len(inside) > 1:
        inside = [name for name in inside if PART_NAMES.get(name.lower()) == part_named(file.name)]
    return (
        file.parent if len(inside) != 1 or _holds(file.parent, rows, of_folders=of_folders) else file.parent / inside[0]
    )


def _holds(folder: Path, rows: Sequence[Row], *, of_folders: bool) -> bool:
    """Tell whether a sample listed lies in the folder: as written, or of the first rows as it may be meant."""
    there = is_folder if of_folders else is_file
    places, relative = (
        Places(folder, of_folders=of_folders),
        [row.path for row in rows if not Path(row.path).is_absolute()],
    )
    return any(there(folder / path) for path in relative) or any(there(places.find(path)) for path in relative[:TRIED])


def _nothing_usable(file: Path, rows: Sequence[Row], bad: Sequence[BadFile], seen: InputKind) -> DataError:
    if not rows:
        return DataError(f"`{file}` has no row below its header; list one image per row.")
    tried = f"the first, `{file.parent}/{shortened(rows[0].path)}`: {bad[0].reason}"
    way_out = "Paths are relative to the folder of the manifest, or to the only folder in it."
    for name in subfolders(file.parent):
        if is_file(file.parent / name / rows[0].path):
            way_out += f" It is in `{name}`: write `{name}/{rows[0].path}`, or move the manifest there."
    return DataError(f"`{file}` lists no usable {seen.noun}; {tried}. {way_out}")


def _rows(file: Path, columns: Columns, *, labels: Sequence[str], options: str, part: str) -> tuple[list[Row], int]:
    """Return the lines of the file, each with what stands in the label column, or in the columns of several labels.

    Blank ones are left out, as spreadsheets write many at the end; how many lie before others is returned too. `part`
    is that of all rows where there is no column for it.
    """
    rows: list[Row] = []
    blank = pending = 0
    with open_table(file) as reader:
        header = list(reader.fieldnames or ())
        wanted = [columns.path, *([] if labels else [columns.label])]
        if columns.split in header or columns.split != DEFAULT_COLUMNS.split:
            wanted.append(columns.split)
        require_columns(wanted, header, file, options=options)
        require_columns(labels, header, file, options=LABEL_COLUMNS)
        for cells in reader:
            if not any(map(_filled, cells.values())):
                pending += 1
                continue
            rows.append(_row(reader.line_num, cells, columns, labels, part=part))
            blank, pending = blank + pending, 0
    return rows, blank


@contextmanager
def open_table(file: Path) -> Iterator["csv.DictReader[str]"]:
    """Open a CSV file, the names of its columns as names are compared; DataError if it turns out to be none."""
    try:
        with open_text(file, encoding=_encoding(file)) as stream:
            reader = csv.DictReader(stream)
            reader.fieldnames = [composed(name) for name in reader.fieldnames or ()]
            yield reader
    except (csv.Error, UnicodeError) as error:
        raise DataError(
            f"`{file}` is not a CSV file in UTF-8: {shortened(str(error), most=120)}. Save it as CSV in UTF-8."
        ) from error


def _encoding(file: Path) -> str:
    """Return the encoding that the first bytes of a file tell."""
    with open_regular(file) as stream:
        start = stream.read(2)
    # -sig: spreadsheets begin a file with a mark that would become part of the first column's name
    return "utf-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def _filled(cell: str | list[str] | None) -> bool:
    """Tell whether anything stands in a cell, or in those that the header has no name for."""
    return any(map(_filled, cell)) if isinstance(cell, list) else bool(cell and cell.strip())


def _row(line: int, cells: dict[str, str | None], columns: Columns, labels: Sequence[str], *, part: str) -> Row:
    # None stands in the cells that a short row lacks, and before those that are too many
    path, label, split = ((cells.get(column) or "").strip() for column in columns)
    several = tuple((cells[column] or "").strip() for column in labels)
    surplus = _filled(cells.get(None))  # type: ignore[call-overload]
    return Row(line, path, several if labels else label, split if columns.split in cells else part, surplus)


def require_columns(wanted: Sequence[str], header: Sequence[str], file: Path, *, options: str = COLUMN_OPTIONS) -> None:
    """Raise DataError if a column is missing; it lists those there are, and the options that choose."""
    if twice := next((column for column in wanted if header.count(column) > 1), None):
        raise DataError(f"`{file}` has the column `{shortened(twice)}` twice; give each a name of its own.")
    missing = [column for column in wanted if column not in header]
    if missing:
        other = next((name for mark, name in SEPARATORS.items() if len(header) == 1 and mark in header[0]), None)
        way_out = f"Choose columns with {options}." if other is None else f"Separate columns by commas, not {other}."
        there = ", ".join(f"`{shortened(name)}`" for name in header[:MOST]) or "none"
        rest = f" and {len(header) - MOST} more" if len(header) > MOST else ""
        raise DataError(f"`{file}` has no column `{missing[0]}`; it has {there}{rest}. {way_out}")


def _names(paths: Sequence[Path], folder: Path) -> list[str]:
    """Return POSIX names relative to the folder; outside of it, to what the files there have in common."""
    # abspath and not resolve: links keep the names they are listed under
    absolute = [Path(re.sub("^//+", "/", os.path.abspath(path))) for path in paths]  # `//a` is a root of its own
    base = Path(os.path.abspath(folder))
    outside = [path.parent for path in absolute if not path.is_relative_to(base)]
    common = Path(os.path.commonpath(outside)) if outside else base
    return [path.relative_to(base if path.is_relative_to(base) else common).as_posix() for path in absolute]
