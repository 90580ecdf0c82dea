"""Series as data sets: an `.npz` of floats, the files of the UCR and UEA archives, and CSV with a series in each row.

Series are float32 (N, T, C): T steps of C channels.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea import tasks
from fovea.data.dataset import BadFile, Dataset, Images, Part
from fovea.data.labels import PART_NAMES, alike, in_order, part_named, part_of
from fovea.data.sources.arrays import fingerprint_of, in_grades
from fovea.data.sources.folders import is_ignored
from fovea.data.sources.manifests import DEFAULT_COLUMNS, Columns, manifests_in
from fovea.data.sources.npz import first_samples, read_npz, read_samples
from fovea.data.sources.series_files import Table, read_series_file
from fovea.errors import DataError, UsageError, listed
from fovea.inputs.series import Values, fault_of, lengths_note, without_padding
from fovea.inputs.tables import TIMES, head_of, number
from fovea.tasks.task import Labels
from fovea.tasks.wording import PLAIN, Wording

SUFFIXES = (".ts", ".tsv", ".arff")
"""Files that hold nothing but series, the first form first where a folder has several."""
MOST_CHANNELS = 4


@dataclass(frozen=True)
class Padded:
    """Series of different lengths: NaN stands after the end of those that are shorter."""

    values: Values
    """(N, T, C) float32, T being the longest length."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, 0, C): 0 stands for a length that differs."""
        return len(self.values), 0, self.values.shape[2]

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: Any, /) -> Values:
        found: Values = self.values[index]
        return without_padding(found) if found.ndim == 2 else found


def are_series(path: Path, columns: Columns, *, input: str | None) -> bool:
    """Tell whether a file or folder holds series in arrays or tables: by suffix, by type, or as `input` says.

    Raises: UsageError for an `.npz` of floats that may as well be square images.
    """
    if input not in (None, "series"):
        return False
    if path.suffix.lower() == ".npz" and path.is_file():
        return input is not None or _floats_are_series(path)
    if input is not None and path.suffix.lower() == ".csv" and path.is_file():
        return columns.path not in [name.strip() for name in next(iter(head_of(path)), [])]
    return bool(_files(path, columns))


def _floats_are_series(file: Path) -> bool:
    """Tell whether the samples of an `.npz` are floats (N, T) or (N, T, C): pixels are uint8."""
    found = first_samples(file)
    if found is None:
        return False
    key, (shape, dtype) = found
    if dtype.kind != "f" or len(shape) not in (2, 3):
        return False
    if len(shape) == 3 and shape[1] == shape[2] > MOST_CHANNELS:
        raise UsageError(
            f"`{file}`: `{key}` is {found[1].text}, square images, or series with as many channels as steps: give "
            "`--input series`, or convert images with values 0..1 to uint8 with "
            "`(x * 255).round().astype('uint8')`."
        )
    return True


class _File(NamedTuple):
    part: str
    path: Path


def _files(path: Path, columns: Columns) -> list[_File]:
    """Return the files of series that a path means, with the part of each; none where it means something else."""
    if path.is_dir():
        return _in_folder(path, columns)
    if path.suffix.lower() in SUFFIXES:
        return _with_its_pair(path)
    return [_File("train", path)] if _is_wide(path, columns) else []


def _in_folder(folder: Path, columns: Columns) -> list[_File]:
    """Return the files of series in a folder: a pair of train and test, or CSV files called by their part."""
    tables = manifests_in(folder)
    if tables and all(_is_wide(table, columns) for table in tables):
        return [_File(part_named(table.name) or "train", table) for table in tables]
    there = [path for path in sorted(folder.iterdir()) if path.is_file() and not is_ignored(path.name)]
    for suffix in SUFFIXES:
        own = [path for path in there if path.suffix.lower() == suffix]
        titles = {_title(path) for path in own}
        if not own:
            continue
        if len(titles) > 1 and folder.resolve().name not in titles:
            raise DataError(
                f"`{folder}` contains the series of {listed(titles)}; give the file of one, for example `{own[0]}`."
            )
        title = next(iter(titles)) if len(titles) == 1 else folder.resolve().name
        return _parts_of([path for path in own if _title(path) == title])
    return []


def _with_its_pair(path: Path) -> list[_File]:
    """Return a file, and those beside it that are other parts of the same series, as `_TEST` of `_TRAIN`."""
    if not _part(path):
        return [_File("train", path)]
    beside = [other for other in sorted(path.parent.iterdir()) if other.suffix.lower() == path.suffix.lower()]
    return _parts_of([other for other in beside if _title(other) == _title(path) and _part(other)])


def _parts_of(paths: Sequence[Path]) -> list[_File]:
    return [_File(_part(path) or "train", path) for path in paths]


