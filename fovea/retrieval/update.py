"""An index brought up to date with its data: only what is new or changed is embedded, what no longer exists is dropped.

What is done is written from time to time, so that a kill costs a minute: an index that is not complete is as whole as
one that is, and the next run continues with it. Rows are in the order of the data, however often it was interrupted.
"""

import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.data.dataset import BadFile
from fovea.errors import StorageError, UsageError
from fovea.inputs.interface import Preprocessing, Stored
from fovea.retrieval.index import Index, Look, Rows
from fovea.retrieval.index_file import write_index
from fovea.retrieval.neighbours import Floats, Progress, squared_norms
from fovea.retrieval.samples import Listing, Read, read_ahead

UNSAVED_S = 60.0
"""How long embeddings wait until they are on the disk."""
SAVING_SHARE = 0.1
"""Of the time that writing may take on the way."""

SAID = ("maker", "metric", "task", "classes", "data", "model_file", "data_place", "complete", "dropped")
"""What a file says beside its rows."""

Embed = Callable[[Stored], Floats]
"""Stored samples (n, ...) -> (n, D) float32."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What an index is made of."""

    listing: Listing
    preprocess: Preprocessing
    embed: Embed
    batch: int
    """Samples that are embedded at a time."""
    half: bool
    """Whether embeddings are stored as float16."""


class Changes(NamedTuple):
    """What a run has done to an index."""

    embedded: int
    """New images, and those that had changed."""
    kept: int
    """Those that were there, under this name or another."""
    dropped: int
    """Names that are no more in the data."""
    bad_files: tuple[BadFile, ...]
    """Those that cannot be read."""


class Gathered:
    """Rows of two arrays (M, D) and (n, D), the second counted on from the first, as one array (N, D)."""

    def __init__(self, first: Floats, second: Floats, source: NDArray[np.int64]) -> None:
        self._first, self._second, self._source = first, second, source
        self.dtype = first.dtype
        self.shape = len(source), first.shape[1]

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, rows: slice) -> Floats:
        source = self._source[rows]
        found = np.empty((len(source), self.shape[1]), self.dtype)
        old = source < len(self._first)
        found[old] = self._first[source[old]]
        if not old.all():
            found[~old] = self._second[source[~old] - len(self._first)]
        return found


class _Fresh:
    """Embeddings (n, D) that are new, in a file without a name, which goes with its process."""

    def __init__(self, folder: Path, dtype: str) -> None:
        self._file: BinaryIO = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (it lives as long as this object)
        self._dtype = np.dtype(dtype)
        self.shape = 0, 0
        self.squares = list[NDArray[np.float32]]()

    def close(self) -> None:
        """Give the file back; what is mapped stays."""
        self._file.close()

    def append(self, embeddings: Floats) -> None:
        """Add rows; UsageError if they are too large for their type."""
        with np.errstate(over="ignore"):
            stored = np.ascontiguousarray(embeddings, self._dtype)
        squares = squared_norms(stored)
        if not np.isfinite(squares).all():
            way = "leave out `--half`" if self._dtype.itemsize == 2 else "choose another layer"
            raise UsageError(f"The embeddings are too large for half precision; {way}.")
        self._file.write(stored.data)
        self.squares.append(squares)
        self.shape = self.shape[0] + len(stored), stored.shape[1]

    def array(self) -> Floats:
        """Return all of them, mapped; (0, 0) where there are none."""
        self._file.flush()
        if not self.shape[0]:
            return np.empty(self.shape, self._dtype)
        return np.memmap(self._file, self._dtype, "r", shape=self.shape)


