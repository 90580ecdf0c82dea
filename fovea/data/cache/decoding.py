"""Decode many images in parallel into one file that survives a kill, a full disk and a second process.

An entry is a folder: `rows.u8` holds the decoded images one after the other, bad ones left out; `journal.jsonl` a
header and then one line per finished chunk, each line with its CRC-32; `lock` is held while either may change. Rows
reach the disk before their journal line does, so the journal never promises more than there is: what follows it is cut
off and decoded again.
"""

import json
import os
import shutil
import sys
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fovea.data.dataset import Images
from fovea.errors import ImageError, StorageError
from fovea.inputs.interface import Preprocessing

ROWS, JOURNAL, LOCK = "rows.u8", "journal.jsonl", "lock"
CHUNK_BYTES = 4_000_000
CHUNK_FILES = 256
CHECKED_CHUNKS = 32

Pixels = NDArray[np.uint8]
Sources = Sequence[Any] | Images
"""What rows are read from: paths, arrays, or what else a `Storing` takes."""


class Storing(Protocol):
    """How one row of an entry is made: a sample by its preprocessing, or a target that lies on one."""

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape of a row."""
        ...

    @property
    def dtype(self) -> str:
        """The type of its values."""
        ...

    def read(self, source: Any) -> NDArray[Any]:
        """Return one row, (H, W, C) uint8 of images; ImageError if it cannot be read."""
        ...


@dataclass(frozen=True, kw_only=True)
class StoredCut:
    """How a part of an image, a region or a window, becomes a row of the cache."""

    frame: Preprocessing
    read: Callable[[Any], NDArray[np.uint8]]
    """From a source to its pixels (H, W, C) uint8, as `frame` has them; ImageError if it cannot be read."""

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """(H, W, C)."""
        return self.frame.stored_shape

    @property
    def dtype(self) -> str:
        """That of pixels."""
        return self.frame.dtype


class Header(NamedTuple):
    """What an entry is to hold; the first line of its journal."""

    files: int
    """How many images there are to decode."""
    shape: tuple[int, ...]
    """(H, W, C) of each decoded one."""
    dtype: str = "uint8"
    """The type of its values; one that is not written, as in journals of earlier versions, is this."""

    @property
    def row_bytes(self) -> int:
        """Bytes of one decoded image."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize


class Chunk(NamedTuple):
    """Consecutive images that are on the disk; a further line of the journal."""

    files: int
    """How many images were tried, good and bad."""
    crc: int
    """CRC-32 of the rows of the good ones."""
    bad: Sequence[tuple[int, str]]
    """Index and reason of each one that could not be decoded."""

    @property
    def rows(self) -> int:
        """How many images of the chunk were good."""
        return self.files - len(self.bad)


def decode_into(
    folder: Path,
    sources: Sources,
    *,
    preprocess: Storing,
    workers: int,
    advance: Callable[[int], None],
) -> tuple[Pixels, list[tuple[int, str]]]:
    """Return the images as read-only uint8 (rows, H, W, C), and index and reason of each bad one, which has no row.

    Images that the entry in `folder` holds already are not decoded again. `advance` is called with the number of
    further ones done.
    A second process that wants the same entry waits for the first. Raises: StorageError.
    """
    header = Header(len(sources), preprocess.stored_shape, preprocess.dtype)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            chunks = _resume(folder, header)
            done = sum(chunk.files for chunk in chunks)
            advance(done)
            if done < header.files:
                _check_space(folder, (header.files - done) * header.row_bytes)
                with closing(_outcomes(sources, done, preprocess=preprocess, workers=workers)) as outcomes:
                    chunks += _append(folder, header, done=done, outcomes=outcomes, advance=advance)
            return _open_rows(folder, header, chunks), [(index, why) for chunk in chunks for index, why in chunk.bad]
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(
            f"Cannot store decoded images in `{folder}`: {error.strerror or error}. Images decoded so far are kept "
            "for the next run. Set `FOVEA_CACHE` to use another folder."
        ) from error


def read_journal(folder: Path) -> tuple[Header, list[Chunk]] | None:
    """Return what the journal of an entry says; None if there is none or a whole line of it is damaged."""
    try:
        header, *chunks = map(_unsealed, (folder / JOURNAL).read_bytes().split(b"\n")[:-1])
        files, shape, *dtype = header
        return Header(files, tuple(shape), *dtype), [Chunk(*chunk) for chunk in chunks]
    except (FileNotFoundError, ValueError, TypeError):
        return None