def _part(path: Path) -> str:
    """Return the part that the name of a file ends with, as `GunPoint_TRAIN.ts`; nothing where it names none."""
    return PART_NAMES.get(re.split(r"[_-]", path.stem)[-1].lower(), "")


def _title(path: Path) -> str:
    return re.sub(r"[_-][^_-]*$", "", path.stem) if _part(path) else path.stem


def _is_wide(path: Path, columns: Columns) -> bool:
    """Tell whether a CSV file has a series in each row: a column of labels, none of paths, numbers in all others."""
    if path.suffix.lower() != ".csv" or len(rows := head_of(path)) < 2:
        return False
    header, first = [name.strip() for name in rows[0]], rows[1]
    if columns.path in header or columns.label not in header or len(first) != len(header):
        return False
    own = [cell for name, cell in zip(header, first, strict=True) if name not in (columns.label, columns.split)]
    try:
        return len([number(cell) for cell in own]) > 1
    except ValueError:
        return False


def load_series(path: Path, *, columns: Columns, task: str = "classes", wording: Wording = PLAIN) -> Dataset:
    """Return the series that a file or folder holds. Raises: DataError for what cannot be used, with its place."""
    if path.suffix.lower() == ".npz":
        return _from_npz(path, task=task, wording=wording)
    files = _files(path, columns)
    if not files:
        raise DataError(
            f"`{path}` contains no series: expected an .npz of floats (N, T) or (N, T, C), a .ts, .tsv or .arff "
            f"file, or CSV with a column `{columns.label}` and a series in each row."
        )
    return _from_files(path, files, columns=columns, task=task, wording=wording)


def samples_in(path: Path, *, channels: int, columns: Columns = DEFAULT_COLUMNS) -> list[tuple[str, Values]] | None:
    """Return the series in a file of several, each (t, C) float32 with its name; None if the file is one series.

    A CSV file is one series where it has as many columns as there are `channels` and none of labels.

    Raises: DataError for a file that cannot be read.
    """
    suffix = path.suffix.lower()
    if not path.is_file() or suffix not in (".npz", ".csv", *SUFFIXES):
        return None
    if suffix == ".npz":
        found = {f":{key}": _as_values(array, key) for key, array in read_samples(path).items()}
    elif suffix == ".csv" and _is_one(path, channels, columns):
        return None
    else:
        found = {"": read_series_file(path, label_column=columns.label, split_column=columns.split).values}
    return [(f"{path}{key}[{row}]", values) for key, array in found.items() for row, values in enumerate(array)]


def _is_one(path: Path, channels: int, columns: Columns) -> bool:
    """Tell whether a CSV file is one series of so many channels rather than one in each row."""
    header = [name.strip() for name in next(iter(head_of(path)), [])]
    times = bool(header) and len(header) > 1 and header[0].lower() in TIMES
    return columns.label not in header and len(header) - times == channels


def _from_npz(file: Path, *, task: str, wording: Wording) -> Dataset:
    stored, kind = read_npz(file), tasks.kind(task)
    values = {part: _as_values(stored.content[x], x) for part, (x, _) in stored.keys.items()}
    if len({array.shape[1:] for array in values.values()}) > 1:
        raise DataError(
            f"The splits of `{file}` differ in length or channels; make them equal, padded with NaN at the end."
        )
    labels, classes = stored.labels(kind)
    names = {part: [f"{x}[{row}]" for row in range(len(values[part]))] for part, (x, _) in stored.keys.items()}
    key, array = next((x, stored.content[x]) for x, _ in stored.keys.values())
    told = f"`{key}` is {array.dtype}, so it contains series (N, T, C); pixels would be uint8"
    dataset = _dataset(file.stem, values, labels, classes, names=names, task=task, notes=(told,))
    return in_grades(dataset, wording) if kind.ordered else dataset


def _as_values(array: NDArray[Any], key: str) -> Values:
    """Return (N, T, C) float32 of numbers (N, T) or (N, T, C)."""
    if array.ndim not in (2, 3) or array.dtype.kind not in "fiu" or not array.size:
        raise DataError(f"`{key}` is {array.dtype} of shape {array.shape}; series must be numbers (N, T) or (N, T, C).")
    with np.errstate(over="ignore"):  # what becomes infinite is named as such
        return np.ascontiguousarray(array if array.ndim == 3 else array[..., None], np.float32)


