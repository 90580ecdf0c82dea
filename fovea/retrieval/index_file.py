"""An index as a file: safetensors with one metadata key `fovea`, written whole or not at all, mapped and not read.

docs/search.md describes it. Embeddings lie first, so that they begin where memory likes it.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, overload

import numpy as np
from numpy.typing import NDArray

import fovea
from fovea import inputs, tasks
from fovea.card import MAX_CARD_LENGTH, json_object
from fovea.data.dataset import PARTS
from fovea.errors import BundleError, FoveaError, StorageError, UsageError, first_line, unreadable
from fovea.fields import Fields
from fovea.files import check_regular, no_file
from fovea.retrieval import SUFFIX
from fovea.retrieval.index import Index, Maker, Rows, check_patterns
from fovea.retrieval.neighbours import METRICS
from fovea.storage import write_atomically
from fovea.tensor_file import Entry, check_place, read_table, write_header

FORMAT = 1
"""The newest format of indices that this version reads, and the one it writes."""
BLOCK_BYTES = 8 << 20
TYPES: Mapping[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "I64": np.dtype("<i8"),
    "U8": np.dtype("u1"),
}
NAMES = {dtype: name for name, dtype in TYPES.items()}
LAYOUT: Mapping[str, tuple[tuple[str, ...], int]] = {
    "embeddings": (("F32", "F16"), 2),
    "squares": (("F32",), 1),
    "looks": (("I64",), 2),
    "ends": (("I64",), 1),
    "labels": (("I64", "F32"), 0),
    "digests": (("U8",), 2),
    "parts": (("U8",), 1),
    "names": (("U8",), 1),
}
"""The tensors in the order in which they lie: their types, and how many axes they have, 0 for one or two."""


class Names(Sequence[str]):
    """The names of N images, which lie one after the other as UTF-8 and are decoded when they are asked for."""

    def __init__(self, text: NDArray[np.uint8], ends: NDArray[np.int64]) -> None:
        self._text, self._ends = text, ends

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        if isinstance(row, slice):
            return [self[index] for index in range(*row.indices(len(self)))]
        row = row + len(self) if row < 0 else row
        first = 0 if row == 0 else int(self._ends[row - 1])
        return bytes(self._text[first : int(self._ends[row])]).decode(errors="replace")


def index_path(place: str | Path, *, option: str = "index") -> Path:
    """Return the path of an index, whether or not there is one; UsageError for another suffix."""
    path = Path(place)
    if path.suffix != SUFFIX:
        raise UsageError(f"`{option}` (={path}) must end in {SUFFIX}.")
    return path


def write_index(path: Path, index: Index) -> None:
    """Write an index; what is at `path` stays until the new one is whole. Raises: StorageError."""
    names = [name.encode(errors="replace") for name in index.rows.names]
    rows = index.rows
    arrays: dict[str, Any] = {
        "embeddings": index.embeddings,
        "squares": index.squares,
        "looks": rows.looks,
        "ends": np.cumsum([len(name) for name in names], dtype=np.int64),
        "labels": rows.labels,
        "digests": rows.digests,
        "parts": rows.parts,
        "names": np.frombuffer(b"".join(names), np.uint8),
    }
    tensors = {name: (NAMES[a.dtype], a.shape, math.prod(a.shape) * a.dtype.itemsize) for name, a in arrays.items()}
    header = write_header({"fovea": _text(index, path)}, tensors)
    write_atomically(path, _content(header, arrays.values()))


def read_index(path: str | Path) -> Index:
    """Return the index in a file, its embeddings mapped: they are read where they are asked for.

    Raises:
        UsageError: another suffix, or no such file.
        BundleError: the file is truncated, foreign, hostile or of a newer format.
        StorageError: it cannot be read.
    """
    path = index_path(path)
    if reason := no_file(path):
        raise UsageError(f"`{path}`: {reason}; create an index with `fovea index MODEL DATA --out {path.name}`.")
    check_regular(path)
    try:
        with path.open("rb") as file:
            metadata, entries = read_table(file, os.fstat(file.fileno()).st_size, path.name)
            values = _values(metadata, path.name)
            arrays = _arrays(file, entries, path.name)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise unreadable(path, error) from error
    try:
        return _index(Fields(values, BundleError), arrays)
    except FoveaError as error:
        raise BundleError(f"`{path.name}`: {first_line(error).rstrip('.')}; make the index again.") from error


def safe_place(place: str) -> bool:
    """Tell whether a path in a file leads nowhere but below the folder of that file."""
    parts = PurePosixPath(place)
    return not (parts.is_absolute() or ".." in parts.parts or "\0" in place or "\\" in place or ":" in place)


def _text(index: Index, path: Path) -> str:
    """Return the JSON of the metadata."""
    maker = index.maker
    values = {
        "index": FORMAT,
        "fovea": fovea.__version__,
        "model": {"file": index.model_file, "sha256": maker.model_sha256},
        "layer": {"path": maker.layer, "entering": maker.entering},
        "preprocess": dict(maker.preprocess),
        "metric": index.metric,
        "task": index.task,
        "classes": list(index.classes),
        "data": {"name": index.data, "place": index.data_place},
        "complete": index.complete,
        "dropped": list(index.dropped),
    }
    text = json.dumps(values)
    if len(text) > MAX_CARD_LENGTH:
        raise UsageError(
            f"The metadata of `{path.name}` would have {len(text):,} characters; the limit is {MAX_CARD_LENGTH:,}. "
            "The data has too many classes; index it with `--unlabelled`."
        )
    return text


def _content(header: bytes, arrays: Any) -> Iterator[bytes | memoryview]:
    yield header
    for array in arrays:
        rows = max(1, BLOCK_BYTES // max(1, array.dtype.itemsize * math.prod(array.shape[1:])))
        for first in range(0, len(array), rows):
            yield np.ascontiguousarray(array[first : first + rows]).data.cast("B")


def _values(metadata: Mapping[str, Any] | None, source: str) -> dict[str, Any]:
    text = (metadata or {}).get("fovea")
    if not isinstance(text, str):
        raise BundleError(
            f"`{source}` is a safetensors file but not an index: it has no `fovea` entry in its metadata."
        )
    if len(text) > MAX_CARD_LENGTH:
        raise BundleError(f"The metadata of `{source}` has {len(text):,} characters; the limit is {MAX_CARD_LENGTH:,}.")
    values = json_object(text, source, what="metadata")
    version = values.get("index")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        what = "a model file" if "architecture" in values else "of Fovea"
        raise BundleError(f"`{source}` is {what}, not an index; create one with `fovea index MODEL DATA`.")
    if version > FORMAT:
        raise BundleError(
            f"`{source}` has format {version}, and this version of Fovea reads up to format {FORMAT}; upgrade Fovea."
        )
    return values


def _arrays(file: BinaryIO, entries: Mapping[str, Entry], source: str) -> dict[str, NDArray[Any]]:
    """Return the tensors, mapped; BundleError if one is missing, or not as `LAYOUT` has it."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, (types, axes) in LAYOUT.items():
        entry = entries.get(name)
        if entry is None or entry.dtype not in types or len(entry.shape) not in ((axes,) if axes else (1, 2)):
            raise BundleError(
                f"`{source}` is not an index of this version: its `{name}` is missing or of the wrong type."
            )
        check_place(entry, name, source)
        arrays[name] = _mapped(file, entry)
    N = len(arrays["embeddings"])
    if any(len(arrays[name]) != N for name in LAYOUT if name != "names"):
        raise BundleError(f"`{source}` is damaged: its tensors have different numbers of images.")
    return arrays


