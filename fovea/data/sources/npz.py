"""Arrays with labels in an `.npz`: which keys hold them, what their headers announce, and the labels of a task.

Samples are (N, ...), labels (N,) integers, numbers or text, or (N, L) of 1, 0 and NaN.
"""

import math
import sys
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea import tasks
from fovea.budget import TABLE
from fovea.data.labels import checked_names
from fovea.data.sources.cells import label_text
from fovea.data.sources.containers import check_table, open_member
from fovea.errors import DataError, FoveaError, first_line
from fovea.files import open_regular
from fovea.tasks.task import Labels, Task
from fovea.tasks.wording import PLAIN

NPZ_KEYS = {
    "train": (("x_train", "y_train"), ("images", "labels"), ("x", "y")),
    "val": (("x_val", "y_val"), ("x_valid", "y_valid"), ("x_validation", "y_validation")),
    "test": (("x_test", "y_test"),),
}


class Announced(NamedTuple):
    """What the header of an array says of it."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def text(self) -> str:
        """As a person reads it."""
        return f"{self.dtype} of shape ({', '.join(f'{size:,}' for size in self.shape)})"


class Npz(NamedTuple):
    """The arrays of an `.npz` that count."""

    file: Path
    keys: Mapping[str, tuple[str, str]]
    """Of samples and labels, by part."""
    content: Mapping[str, NDArray[Any]]
    names: tuple[str, ...]
    """Of the classes; empty if the file names none."""

    def labels(self, kind: type[Task]) -> tuple[dict[str, Labels], tuple[str, ...]]:
        """Return the labels of each part as the kind of target has them, and the names of the classes.

        Grades come as classes, which have no order yet. Raises: DataError for labels that are none.
        """
        raw = {part: (y, self.content[y], len(self.content[x])) for part, (x, y) in self.keys.items()}
        if kind.several:
            return _with_rows({part: _as_rows(*found) for part, found in raw.items()}, self.names)
        columns = {part: _as_column(*found) for part, found in raw.items()}
        if kind.has_classes and "classes" in self.content:
            return _with_names(columns, self.names)
        return _encoded(columns, kind, {part: y for part, (_, y) in self.keys.items()})


def read_npz(file: Path) -> Npz:
    """Return samples and labels of each part. Raises: DataError for other keys, or what is no `.npz` of arrays."""
    with _opened(file) as stored:
        present = _present(stored.files, file)
        wanted = [*(key for pair in present.values() for key in pair), "classes"]
        content = _within_memory(stored, [key for key in wanted if key in stored.files], file)
    _check_axes(content, file)
    return Npz(file, present, content, _class_names(content, file))


def read_samples(file: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of samples in an `.npz`, with or without labels, by key.

    They stand under a key of `NPZ_KEYS`, or under the only one there is.

    Raises: DataError if none can be recognised, or the file is no such archive.
    """
    known = [x for pairs in NPZ_KEYS.values() for x, _ in pairs]
    with _opened(file) as stored:
        keys = [key for key in known if key in stored.files] or stored.files
        if keys is stored.files and len(keys) != 1:
            raise DataError(f"`{file}` has the keys {', '.join(stored.files[:20])}; expected `x`.")
        return _within_memory(stored, keys, file)


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """Yield what NumPy reads of an `.npz`; whatever goes wrong meanwhile is a DataError of one line."""
    try:
        with open_regular(file) as stream:
            if not zipfile.is_zipfile(stream):  # else NumPy advises to unpickle it
                raise ValueError("it is not a zip archive")
            stream.seek(0)
            check_table(stream, file)
            # an object array is a pickle, which can run any code
            with np.load(stream, allow_pickle=False) as stored:
                yield stored
    except FoveaError:
        raise
    except Exception as error:  # a damaged file: NumPy's reader raises whatever its parts meet
        reason = first_line(error).rstrip(".")
        raise DataError(f"`{file}` cannot be read as an .npz of plain arrays: {reason}.") from error


def first_samples(file: Path) -> tuple[str, Announced] | None:
    """Return the key of the samples of the first part, and what its header announces; None if it is unknown."""
    try:
        with open_regular(file) as stream:
            check_table(stream, file)
            with zipfile.ZipFile(stream) as archive:
                names = [name.removesuffix(".npy") for name in archive.namelist()]
                key = next(iter(_present(names, file).values()))[0]
                return key, _announced(archive, key)
    except Exception:  # whoever reads the file says what is wrong with it
        return None


def _class_names(content: Mapping[str, NDArray[Any]], file: Path) -> tuple[str, ...]:
    """Return the names under `classes`, none where there is no such key."""
    if "classes" not in content:
        return ()
    stored = content["classes"]
    if stored.ndim != 1 or stored.dtype.kind not in "SUiu":
        raise DataError(
            f"`{file}`: `classes` is {stored.dtype} of shape {stored.shape}; expected the names of the classes, (K,)."
        )
    return checked_names(stored.tolist(), where=f"`{file}`: `classes`")


def _check_axes(content: Mapping[str, NDArray[Any]], file: Path) -> None:
    """Raise DataError if an array has no axis to go along."""
    for key, array in content.items():
        if array.ndim == 0:
            raise DataError(f"`{file}`: `{key}` has shape (); expected one entry per image, or per class.")


def _present(keys: Sequence[str], file: Path) -> dict[str, tuple[str, str]]:
    """Return the keys of pixels and labels of each part that a file has."""
    found = {part: _pair(keys, names) for part, names in NPZ_KEYS.items()}
    present = {part: pair for part, pair in found.items() if pair}
    if "train" not in present and "test" not in present:
        raise DataError(
            f"`{file}` has the keys {', '.join(keys[:20])}; expected `x_train` and `y_train` (also `_val`, "
            "`_test`), or `images` and `labels`."
        )
    return present