def _from_files(path: Path, files: Sequence[_File], *, columns: Columns, task: str, wording: Wording) -> Dataset:
    kind = tasks.kind(task)
    found = {
        file: read_series_file(file.path, label_column=columns.label, split_column=columns.split) for file in files
    }
    if alone := next((file.path for file, table in found.items() if not table.labels), None):
        raise DataError(f"`{alone}` has no labels; training and evaluation need them.")
    rows = [row for file, table in found.items() for row in _rows(file, table)]
    bad = [BadFile(row.name, "no label") for row in rows if kind.is_missing(row.label, wording)]
    good = [row for row in rows if not kind.is_missing(row.label, wording)]
    if not good:
        raise DataError(f"`{path}` has no series with a label.")
    for row in good:
        try:
            kind.check_written(row.label, wording)
        except DataError as error:
            raise DataError(f"`{row.name}`: {error}") from error
    parts = in_order({row.part: None for row in good})
    by_part = {part: [row for row in good if row.part == part] for part in parts}
    texts = {part: [row.label for row in own] for part, own in by_part.items()}
    labels, classes = kind.encode(texts, wording=wording)
    values = {part: _together([row.values for row in own]) for part, own in by_part.items()}
    values = {part: _longer(array, max(each.shape[1] for each in values.values())) for part, array in values.items()}
    names = {part: [row.name for row in own] for part, own in by_part.items()}
    beside = f"{', '.join(f'{file.path.name} is the {file.part} split' for file in files)}"
    notes = (beside,) if len(files) > 1 else ()
    title = path.resolve().name if path.is_dir() else _title(path)
    dataset = _dataset(title, values, labels, classes, names=names, task=task, notes=notes)
    return replace(dataset, bad_files=(*bad, *dataset.bad_files))


class _Row(NamedTuple):
    part: str
    name: str
    label: str
    values: Values


def _rows(file: _File, table: Table) -> Iterator[_Row]:
    for index, (values, label, part) in enumerate(zip(table.values, table.labels, table.parts, strict=True)):
        own = part_of(part, where=f"`{file.path}`, series {index}") if part else file.part
        yield _Row(own, f"{file.path.stem}[{index}]", label, values)


def _together(values: Sequence[Values]) -> Values:
    longest = max(map(len, values))
    if len({each.shape[1] for each in values}) > 1:
        raise DataError("The files of the splits differ in their number of channels; make them equal.")
    return np.stack([_longer(each[None], longest)[0] for each in values])


def _longer(values: Values, length: int) -> Values:
    """Return series (N, t, C) with NaN at their end up to `length`."""
    return np.pad(values, ((0, 0), (0, length - values.shape[1]), (0, 0)), constant_values=np.nan)


def _dataset(
    name: str,
    values: Mapping[str, Values],
    labels: Mapping[str, Labels],
    classes: tuple[str, ...],
    *,
    names: Mapping[str, Sequence[str]],
    task: str,
    notes: tuple[str, ...],
) -> Dataset:
    """Return a data set of series without those that have a missing or infinite value, which are its bad files."""
    kind = tasks.kind(task)
    bad = {part: _faults(array) for part, array in values.items()}
    rows = {part: np.setdiff1d(np.arange(len(array)), [*bad[part]]) for part, array in values.items()}
    lengths = [int(length) for part, array in values.items() for length in _lengths(array[rows[part]])]
    parts = {}
    for part, array in values.items():
        good = rows[part]
        kept: Images = array if len(good) == len(array) else array[good]
        parts[part] = Part(
            labels=labels[part][good],
            names=tuple(names[part][index] for index in good),
            pixels=kept if min(lengths, default=0) == array.shape[1] else Padded(np.asarray(kept)),
        )
    longest, channels = next(iter(values.values())).shape[1:]
    return Dataset(
        name=name,
        parts=parts,
        classes=classes,
        channels=channels,
        task=task,
        input="series",
        native_size=(max(lengths, default=longest),),
        fingerprint=fingerprint_of(values, labels, classes),
        notes=(*notes, *lengths_note(lengths), *kind.notes(labels, classes), *alike(classes)),
        bad_files=tuple(BadFile(names[part][row], why) for part, rows in bad.items() for row, why in rows.items()),
    )


def _lengths(values: Values) -> NDArray[np.int64]:
    """Return the steps of each series (N, T, C) up to the last that is known."""
    known: NDArray[np.bool_] = np.any(~np.isnan(values), axis=2)
    lengths: NDArray[np.int64] = np.where(known.any(1), values.shape[1] - np.argmax(known[:, ::-1], axis=1), 0)
    return lengths


def _faults(values: Values) -> dict[int, str]:
    """Return the faults of some of the series (N, T, C), by their index."""
    suspect = np.flatnonzero(~np.isfinite(values).all(axis=(1, 2)))
    found = {int(index): fault_of(without_padding(values[index])) for index in suspect}
    return {index: why for index, why in found.items() if why}
