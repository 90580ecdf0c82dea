"""Images in Parquet files: a column of encoded images or of paths, and labels, as Hugging Face stores them.

An image is a struct of `bytes` and `path`, plain bytes, or text: a path from the folder of the file. Bytes are written
out once, into the cache, and decoded from there like any file.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from fovea import tasks
from fovea.data.dataset import BadFile, Dataset
from fovea.data.labels import PART_NAMES, part_of
from fovea.data.sources.archives import MAX_MEMBERS, MAX_UNPACKED_BYTES, Progress
from fovea.data.sources.folders import Record, dataset_of
from fovea.data.sources.manifests import DEFAULT_COLUMNS, LABEL_COLUMNS, Columns, require_columns
from fovea.data.sources.parquet_pages import rows_at_once
from fovea.errors import DataError, MissingDependencyError
from fovea.files import check_regular, no_file
from fovea.storage import build_once
from fovea.tasks.wording import PLAIN, Wording, Written, single

SUFFIX = ".parquet"
IMAGE_COLUMNS = ("image", "img")
"""What the column of images is looked for under where there is none called `path`."""
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
    classes: tuple[str, ...]
    labels: tuple[str, ...]
    """The columns of several labels, if they have one each."""


def parquet_files(folder: Path) -> list[Path]:
    """Return the Parquet files in a folder, and in `data` or folders of parts inside it, sorted."""
    return sorted(file for name in ("", "data", *PART_NAMES) for file in (folder / name).glob(f"*{SUFFIX}"))


def load_parquet(
    path: Path,
    *,
    columns: Columns = DEFAULT_COLUMNS,
    task: str = "classes",
    wording: Wording = PLAIN,
    progress: Progress | None = None,
) -> Dataset:
    """Return the images of a Parquet file, or of all in a folder; the part is in the split column or the file's name.

    Whole numbers are indices into the class names that the file's `huggingface` metadata has, where it has them; -1 is
    no label. A row without an image or a label is left out and named in `bad_files`. A list holds several labels, an
    empty one none of them.

    Raises: DataError for a file that is no Parquet, a missing column, a label outside the class names, lists for
    another kind of target, file names of which only some name a part, or no usable row; MissingDependencyError without
    pyarrow.
    """
    kind = tasks.kind(task)
    listing = _listing(path, columns, wording.columns, named=kind.has_classes)
    found = [list(_labels(file, listing)) for file in listing.files]
    if not kind.several:
        single(label for rows in found for label, _ in rows if label is not None)  # before anything is unpacked
    title = path.resolve().stem if path.is_file() else path.resolve().name
    unpack = partial(_unpack, listing, progress=progress)
    unpacked = build_once("archives", listing.files, name=f"{title}.{listing.columns.path}", build=unpack)
    records, bad = _records(listing, found, unpacked, missing=lambda label: kind.is_missing(label, wording))
    if not records:
        raise DataError(f"`{path}` has no row with an image and a label; {bad[0].reason if bad else 'it is empty'}.")
    dataset = dataset_of(records, name=title, task=task, classes=frozenset(listing.classes), wording=wording)
    return replace(dataset, bad_files=tuple(bad))


def read_parquet_column(path: Path, column: str) -> dict[str, str]:
    """Return what stands in any `column` for each row, by the name that the image has in the data set.

    Numbers become names where the file's metadata has them. Raises: DataError for a missing column.
    """
    files, root = _files(path)
    found: dict[str, str] = {}
    for file in files:
        table = _table(file)
        require_columns([column], table.columns, file, options="`--slice`")
        names = class_names(table.metadata, column)
        for row, values in enumerate(_rows(file, [column])):
            name = f"{file.relative_to(root).as_posix()}/{row}"
            written = _written(values[column], names, where=f"`{file}`, row {row}") or ""
            found[name] = written if isinstance(written, str) else ", ".join(written)
    return found


def image_of(value: Any) -> tuple[bytes | None, str]:
    """Return the encoded image that a cell holds, or else the path that stands in it; neither where it is empty.

    >>> image_of({"bytes": None, "path": "a.png"}), image_of(b"GIF89a")
    ((None, 'a.png'), (b'GIF89a', ''))
    """
    if isinstance(value, dict):
        return value.get("bytes"), "" if value.get("bytes") is not None else value.get("path") or ""
    if isinstance(value, bytes):
        return value, ""
    return None, str(value or "")


def class_names(metadata: dict[bytes, bytes], column: str) -> tuple[str, ...]:
    """Return the class names of a column in index order, from a file's `huggingface` metadata; none where it has none.

    Of a column of lists they are those of what the lists hold.

    >>> class_names({b"huggingface": b'{"info": {"features": {"label": {"names": ["cat", "dog"]}}}}'}, "label")
    ('cat', 'dog')
    """
    try:
        feature = json.loads(metadata[b"huggingface"])["info"]["features"][column]
        while "names" not in feature:  # {"feature": ...} or [...] around what a list holds
            feature = feature[0] if isinstance(feature, list) else feature["feature"]
        return tuple(map(str, feature["names"]))
    except (KeyError, IndexError, TypeError, ValueError):
        return ()


def part_named(name: str) -> str:
    """Return the part that a file's name from the root begins with, as `train-00000-of-00002.parquet`, or nothing.

    >>> part_named("data/validation-00000-of-00001.parquet"), part_named("test/0000.parquet"), part_named("0.parquet")
    ('val', 'test', '')
    """
    words = [re.split(r"[-_.]", piece)[0].lower() for piece in name.split("/")]
    # from the end: the file's own name counts more than the folders around it
    return next((PART_NAMES[word] for word in reversed(words) if word in PART_NAMES), "")


def label_text(value: Any, names: Sequence[str], *, where: str) -> str:
    """Return a label as text: a class name where there are names, nothing where there is no label.

    Raises: DataError for an index that has no name.
    """
    if value is None or (value == -1 and names):
        return ""
    if not names or isinstance(value, str):
        return str(value).strip()
    if not isinstance(value, int) or not 0 <= value < len(names):
        raise DataError(f"{where}: label `{value}` is none of 0 to {len(names) - 1}, the classes the file names.")
    return names[value]


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
    classes = class_names(tables[0].metadata, columns.label) if named and not labels else ()
    return Listing(files, root, columns, classes, labels)


def _files(path: Path) -> tuple[list[Path], Path]:
    """Return the files of a data set, and the folder that their names start at."""
    return ([path], path.parent) if path.is_file() else (parquet_files(path), path)


def _parts(listing: Listing) -> list[str]:
    """Return the part that each file's name tells; train for all where none does."""
    names = [file.relative_to(listing.root).as_posix() for file in listing.files]
    parts = [part_named(name) for name in names]
    if any(parts) and not all(parts):
        raise DataError(
            f"`{names[parts.index('')]}` names no part where other files do, as `train-00000-of-00002.parquet`; "
            f"begin its name with one of {', '.join(PART_NAMES)}, or move it away."
        )
    return [part or "train" for part in parts]