class Update:
    """The work on one index."""

    def __init__(self, path: Path, wanted: Index, old: Index | None, work: Work) -> None:
        """Take what is to come out, but for its rows and embeddings, and what is there by the same maker, if any."""
        self.path, self.wanted, self.old, self.work = path, wanted, old, work
        self.rows = work.listing.rows
        self._known = {} if old is None else {bytes(digest): row for row, digest in enumerate(old.rows.digests)}
        self._source = np.full(len(work.listing), -1, np.int64)
        self._saved_s, self._saving_s = time.monotonic(), 0.0

    def run(self, progress: Progress) -> Changes:
        """Embed what has to be, write the index, and return what was done.

        Raises: StorageError if it cannot be written; whatever embeds may raise.
        """
        try:
            with closing(_Fresh(self.path.parent, "<f2" if self.work.half else "<f4")) as self._fresh:
                bad = self._embed(progress)
                if self._fresh.shape[0] or not self._unchanged():
                    self.save(complete=True)
        except OSError as error:
            if isinstance(error, StorageError):
                raise
            reason = error.strerror or str(error)
            raise StorageError(
                f"`{self.path}` cannot be written ({reason}); free some disk space or choose another folder."
            ) from error
        embedded, there = self._fresh.shape[0], np.flatnonzero(self._source >= 0)
        names = {self.rows.key(row) for row in there.tolist()}
        before = set() if self.old is None else {self.old.rows.key(row) for row in range(len(self.old))}
        return Changes(embedded, len(there) - embedded, len(before - names), tuple(bad))

    def _embed(self, progress: Progress) -> list[BadFile]:
        """Fill `_source`, and return the files that cannot be read."""
        positions = self._keep_unchanged()
        total, bad, waiting = len(self._source), list[BadFile](), list[Read]()
        done = total - len(positions)
        progress(done, total)
        try:
            for group in read_ahead(self.work.listing, positions, self.work.preprocess, self._known):
                bad += [BadFile(self.rows.names[read.position], read.reason) for read in group if read.reason]
                self._keep_known(group)
                waiting += [read for read in group if read.sample is not None]
                done += len(group)
                if len(waiting) >= self.work.batch:
                    self._embed_all(waiting)
                    progress(done, total)
                    self._save_in_time()
            self._embed_all(waiting)
        except KeyboardInterrupt:
            self.save(complete=False)
            raise
        progress(total, total)
        return bad

    def _keep_unchanged(self) -> NDArray[np.int64]:
        """Keep the files that look as they did, and return the positions of the other samples."""
        if self.old is None:
            return np.arange(len(self._source))
        row_of = {self.old.rows.key(row): row for row in range(len(self.old))}
        looks, digests = self.old.rows.looks, self.old.rows.digests
        for position in range(len(self._source)):
            row, look = row_of.get(self.rows.key(position)), self.work.listing.look(position)
            # a time of 0 is that of no file, or of one that was just being written
            if row is not None and look.modified_ns and look == tuple(looks[row]):
                self._note(position, row, look, digests[row])
        return np.flatnonzero(self._source < 0)

    def _keep_known(self, group: list[Read]) -> None:
        """Keep what is in the index by its content."""
        for read in group:
            if (row := self._known.get(read.digest)) is not None:
                self._note(read.position, row, read.look, np.frombuffer(read.digest, np.uint8))

    def _note(self, position: int, source: int, look: Look, digest: NDArray[np.uint8]) -> None:
        self._source[position] = source
        self.rows.looks[position] = look
        self.rows.digests[position] = digest

    def _embed_all(self, waiting: list[Read]) -> None:
        """Embed the samples that wait, and forget them."""
        if not waiting:
            return
        first = (0 if self.old is None else len(self.old)) + self._fresh.shape[0]
        self._fresh.append(self.work.embed(np.stack([read.sample for read in waiting if read.sample is not None])))
        for number, read in enumerate(waiting):
            self._note(read.position, first + number, read.look, np.frombuffer(read.digest, np.uint8))
        waiting.clear()

    def _save_in_time(self) -> None:
        if time.monotonic() - self._saved_s > max(UNSAVED_S, self._saving_s / SAVING_SHARE):
            self.save(complete=False)

    def save(self, *, complete: bool) -> None:
        """Write the index as far as it is."""
        began_s = time.monotonic()
        there = np.flatnonzero(self._source >= 0)
        if not len(there):
            return
        write_index(self.path, self._index(there, complete=complete))
        self._saved_s = time.monotonic()
        self._saving_s = self._saved_s - began_s

    def _index(self, there: NDArray[np.int64], *, complete: bool) -> Index:
        """Return the index of the samples at these positions."""
        fresh, source = self._fresh.array(), self._source[there]
        squares = np.concatenate([np.empty(0, np.float32), *self._fresh.squares])
        first: Any = np.empty((0, fresh.shape[1]), fresh.dtype)
        if self.old is not None:
            first, squares = self.old.embeddings, np.concatenate([self.old.squares, squares])
        return replace(
            self.wanted,
            embeddings=Gathered(first, fresh, source),  # type: ignore[arg-type]  # sliced, as an array is
            squares=squares[source],
            rows=selected(self.rows, there),
            complete=complete,
        )

    def _unchanged(self) -> bool:
        """Tell whether the file says already what it would say."""
        old, there = self.old, np.flatnonzero(self._source >= 0)
        if old is None or not np.array_equal(self._source[there], np.arange(len(old))):
            return False
        rows = selected(self.rows, there)
        arrays = ((getattr(rows, name), getattr(old.rows, name)) for name in ("parts", "labels", "digests", "looks"))
        return (
            all(getattr(self.wanted, name) == getattr(old, name) for name in SAID)
            and list(rows.names) == list(old.rows.names)
            and all(np.array_equal(now, then) for now, then in arrays)
        )


def selected(rows: Rows, which: NDArray[np.int64]) -> Rows:
    """Return some of the rows: those at `which` (n,) int64."""
    return Rows(
        names=[rows.names[index] for index in which],
        parts=rows.parts[which],
        labels=rows.labels[which],
        digests=rows.digests[which],
        looks=rows.looks[which],
    )
