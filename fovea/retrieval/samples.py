"""The samples of data one by one, as an index knows them: where each is, what it looks like, and what is in it."""

import hashlib
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.data.dataset import PARTS, Dataset, Part
from fovea.errors import ImageError, StorageError, UsageError
from fovea.files import open_regular
from fovea.inputs.interface import Preprocessing, Stored
from fovea.retrieval.index import Look, Rows

GROUP = 32
"""Samples that one thread reads after another."""
AHEAD_BYTES = 64 << 20
"""Of samples that are read before they are wanted."""
YOUNG_NS = 2_000_000_000
"""A file that was changed so shortly before may change again without looking different."""


class Read(NamedTuple):
    """A sample that was looked into."""

    position: int
    """Among the samples of the listing."""
    digest: bytes = b""
    """SHA-256 of its file, or of its values in an array."""
    look: Look = Look(0, 0)
    sample: Stored | None = None
    """None if it was read before, or cannot be."""
    reason: str = ""
    """Why it cannot be read."""


@dataclass(frozen=True)
class Listing:
    """All samples of a data set, in its order."""

    parts: Sequence[Part]
    rows: Rows
    """Digests and looks are zeros: nothing has been looked into."""
    places: NDArray[np.int64]
    """(N, 2): which of `parts`, and which row of it."""

    def __len__(self) -> int:
        return len(self.places)

    def place(self, position: int) -> tuple[Part, int]:
        """Return the part in which a sample is, and its row there."""
        part, row = self.places[position]
        return self.parts[part], int(row)

    def look(self, position: int) -> Look:
        """Return what a file looks like now; zeros if it is no file or no longer exists."""
        part, row = self.place(position)
        return Look(0, 0) if part.files is None else look_at(part.files[row])


def listed(dataset: Dataset, *, dropped: Sequence[str] = (), labelled: bool = True) -> Listing:
    """Return the samples of a data set but those whose names match one of the patterns `dropped`.

    Labels are -1 where they are not asked for. Raises: UsageError if no sample is left.
    """
    parts = tuple(dataset.parts.values())
    places = [
        (number, row)
        for number, part in enumerate(parts)
        for row, name in enumerate(part.names)
        if not is_dropped(name, dropped)
    ]
    if not places:
        raise nothing_left(dataset.name)
    found = np.array(places, np.int64)
    N = len(found)
    kinds = np.array([PARTS.index(name) for name in dataset.parts], np.uint8)
    labels = np.concatenate([part.labels[found[found[:, 0] == number, 1]] for number, part in enumerate(parts)])
    rows = Rows(
        names=[parts[number].names[row] for number, row in places],
        parts=kinds[found[:, 0]],
        labels=labels if labelled else np.full(N, -1, np.int64),
        digests=np.zeros((N, 32), np.uint8),
        looks=np.zeros((N, 2), np.int64),
    )
    return Listing(parts, rows, found)


def is_dropped(name: str, patterns: Sequence[str]) -> bool:
    """Tell whether a name matches one of the patterns, in which `*` stands for anything, also for `/`."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def nothing_left(name: str) -> UsageError:
    """Return the error for patterns that match every sample."""
    return UsageError(f"`--drop` excludes all of `{name}`; exclude less, or include a pattern again with `--restore`.")


def look_at(path: Path) -> Look:
    """Return what a file looks like from outside, or a folder that is a sample; zeros where there is none."""
    try:
        status = [each.stat() for each in (path, *_inside(path))]
    except OSError:
        return Look(0, 0)
    files = status if len(status) == 1 else status[1:]
    return Look(sum(each.st_size for each in files), max(each.st_mtime_ns for each in status))


def digest_of(path: Path) -> bytes:
    """Return SHA-256 of a file; of a folder that is a sample, of the names and digests of its files.

    Raises: OSError for what cannot be read.
    """
    if not path.is_dir():
        with open_regular(path) as stream:
            return hashlib.file_digest(stream, "sha256").digest()  # type: ignore[arg-type]  # it reads into memory, too
    lines = (f"{file.name}\0".encode(errors="surrogateescape") + digest_of(file) for file in _inside(path))
    return hashlib.sha256(b"".join(lines)).digest()


def read_ahead(
    listing: Listing, positions: NDArray[np.int64], preprocess: Preprocessing, known: Mapping[bytes, int]
) -> Iterator[list[Read]]:
    """Yield the samples at `positions` (n,) int64 in groups, in order, read by threads before they are wanted.

    One whose digest is `known` is not decoded.
    """
    sample_bytes = int(np.prod(preprocess.stored_shape)) * np.dtype(preprocess.dtype).itemsize
    group = max(1, min(GROUP, AHEAD_BYTES // (4 * sample_bytes)))
    ahead = max(2, min(64, AHEAD_BYTES // (group * sample_bytes)))
    starts = range(0, len(positions), group)
    waiting: list[Future[list[Read]]] = []
    with ThreadPoolExecutor() as pool:
        try:
            for start in starts:
                waiting.append(pool.submit(_read_group, listing, positions[start : start + group], preprocess, known))
                if len(waiting) == ahead:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            for left in waiting:
                left.cancel()


def _read_group(
    listing: Listing, positions: NDArray[np.int64], preprocess: Preprocessing, known: Mapping[bytes, int]
) -> list[Read]:
    return [_read(listing, int(position), preprocess, known) for position in positions]


def _read(listing: Listing, position: int, preprocess: Preprocessing, known: Mapping[bytes, int]) -> Read:
    part, row = listing.place(position)
    source: Path | Stored
    if part.files is None:
        values = np.ascontiguousarray(part.decoded[row])
        digest, look, source = _digest_of_values(values), Look(0, 0), values
    else:
        # what it looks like is noted first: where it changes while it is read, the next run sees that
        path = part.files[row]
        look, source = _settled(look_at(path)), path
        try:
            digest = digest_of(path)
        except (OSError, StorageError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            return Read(position, reason=f"it cannot be read: {reason}")
    if digest in known:
        return Read(position, digest, look)
    try:
        return Read(position, digest, look, _stored(source, preprocess))
    except ImageError as error:
        return Read(position, digest, look, reason=str(error).removeprefix(f"`{source}`: ").rstrip("."))


def _stored(source: Path | Stored, preprocess: Preprocessing) -> Stored:
    if isinstance(source, np.ndarray) and source.shape == preprocess.stored_shape:
        return source
    return preprocess.read(source)


def _settled(look: Look) -> Look:
    """Return a look, without its time where that is too near to tell a later change by it."""
    return look if time.time_ns() - look.modified_ns > YOUNG_NS else look._replace(modified_ns=0)


def _digest_of_values(values: NDArray[Any]) -> bytes:
    digest = hashlib.sha256(f"{values.shape} {values.dtype.str}".encode())
    digest.update(values.data)
    return digest.digest()


def _inside(path: Path) -> list[Path]:
    """Return the files of a folder that is a sample; none of a file."""
    if not stat.S_ISDIR(path.stat().st_mode):
        return []
    return sorted(file for file in path.iterdir() if file.is_file())
