"""Images in Parquet files: a column of encoded images or of paths, and labels, as Hugging Face stores them.

An image is a struct of `bytes` and `path`, plain bytes, or text: a path from the folder of the file. Bytes are written
out once, into the cache, and decoded from there like any file.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from fovea import tasks
from fovea.data.dataset import BadFile, Dataset
from fovea.data.labels import PART_NAMES, checked_names, part_named, part_of
from fovea.data.sources.archives import MAX_MEMBERS, MAX_UNPACKED_BYTES, Progress
from fovea.data.sources.cells import image_of, label_text
from fovea.data.sources.folders import Record, dataset_of
from fovea.data.sources.manifests import DEFAULT_COLUMNS, LABEL_COLUMNS, Columns, require_columns
from fovea.data.sources.parquet_pages import rows_at_once
from fovea.data.sources.places import Places
from fovea.errors import DataError, FoveaError, MissingDependencyError, first_line, listed, shortened
from fovea.files import check_regular
from fovea.storage import build_once
from fovea.tasks.task import Task
from fovea.tasks.wording import PLAIN, Wording, Written, single

SUFFIX = ".parquet"
IMAGE_COLUMNS = ("image", "img")
"""What the column of images is searched for under where there is none called `path`."""
INDEX = "paths.json"


class Table(NamedTuple):
    """What a file says of itself."""

    columns: tuple[str, ...]
    metadata: dict[bytes, bytes]


@dataclass(frozen=True)
class Listing:
    """The files of a data set, the folder their names start at, the columns, and the names of the classes."""

    files: Sequence[Path]
    root: Path
    columns: Columns
    classes: Sequence[tuple[str, ...]]
    """Of each file, as each has an order of its own; none where it names none."""
    labels: tuple[str, ...]
    """The columns of several labels, if they have one each."""


class Labelled(NamedTuple):
    """The contents of a row beside its image."""

    label: Written | None
    split: str | None
    """None if there is no column of splits."""
    fraction: bool = False
    """Whether the label is stored as a number with a fraction, which may be 0."""


def parquet_files(folder: Path) -> list[Path]:
    """Return the Parquet files of a folder, sorted: those in it, in `data`, and in folders of parts in either.

    Where there are none, those in the folders of parts of another folder in it, as `default/train/0000.parquet`.

    Raises: DataError if there are several such folders.
    """
    near = ["", "data", *PART_NAMES, *(f"data/{part}" for part in PART_NAMES)]
    if found := sorted(file for name in near for file in (folder / name).glob(f"*{SUFFIX}")):
        return found
    inside = sorted(file for part in PART_NAMES for file in folder.glob(f"*/{part}/*{SUFFIX}"))
    tops = sorted({file.parent.parent.name for file in inside})
    if len(tops) > 1:
        raise DataError(
            f"`{folder}` has Parquet files in {listed(tops)}, which are separate data sets; give one of these folders."
        )
    return inside


def load_parquet(
    path: Path,
    *,
    columns: Columns = DEFAULT_COLUMNS,
    task: str = "classes",
    wording: Wording = PLAIN,
    progress: Progress | None = None,
) -> Dataset:
    """Return the images of a Parquet file, or of all in a folder; the part is in the split column or the file's name.

    Whole numbers are indices into the class names that the `huggingface` metadata of their own file has, where it has
    them; -1 is no label. A row without an image or a label is left out and named in `bad_files`. A list holds several
    labels, an empty one none of them.

    Raises: DataError for a file that is no Parquet, a missing column, a cell that is not a label or no image, a label
    outside the class names, lists for another kind of target, file names of which only some name a part, or no usable
    row; MissingDependencyError without pyarrow.
    """
    kind = tasks.kind(task)
    listing = _listing(path, columns, wording.columns, named=kind.has_classes)
    found = [list(_labels(number, listing, kind)) for number in range(len(listing.files))]
    title = path.resolve().stem if path.is_file() else path.resolve().name
    unpack = partial(_unpack, listing, progress=progress)
    unpacked = build_once("archives", listing.files, name=f"{title}.{listing.columns.path}", build=unpack)
    records, bad, notes = _records(listing, found, unpacked, missing=lambda label: kind.is_missing(label, wording))
    if not records:
        raise DataError(f"`{path}` has no row with an image and a label; {bad[0].reason if bad else 'it is empty'}.")
    classes = frozenset(name for names in listing.classes for name in names)
    dataset = dataset_of(records, name=title, task=task, classes=classes, wording=wording)
    notes = [*_notes_on_names(listing), *_notes_on_fractions(found, kind), *notes]
    return replace(dataset, bad_files=tuple(bad), notes=(*dataset.notes, *notes))


def read_parquet_column(path: Path, column: str) -> dict[str, str]:
    """Return the contents of any `column` for each row, by the name that the image has in the data set.

    Numbers become names where the file's metadata has them. Raises: DataError for a missing column.
    """
    files, root = _files(path)
    found: dict[str, str] = {}
    for file in files:
        table = _table(file)
        require_columns([column], table.columns, file, options="`--slice`")
        names = class_names(table.metadata, column, where=f"`{file}`: ")
        for row, values in enumerate(_rows(file, [column])):
            name = f"{file.relative_to(root).as_posix()}/{row}"
            written = _written(values[column], names, where=_place(file, row, column)) or ""
            found[name] = written if isinstance(written, str) else ", ".join(written)
    return found


def class_names(metadata: dict[bytes, bytes], column: str, *, where: str = "") -> tuple[str, ...]:
    """Return the class names of a column in index order, from a file's `huggingface` metadata; none where it has none.

    Of a column of lists they are those of what the lists hold. Raises: DataError, which begins with `where`, for names
    that are none, or not distinct.

    >>> class_names({b"huggingface": b'{"info": {"features": {"label": {"names": ["cat", "dog"]}}}}'}, "label")
    ('cat', 'dog')
    """
    try:
        feature = json.loads(metadata[b"huggingface"])["info"]["features"][column]
        while "names" not in feature:  # {"feature": ...} or [...] around what a list holds
            feature = feature[0] if isinstance(feature, list) else feature["feature"]
        names = list(feature["names"])
    except (KeyError, IndexError, TypeError, ValueError):
        return ()
    return checked_names(names, where=f"{where}the column `{shortened(column)}`")


def _listing(path: Path, columns: Columns, labels: tuple[str, ...], *, named: bool) -> Listing:
    """Return what is to be read; `named` tells whether whole numbers are indices of names."""
    files, root = _files(path)
    tables = [_table(file) for file in files]
    if columns.path == DEFAULT_COLUMNS.path:  # left at its default
        names = (columns.path, *IMAGE_COLUMNS)
        found = next((name for name in names if name in tables[0].columns), columns.path)
        columns = columns._replace(path=found)
    for file, table in zip(files, tables, strict=True):
        wanted = [columns.path, *([] if labels else [columns.label])]
        if columns.split != DEFAULT_COLUMNS.split:
            wanted.append(columns.split)
        require_columns(wanted, table.columns, file)
        require_columns(labels, table.columns, file, options=LABEL_COLUMNS)
    pairs = zip(files, tables, strict=True)
    own = [class_names(table.metadata, columns.label, where=f"`{file}`: ") for file, table in pairs]
    return Listing(files, root, columns, own if named and not labels else [()] * len(files), labels)


def _files(path: Path) -> tuple[list[Path], Path]:
    """Return the files of a data set, and the folder that their names start at."""
    return ([path], path.parent) if path.is_file() else (parquet_files(path), path)


def _parts(listing: Listing) -> list[str]:
    """Return the part that each file's name tells; train for all where none does."""
    names = [file.relative_to(listing.root).as_posix() for file in listing.files]
    parts = [part_named(name) for name in names]
    if any(parts) and not all(parts):
        raise DataError(
            f"`{names[parts.index('')]}` names no split, unlike other files such as `train-00000-of-00002.parquet`; "
            f"begin its name with one of {', '.join(PART_NAMES)}, or move it away."
        )
    return [part or "train" for part in parts]


