"""CIFAR-10 and CIFAR-100 as published: Python pickles or binary files, in a folder or a tar (Krizhevsky 2009)."""

import io
import pickle
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.data.dataset import Dataset
from fovea.data.sources.archives import Progress, members
from fovea.data.sources.arrays import Arrays, parsed_once
from fovea.errors import DataError, FoveaError, first_line

IMAGE_BYTES = 3 * 32 * 32
MAX_MEMBER_BYTES = 1 << 28


class Version(NamedTuple):
    """One of the four published forms: its inner folder, and which file holds what."""

    name: str
    folder: str
    train: tuple[str, ...]
    test: str
    names: str
    label_bytes: int  # of a binary record; the last one is the (fine) label. 0: pickled


VERSIONS = (
    Version(
        "cifar10",
        "cifar-10-batches-py",
        tuple(f"data_batch_{index}" for index in range(1, 6)),
        "test_batch",
        "batches.meta",
        0,
    ),
    Version(
        "cifar10",
        "cifar-10-batches-bin",
        tuple(f"data_batch_{index}.bin" for index in range(1, 6)),
        "test_batch.bin",
        "batches.meta.txt",
        1,
    ),
    Version("cifar100", "cifar-100-python", ("train",), "test", "meta", 0),
    Version("cifar100", "cifar-100-binary", ("train.bin",), "test.bin", "fine_label_names.txt", 2),
)

Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]


def cifar_version(path: Path) -> Version | None:
    """Return which form a folder or tar archive holds, or None; of an archive only the first member is looked at."""
    if path.is_dir():
        return next((version for version in VERSIONS if _home(path, version)), None)
    try:
        first = next(members(path), None)
    except Exception:  # whatever a damaged archive makes its library raise: unpacking it says what is wrong
        return None
    pieces = PurePosixPath(first.name).parts if first else ()
    return next((version for version in VERSIONS if version.folder in pieces), None)


def load_cifar(path: Path, version: Version, *, progress: Progress | None = None) -> Dataset:
    """Return CIFAR-10 or CIFAR-100 (its fine labels) from its folder or archive.

    Raises: DataError for a file that is missing, damaged, or a pickle of anything but arrays and text.
    """
    folder = _home(path, version)
    sources = [folder / file for file in (*version.train, version.test, version.names)] if folder else [path]
    return parsed_once(sources, partial(_parse, path, version, progress), name=version.name)


class _ArraysOnly(pickle._Unpickler):
    """Admits what NumPy's arrays and Python 2's text are pickled as, and nothing that could act.

    It is the one written in Python: that in C takes as much memory as the number of an object says, which may be any.
    """

    def find_class(self, module: str, name: str) -> Any:
        """Return one of four harmless constructors.

        Raises: UnpicklingError for any other name.
        """
        # the function behind `__reduce__` is `_reconstruct`, under either name that NumPy has given its module
        allowed = {
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
            ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
            ("_codecs", "encode"): _latin1,
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"it needs `{module}.{name}`, which is neither an array nor text")
        return allowed[module, name]


def _latin1(text: str, _encoding: str) -> bytes:
    return text.encode("latin-1")


def _home(path: Path, version: Version) -> Path | None:
    wanted = (*version.train, version.test, version.names)
    places = (path, path / version.folder)
    return next((place for place in places if all((place / file).is_file() for file in wanted)), None)


def _parse(path: Path, version: Version, progress: Progress | None) -> Arrays:
    batches, classes = _batches(path, version, progress)
    missing = [name for name in (*version.train, version.test) if name not in batches]
    if missing or len(classes) < 2:
        raise DataError(f"`{path}` has no `{(*missing, version.names)[0]}`; download it again.")
    parts = {"train": version.train, "test": (version.test,)}
    pixels = {part: np.concatenate([batches[file][0] for file in files]) for part, files in parts.items()}
    labels = {part: np.concatenate([batches[file][1] for file in files]) for part, files in parts.items()}
    if any(array.min() < 0 or array.max() >= len(classes) for array in labels.values()):
        raise DataError(f"`{path}` has labels beyond its {len(classes)} class names; download it again.")
    return Arrays(pixels, labels, classes, version.name)