def _within_memory(stored: Any, keys: Sequence[str], file: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays under these keys, after what their headers announce was found to fit into memory.

    Raises: whatever NumPy does of damaged ones, and ValueError for texts that are none.
    """
    if excess := TABLE.excess(sum(_announced_bytes(stored.zip, key) for key in keys)):
        raise DataError(f"`{file}`: its arrays would need {excess}.")
    arrays = {key: stored[key] for key in keys}
    for key, array in arrays.items():
        # NumPy takes any numbers for characters, and makes of them text that Python fails at later
        if array.dtype.kind == "U" and _characters(array).max(initial=0) > sys.maxunicode:
            raise ValueError(f"`{key}` contains invalid characters")
    return arrays


def _characters(texts: NDArray[np.str_]) -> NDArray[np.uint32]:
    """Return the numbers of all characters of an array of texts."""
    return texts.astype(texts.dtype.newbyteorder("<")).ravel().view("<u4")


def _announced_bytes(archive: zipfile.ZipFile, key: str) -> int:
    """Return the size of an array of an `.npz` by its header."""
    shape, dtype = _announced(archive, key)
    return math.prod(shape) * dtype.itemsize


def _announced(archive: zipfile.ZipFile, key: str) -> Announced:
    names = archive.namelist()
    with open_member(archive, archive.getinfo(f"{key}.npy" if f"{key}.npy" in names else key)) as member:
        version = np.lib.format.read_magic(member)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(member)
    return Announced(shape, dtype)


def _encoded(
    columns: Mapping[str, NDArray[Any]], kind: type[Task], keys: Mapping[str, str]
) -> tuple[dict[str, Labels], tuple[str, ...]]:
    """Return labels that are not indices of names; grades as classes, which have no order yet."""
    # as text, so that labels mean the same here as in folders and tables
    texts = {part: _texts(array, kind, keys[part]) for part, array in columns.items()}
    return (tasks.kind("classes") if kind.ordered else kind).encode(texts)


def _texts(labels: NDArray[Any], kind: type[Task], key: str) -> list[str]:
    """Return labels (N,) as text.

    Raises: DataError for what is no label, with the first row that has it.
    """
    if labels.dtype.kind not in "biufSU":
        raise DataError(f"`{key}` is {labels.dtype}; labels must be integers, numbers or text.")
    values = labels.tolist()
    texts = [label_text(value, (), where=f"`{key}`, row {row}") for row, value in enumerate(values)]
    if blank := [row for row, text in enumerate(texts) if kind.is_missing(text, PLAIN)]:
        raise DataError(
            f"`{key}` has {len(blank):,} rows without a label, for example row {blank[0]}; remove their images."
        )
    kind.check_raw(labels, key)
    for row, text in enumerate(texts):
        try:
            kind.check_written(text, PLAIN)
        except DataError as error:
            raise DataError(f"`{key}`, row {row}: {error}") from error
    return texts


def _pair(content: Collection[str], keys: Sequence[tuple[str, str]]) -> tuple[str, str] | None:
    return next(((x, y) for x, y in keys if x in content and y in content), None)


def _as_column(key: str, labels: NDArray[Any], count: int) -> NDArray[Any]:
    if labels.size != count or labels.shape[0] != count:
        hint = " Several labels per image need `--task labels`." if labels.ndim == 2 and len(labels) == count else ""
        raise DataError(
            f"`{key}` has shape {labels.shape}; expected one label for each of {count} images, ({count},).{hint}"
        )
    return labels.reshape(count)  # from (N, 1) too


def _as_rows(key: str, labels: NDArray[Any], count: int) -> NDArray[np.float32]:
    """Return (N, L) float32 of 1, 0, and NaN for what is not known."""
    if labels.ndim != 2 or len(labels) != count or not labels.size or labels.dtype.kind not in "biuf":
        raise DataError(
            f"`{key}` is {labels.dtype} of shape {labels.shape}; `--task labels` needs ({count}, L): for each of "
            "the L labels 1, 0, or NaN if unknown."
        )
    others = labels[~np.isnan(labels) & (labels != 0) & (labels != 1)]
    if others.size:
        raise DataError(f"`{key}` contains {others[0]:g}; `--task labels` needs 1, 0, or NaN if a label is unknown.")
    return labels.astype(np.float32)


def _with_rows(rows: Mapping[str, Labels], names: Sequence[str]) -> tuple[dict[str, Labels], tuple[str, ...]]:
    """Return labels (N, L), and their names, which are numbers where there are none."""
    widths = {labels.shape[1] for labels in rows.values()}
    if len(widths) > 1 or (names and {len(set(names))} != widths):
        shapes = ", ".join(f"{labels.shape} in `{part}`" for part, labels in rows.items())
        named = f"; `classes` has {len(set(names))} different names" if names else ""
        raise DataError(f"The labels have the shapes {shapes}{named}; they need a column for each name in every split.")
    return dict(rows), tuple(names) or tuple(map(str, range(*widths)))


def _with_names(raw: Mapping[str, NDArray[Any]], names: Sequence[str]) -> tuple[dict[str, Labels], tuple[str, ...]]:
    """Return labels that are indices into the class names, which keep their order."""
    for part, labels in raw.items():
        if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= len(names):
            raise DataError(f"With `classes`, the labels of `{part}` must be integers 0..{len(names) - 1}.")
    return {part: labels.astype(np.int64) for part, labels in raw.items()}, tuple(names)