def _labels(number: int, listing: Listing, kind: type[Task]) -> Iterator[Labelled]:
    """Yield label and split of each row of a file."""
    file, columns, several, names = listing.files[number], listing.columns, listing.labels, listing.classes[number]
    has_split = columns.split in _table(file).columns
    unnamed = any(listing.classes) and not names
    for row, values in enumerate(_rows(file, [*(several or [columns.label]), *([columns.split] if has_split else [])])):
        split = str(values[columns.split] or "") if has_split else None
        if several:
            cells = tuple(label_text(values[column], (), where=_place(file, row, column)) for column in several)
            yield Labelled(cells, split)
            continue
        value, where = values[columns.label], _place(file, row, columns.label)
        label = _written(value, names, where=where)
        if unnamed and _has_number(value):
            raise DataError(
                f"{where}: label `{shortened(value)}` is a number, and this file names no classes although others "
                "do; write the names into its metadata, or into the column."
            )
        _check_label(label, value, kind, where=where)
        yield Labelled(label, split, isinstance(value, float) and label is not None)


def _place(file: Path, row: int, column: str) -> str:
    return f"`{file}`, column `{shortened(column)}`, row {row}"


def _has_number(value: Any) -> bool:
    return (
        any(map(_has_number, value)) if isinstance(value, list) else isinstance(value, int | float) and value == value
    )


def _check_label(label: Written | None, value: Any, kind: type[Task], *, where: str) -> None:
    """Raise DataError for several labels where one is wanted, and for a fraction where a class is."""
    if label is not None and not kind.several:
        try:
            single([label])
        except DataError as error:
            raise DataError(f"{where}: {error}") from error
    if isinstance(value, float) and label and kind.has_classes and not kind.ordered and not value.is_integer():
        raise DataError(f"{where}: label `{label}` is a fraction, not a class; give `--task number`.")