def _batches(path: Path, version: Version, progress: Progress | None) -> tuple[dict[str, Batch], tuple[str, ...]]:
    """Return the batches by file name, and the class names."""
    batches: dict[str, Batch] = {}
    classes: tuple[str, ...] = ()
    total = len(version.train) + 2  # the test batch and the names
    for count, (name, content) in enumerate(_contents(path, version), 1):
        try:
            if name == version.names:
                classes = _class_names(content, pickled=not version.label_bytes)
            elif version.label_bytes:
                batches[name] = _binary_batch(content, label_bytes=version.label_bytes)
            else:
                batches[name] = _pickled_batch(content)
        except Exception as error:  # a malformed pickle raises anything
            reason = first_line(error).rstrip(".")
            raise DataError(
                f"`{name}` in `{path}` differs from the published file: {reason}. Download it again."
            ) from error
        if progress:
            progress(f"reading {path.name}", count, total)
    return batches, classes


def _contents(path: Path, version: Version) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the files wanted, one at a time, from a folder or in the order of an archive."""
    wanted = (*version.train, version.test, version.names)
    folder = _home(path, version)
    if folder:
        for file in wanted:
            if (folder / file).stat().st_size <= MAX_MEMBER_BYTES:
                yield file, (folder / file).read_bytes()
        return
    try:
        for member in members(path):
            source = member.open() if member.is_file and PurePosixPath(member.name).name in wanted else None
            if source is None:
                continue
            with source:
                content = source.read() if member.size_bytes <= MAX_MEMBER_BYTES else None
            if content is not None:
                yield PurePosixPath(member.name).name, content
    except FoveaError:
        raise
    except Exception as error:  # a damaged archive: its library raises whatever it meets
        raise DataError(f"`{path}` is damaged: {first_line(error).rstrip('.')}. Download it again.") from error


def _pickled_batch(content: bytes) -> Batch:
    batch = _unpickled(content)
    labels = np.array(batch[b"fine_labels"] if b"fine_labels" in batch else batch[b"labels"], np.int64)
    images = _images(np.asarray(batch[b"data"]))
    if labels.shape != (len(images),):
        raise ValueError(f"{len(images)} images but labels of shape {labels.shape}")
    return images, labels


def _binary_batch(content: bytes, *, label_bytes: int) -> Batch:
    records = np.frombuffer(content, np.uint8).reshape(-1, label_bytes + IMAGE_BYTES)
    # of CIFAR-100 the coarse label comes first, the fine one second
    return _images(records[:, label_bytes:]), records[:, label_bytes - 1].astype(np.int64)


def _images(rows: NDArray[Any]) -> NDArray[np.uint8]:
    """(N, 3072) uint8, planes of red, green and blue -> (N, 32, 32, 3)."""
    if rows.dtype != np.uint8 or rows.shape[1:] != (IMAGE_BYTES,) or not len(rows):
        raise ValueError(f"{rows.dtype} of shape {rows.shape} instead of uint8 (N, {IMAGE_BYTES})")
    return np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def _class_names(content: bytes, *, pickled: bool) -> tuple[str, ...]:
    if not pickled:
        return tuple(content.decode().split())
    meta = _unpickled(content)
    names = meta[b"fine_label_names"] if b"fine_label_names" in meta else meta[b"label_names"]
    return tuple(name.decode() for name in names)


def _unpickled(content: bytes) -> Any:
    # "bytes": Python 2's text stays bytes, so keys are b"data", and old arrays need no guess at an encoding
    with warnings.catch_warnings(action="ignore"):  # NumPy's, of how older ones of it pickled
        return _ArraysOnly(io.BytesIO(content), encoding="bytes").load()