@contextmanager
def locked(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold an entry alone; the lock goes with its process, so a killed one leaves none. Marks the entry as used now.

    Raises: BlockingIOError if another process holds it and `wait` is false.
    """
    with (folder / LOCK).open("ab") as file:
        os.utime(folder / LOCK)
        _lock(file, wait)
        yield


if sys.platform == "win32":
    import msvcrt

    def _lock(file: BinaryIO, wait: bool) -> None:
        while True:
            try:
                return msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
            except OSError as error:  # LK_LOCK itself gives up after ten seconds
                if not wait:
                    raise BlockingIOError from error
else:
    import fcntl

    def _lock(file: BinaryIO, wait: bool) -> None:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


def _line(record: Header | Chunk) -> bytes:
    values = record[:2] if isinstance(record, Header) and record.dtype == "uint8" else record
    payload = json.dumps(values).encode()
    return b"%08x %s\n" % (zlib.crc32(payload), payload)


def _unsealed(line: bytes) -> Any:
    crc, _, payload = line.partition(b" ")
    if int(crc, 16) != zlib.crc32(payload):
        raise ValueError("the line is damaged")
    return json.loads(payload)


def _resume(folder: Path, header: Header) -> list[Chunk]:
    """Return the chunks that can be relied on, with the files cut to them; start afresh where something is wrong."""
    journal = read_journal(folder)
    if journal is not None and journal[0] == header and _rows_match(folder / ROWS, header, journal[1]):
        _cut(folder / JOURNAL, len(_line(header)) + sum(len(_line(chunk)) for chunk in journal[1]))
        _cut(folder / ROWS, sum(chunk.rows for chunk in journal[1]) * header.row_bytes)
        return journal[1]
    # Removed, not emptied: another process may still have the old rows mapped.
    (folder / ROWS).unlink(missing_ok=True)
    (folder / ROWS).touch()
    (folder / JOURNAL).write_bytes(_line(header))
    return []


def _cut(path: Path, size: int) -> None:
    if path.stat().st_size > size:
        os.truncate(path, size)


def _rows_match(path: Path, header: Header, chunks: list[Chunk]) -> bool:
    """Compare the size, and the checksums of at most `CHECKED_CHUNKS` chunks spread evenly from first to last."""
    ends = [0, *accumulate(chunk.rows * header.row_bytes for chunk in chunks)]
    if not path.exists() or path.stat().st_size < ends[-1]:
        return False
    with path.open("rb") as rows:
        for index in np.linspace(0, len(chunks) - 1, min(len(chunks), CHECKED_CHUNKS)).astype(int):
            rows.seek(ends[index])
            if zlib.crc32(rows.read(ends[index + 1] - ends[index])) != chunks[index].crc:
                return False
    return True


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StorageError(
            f"The decoded images need {needed / 1e9:.2f} GB in `{folder}` and {free / 1e9:.2f} GB are free. Clear "
            "old entries (`fovea cache --clear`), set `FOVEA_CACHE` to another folder, or choose a smaller "
            "`--size`."
        )


def _chunk_files(row_bytes: int) -> int:
    return max(1, min(CHUNK_FILES, CHUNK_BYTES // row_bytes))


def _outcomes(sources: Sources, first: int, *, preprocess: Storing, workers: int) -> Generator[Pixels | str]:
    """Yield the image or the reason against it, in order, from `first` on; at most one chunk is decoded ahead.

    Threads, as Pillow releases the interpreter's lock while it decodes and resizes.
    """
    ahead = workers + _chunk_files(int(np.prod(preprocess.stored_shape)))
    pending: deque[Future[Pixels | str]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for index in range(first, len(sources)):
            pending.append(pool.submit(_attempt, preprocess, sources[index]))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _attempt(preprocess: Storing, source: Path | Pixels) -> Pixels | str:
    try:
        return preprocess.read(source)
    except ImageError as error:
        return str(error).removeprefix(f"`{source}`: ").rstrip(".")


def _append(
    folder: Path,
    header: Header,
    *,
    done: int,
    outcomes: Iterator[Pixels | str],
    advance: Callable[[int], None],
) -> list[Chunk]:
    chunks = []
    with (folder / ROWS).open("ab") as rows, (folder / JOURNAL).open("ab") as journal:
        while batch := _told(islice(outcomes, _chunk_files(header.row_bytes)), advance):
            chunks.append(_write_chunk(rows, batch, first=done))
            done += len(batch)
            journal.write(_line(chunks[-1]))
            journal.flush()
    return chunks


def _write_chunk(rows: BinaryIO, batch: list[Pixels | str], *, first: int) -> Chunk:
    block = b"".join(image.tobytes() for image in batch if not isinstance(image, str))
    rows.write(block)
    rows.flush()
    os.fsync(rows.fileno())
    bad = [(first + i, reason) for i, reason in enumerate(batch) if isinstance(reason, str)]
    return Chunk(len(batch), zlib.crc32(block), bad)


def _told(outcomes: Iterator[Pixels | str], advance: Callable[[int], None]) -> list[Pixels | str]:
    batch = []
    for outcome in outcomes:
        batch.append(outcome)
        advance(1)
    return batch


def _open_rows(folder: Path, header: Header, chunks: list[Chunk]) -> Pixels:
    shape = (sum(chunk.rows for chunk in chunks), *header.shape)
    dtype = np.dtype(header.dtype)
    return np.memmap(folder / ROWS, dtype, mode="r", shape=shape) if shape[0] else np.zeros(shape, dtype)