def _labels(file: Path, listing: Listing) -> Iterator[tuple[Written | None, str | None]]:
    """Yield label and split of each row; None where there is no label, or no column of splits."""
    columns, several = listing.columns, listing.labels
    has_split = columns.split in _table(file).columns
    for row, values in enumerate(_rows(file, [*(several or [columns.label]), *([columns.split] if has_split else [])])):
        cells = tuple(label_text(values[column], (), where="") for column in several)
        label = cells or _written(values[columns.label], listing.classes, where=f"`{file}`, row {row}")
        yield label, str(values[columns.split] or "") if has_split else None


def _written(value: Any, names: Sequence[str], *, where: str) -> Written | None:
    """Return the text of a label, or those of a list of them; None where there is no label."""
    if isinstance(value, list):
        return tuple(label_text(each, names, where=where) for each in value)
    return None if value is None or (value == -1 and names) else label_text(value, names, where=where)


def _records(
    listing: Listing,
    found: Sequence[Sequence[tuple[Written | None, str | None]]],
    unpacked: Path,
    *,
    missing: Callable[[Written], bool],
) -> tuple[list[Record], list[BadFile]]:
    """Return the rows that can be used, and the others; `found` are label and split of each row of each file."""
    paths = json.loads((unpacked / INDEX).read_text(encoding="utf-8"))
    records: list[Record] = []
    bad: list[BadFile] = []
    for number, (file, part) in enumerate(zip(listing.files, _parts(listing), strict=True)):
        for row, (label, split) in enumerate(found[number]):
            name = f"{file.relative_to(listing.root).as_posix()}/{row}"
            given = paths[number][row]
            # a path starts at the folder of its file; bytes lie where `_unpack` has written them
            image = file.parent / given if given else unpacked / str(number) / str(row)
            if reason := no_file(image):
                bad.append(BadFile(name, reason))
            elif label is None or missing(label):
                bad.append(BadFile(name, "no label"))
            else:
                own = part_of(split, where=f"`{file}`, row {row}") if split is not None else part
                records.append(Record(own, name, label, image, image.stat().st_size))
    return records, bad


def _unpack(listing: Listing, target: Path, *, progress: Progress | None) -> None:
    """Write the bytes of row R of file F to `F/R`, and to INDEX the paths that stand in their place."""
    budget = min(MAX_UNPACKED_BYTES, shutil.disk_usage(target).free * 9 // 10)
    paths: list[list[str]] = []
    rows, unpacked_bytes, total_bytes = 0, 0, sum(file.stat().st_size for file in listing.files)
    for number, file in enumerate(listing.files):
        (target / str(number)).mkdir()
        paths.append([])
        for row, values in enumerate(_rows(file, [listing.columns.path])):
            content, given = image_of(values[listing.columns.path])
            paths[-1].append(given)  # for every row, empty ones too: a row is found by its number
            rows, unpacked_bytes = rows + 1, unpacked_bytes + len(content or b"")
            if rows > MAX_MEMBERS or unpacked_bytes > budget:
                raise DataError(
                    f"`{file}` brings more than {MAX_MEMBERS} images or {budget} bytes (the room there is)."
                )
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
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MissingDependencyError("Parquet files need a library: pip install 'fovea-cnn[parquet]'.") from error
    check_regular(file)
    try:
        with ParquetFile(file) as opened:
            yield opened
    except (ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise DataError(f"`{file}` cannot be read as Parquet: {reason}.") from error


def _table(file: Path) -> Table:
    with _opened(file) as opened:
        return Table(tuple(opened.schema_arrow.names), dict(opened.schema_arrow.metadata or {}))


def _rows(file: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    with _opened(file) as opened:
        if opened.metadata.num_rows > MAX_MEMBERS:
            raise DataError(f"`{file}` has {opened.metadata.num_rows:,} rows; at most {MAX_MEMBERS:,} are read of one.")
        rows = rows_at_once(file, opened.metadata, list(columns))
        for batch in opened.iter_batches(batch_size=rows, columns=list(columns)):
            values = batch.to_pylist()
            del batch  # not held while the next is read
            yield from values