def _mapped(file: BinaryIO, entry: Entry) -> NDArray[Any]:
    dtype: np.dtype[Any] = TYPES[entry.dtype]
    if entry.begin == entry.end:  # nothing can be mapped
        return np.empty(entry.shape, dtype)
    # the open file and not its path, which may be another index by now
    mapped: Any = np.memmap(file, dtype, "r", offset=entry.begin, shape=entry.shape)
    found: NDArray[Any] = mapped.view(np.ndarray)
    return found


def _index(fields: Fields, arrays: Mapping[str, NDArray[Any]]) -> Index:
    model, layer, data = (fields.table(name) for name in ("model", "layer", "data"))
    preprocess = fields.table("preprocess").values
    inputs.from_dict(preprocess)
    metric, task, classes = fields.text("metric"), fields.text("task"), fields.texts("classes")
    if metric not in METRICS:
        raise BundleError(f"`metric` (={metric[:40]}) must be {' or '.join(METRICS)}")
    for name, place in (("model.file", model.text("file")), ("data.place", data.text("place"))):
        if not safe_place(place):
            raise BundleError(f"`{name}` is outside the folder of the index")
    rows = Rows(
        names=Names(arrays["names"], arrays["ends"]),
        **{name: arrays[name] for name in ("parts", "labels", "digests", "looks")},
    )
    _check_rows(arrays, task, classes)
    return Index(
        embeddings=arrays["embeddings"],
        squares=np.array(arrays["squares"]),  # read by every search; it may lie crooked in the file
        rows=rows,
        maker=Maker(
            model_sha256=model.text("sha256"),
            layer=layer.text("path"),
            entering=layer.switch("entering"),
            preprocess=preprocess,
        ),
        metric=metric,
        task=task,
        classes=classes,
        data=data.text("name"),
        model_file=model.text("file"),
        data_place=data.text("place"),
        complete=fields.switch("complete"),
        dropped=_patterns(fields),
    )


def _patterns(fields: Fields) -> tuple[str, ...]:
    """Return the patterns of dropped names; there are none in files of before there were any."""
    found = fields.texts("dropped", default=())
    check_patterns(found, BundleError)
    return found


def _check_rows(arrays: Mapping[str, NDArray[Any]], task: str, classes: Sequence[str]) -> None:
    """Raise BundleError if what is said of the images cannot be."""
    ends, parts, squares, labels = (arrays[name] for name in ("ends", "parts", "squares", "labels"))
    kind = tasks.kind(task)
    if len(ends) and (ends[0] < 0 or (np.diff(ends) < 0).any() or ends[-1] != len(arrays["names"])):
        raise BundleError("the table of names is damaged")
    if arrays["digests"].shape[1] != 32 or arrays["looks"].shape[1] != 2 or (parts >= len(PARTS)).any():
        raise BundleError("the table of images is damaged")
    if not (np.isfinite(squares).all() and (squares >= 0).all()):
        raise BundleError("the norms of the embeddings are damaged")
    whole = labels.dtype == np.int64
    fits = labels.ndim == 1 if whole else labels.ndim == 1 + kind.several
    least, most = (int(labels.min()), int(labels.max())) if whole and labels.size else (-1, -1)
    unlabelled = most < 0
    known = least >= (-1 if unlabelled else 0) and most < len(classes) if whole else _fits(labels, classes)
    if not (fits and known and (unlabelled or whole == (kind.has_classes and not kind.several))):
        raise BundleError("its labels do not match its classes")


def _fits(labels: NDArray[Any], classes: Sequence[str]) -> bool:
    return bool(np.isfinite(labels).all()) and (labels.ndim == 1 or labels.shape[1] == len(classes))