def _notes_on_names(listing: Listing) -> list[str]:
    named = [names for names in listing.classes if names]
    differ = any(names != named[0] for names in named)
    return ["the files name their classes differently, so each file is read with its own names"] if differ else []


def _notes_on_fractions(found: Sequence[Sequence[Labelled]], kind: type[Task]) -> list[str]:
    fractions = kind.has_classes and any(row.fraction for rows in found for row in rows)
    return ["labels are stored as 0.0, 1.0 and so on; the classes are named 0, 1 and so on"] if fractions else []


def _written(value: Any, names: Sequence[str], *, where: str) -> Written | None:
    """Return the text of a label, or those of a list of them; None if there is no label."""
    if isinstance(value, list):
        return tuple(label_text(each, names, where=where) for each in value)
    text = label_text(value, names, where=where)
    return text if text or isinstance(value, str | bytes) else None


def _records(
    listing: Listing,
    found: Sequence[Sequence[Labelled]],
    unpacked: Path,
    *,
    missing: Callable[[Written], bool],
) -> tuple[list[Record], list[BadFile], list[str]]:
    """Return the rows that can be used, the others, and what is to be said; `found` are the rows of each file."""
    paths = json.loads((unpacked / INDEX).read_text(encoding="utf-8"))
    records: list[Record] = []
    bad: list[BadFile] = []
    notes: list[str] = []
    for number, (file, part) in enumerate(zip(listing.files, _parts(listing), strict=True)):
        if len(paths[number]) != len(found[number]):
            lengths = f"{len(found[number])} labels but {len(paths[number])} images"
            raise DataError(f"`{file}` cannot be read as Parquet: it has {lengths}.")
        places = Places(file.parent)
        for row, (label, split, _) in enumerate(found[number]):
            name = f"{file.relative_to(listing.root).as_posix()}/{row}"
            given = paths[number][row]
            # a path starts at the folder of its file; bytes lie where `_unpack` has written them
            image = places.find(given) if given else unpacked / str(number) / str(row)
            if reason := places.missing(image, given):
                bad.append(BadFile(name, reason))
            elif label is None or missing(label):
                bad.append(BadFile(name, "no label"))
            else:
                own = part_of(split, where=f"`{file}`, row {row}") if split is not None else part
                records.append(Record(own, name, label, image, image.stat().st_size))
        notes += places.notes(file)
    return records, bad, notes


def _unpack(listing: Listing, target: Path, *, progress: Progress | None) -> None:
    """Write the bytes of row R of file F to `F/R`, and to INDEX the paths that stand in their place."""
    budget = min(MAX_UNPACKED_BYTES, shutil.disk_usage(target).free * 9 // 10)
    paths: list[list[str]] = []
    rows, unpacked_bytes, total_bytes = 0, 0, sum(file.stat().st_size for file in listing.files)
    column = listing.columns.path
    for number, file in enumerate(listing.files):
        (target / str(number)).mkdir()
        paths.append([])
        for row, values in enumerate(_rows(file, [column])):
            content, given = image_of(values[column], where=_place(file, row, column))
            paths[-1].append(given)  # for every row, empty ones too: a row is found by its number
            rows, unpacked_bytes = rows + 1, unpacked_bytes + len(content or b"")
            if rows > MAX_MEMBERS or unpacked_bytes > budget:
                raise DataError(f"`{file}` contains more than {MAX_MEMBERS} images or {budget} bytes (the free space).")
            if content is not None:
                (target / str(number) / str(row)).write_bytes(content)
            if progress:
                # files are compressed: what is unpacked can be more than they are
                progress(f"unpacking {listing.root.name}", min(unpacked_bytes, total_bytes), total_bytes)
    (target / INDEX).write_text(json.dumps(paths), encoding="utf-8")


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    # imported here, as the library is an extra
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MissingDependencyError("Parquet files need a library: pip install 'fovea-cnn[parquet]'.") from error
    check_regular(file)
    try:
        with pyarrow.parquet.ParquetFile(file) as opened:
            yield opened
    except FoveaError:
        raise
    except Exception as error:  # a damaged file: the library and Python's texts raise whatever they meet
        reason = first_line(error).rstrip(".")
        raise DataError(f"`{file}` cannot be read as Parquet: {reason}.") from error


def _table(file: Path) -> Table:
    with _opened(file) as opened:
        return Table(tuple(opened.schema_arrow.names), dict(opened.schema_arrow.metadata or {}))


def _rows(file: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    with _opened(file) as opened:
        if opened.metadata.num_rows > MAX_MEMBERS:
            raise DataError(f"`{file}` has {opened.metadata.num_rows:,} rows; the limit is {MAX_MEMBERS:,}.")
        rows = rows_at_once(file, list(columns))
        for batch in opened.iter_batches(batch_size=rows, columns=list(columns)):
            values = batch.to_pylist()
            del batch  # not held while the next is read
            yield from values
