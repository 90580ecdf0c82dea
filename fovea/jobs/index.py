"""`fovea index`: what a network makes of every image of a data set, kept in a file to search in."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from fovea import inputs
from fovea.data.cache.decoded import check_bad
from fovea.data.dataset import BadFile, Dataset
from fovea.data.sources.download import checksum_of
from fovea.data.sources.source import NAMES, DataSource, Reading, reads_data
from fovea.data.sources.unlabelled import find_with_or_without_labels
from fovea.display import Display
from fovea.errors import DataError, UsageError, unknown
from fovea.evaluation.parts import chosen_part
from fovea.inputs.interface import Stored
from fovea.model.bundle import Bundle, load
from fovea.model.embedding import BATCH, Embedder, embedder_of
from fovea.retrieval.faiss_file import export_faiss, load_faiss
from fovea.retrieval.index import Index, Maker
from fovea.retrieval.index_file import index_path, read_index, safe_place
from fovea.retrieval.neighbours import Floats, check_metric
from fovea.retrieval.samples import listed
from fovea.retrieval.update import Changes, Update, Work
from fovea.storage import alone, check_writable, remove_temporary

EXPORTS = ("faiss",)


@dataclass(frozen=True, kw_only=True)
class IndexResult:
    """What an index holds now, and what was done to it."""

    path: Path
    images: int
    dimensions: int
    layer: str
    """What of the network an image is known by, as `before head.logits`."""
    changes: Changes
    bytes: int
    nouns: str = "images"
    exported: tuple[Path, ...] = ()
    """What was written for other libraries."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        changes = self.changes
        return {
            "index": str(self.path),
            "images": self.images,
            "dimensions": self.dimensions,
            "layer": self.layer,
            "bytes": self.bytes,
            "embedded": changes.embedded,
            "kept": changes.kept,
            "dropped": changes.dropped,
            "bad_files": [bad._asdict() for bad in changes.bad_files],
            "exported": [str(file) for file in self.exported],
        }

    def summary(self) -> list[str]:
        """Return what a person reads, line by line."""
        changes = self.changes
        done = f"{changes.embedded:,} embedded, {changes.kept:,} kept, {changes.dropped:,} dropped"
        bad = [f"not read: {bad.name} ({bad.reason})" for bad in changes.bad_files[:5]]
        more = [f"and {len(changes.bad_files) - 5:,} more"] if len(changes.bad_files) > 5 else []
        return [
            f"{self.path}: {self.images:,} {self.nouns}, {self.dimensions:,} numbers each, {self.bytes / 1e6:.1f} MB",
            f"{done}; {self.layer}",
            *bad,
            *more,
            *(f"written  {file}" for file in self.exported),
        ]


@dataclass(frozen=True, kw_only=True)
class _Made:
    """By which network an index is made."""

    model: Path
    bundle: Bundle
    embedder: Embedder
    maker: Maker


@reads_data
def index(
    model: str | Path,
    data: str | Path,
    *,
    out: str | Path,
    layer: str | None = None,
    metric: str = "l2",
    half: bool = False,
    export: str | None = None,
    drop: str | Sequence[str] = (),
    split: str = "whole",
    task: str | None = None,
    unlabelled: bool = False,
    allow_bad: bool = False,
    device: str = "auto",
    batch: int = BATCH,
    display: Display | None = None,
    **reading: Unpack[Reading],
) -> IndexResult:
    """Write what `model` makes of each image of `data` into the file `out`, or bring that up to date.

    What is there already, by the same network and layer, is kept: only new and changed files are embedded, and what is
    no more in the data is dropped, as are names that match a pattern of `drop`. Embeddings are what enters the last
    layer with weights, or what `layer` gives; float16 with `half`. `metric`, `l2` or `cosine`, is what `search` takes
    by default. `task` is how the labels are read, as the network's own where it is None; `unlabelled` takes every image
    below a folder and no labels. With `export`, `faiss`, it is also written for that library, with a CSV of its rows.

    Raises:
        BundleError: a model file that cannot be loaded.
        DataError: data that cannot be used.
        UsageError: an unknown layer, metric or part, another suffix of `out`.
        StorageError: the index cannot be written.
    """
    path = _checked(out, metric=metric, batch=batch, export=export)
    made = _made(Path(model), layer, device=device)
    display = display or Display(quiet=True)
    known = made.bundle.target.classes if task in (None, made.bundle.task) else None
    own = task or made.bundle.task
    given: Reading = {**reading, "input": reading.get("input") or made.bundle.preprocess.input}
    source = DataSource(data=data, task=own, known=known, allow_bad=allow_bad, **given)
    dataset, labelled = find_with_or_without_labels(source, unlabelled=unlabelled, progress=display.fetched)
    dataset = _fitting(dataset, made.bundle, split)
    for note in dataset.notes:
        display.note(f"data: {note}")
    listing = listed(dataset, dropped=[drop] if isinstance(drop, str) else drop, labelled=labelled)
    wanted = Index(
        embeddings=np.empty((0, 0), np.float32),
        squares=np.empty(0, np.float32),
        rows=listing.rows,
        maker=made.maker,
        metric=metric,
        task=own,
        classes=dataset.classes,
        data=dataset.name,
        model_file=_place(made.model, path) or made.model.name,
        data_place=str(data) if isinstance(data, str) and data in NAMES else _place(Path(data).expanduser(), path),
    )
    work = Work(
        listing=listing,
        preprocess=made.bundle.preprocess,
        embed=_embedding(made.embedder, batch),
        batch=batch,
        half=half,
    )
    changes = _updated(path, wanted, work, made, display)
    _check(dataset, changes, len(listing), allow_bad=allow_bad)
    return _result(path, changes, inputs.kind(dataset.input).nouns, export=export is not None)


def _checked(out: str | Path, *, metric: str, batch: int, export: str | None) -> Path:
    check_metric(metric)
    if export is not None:
        if export not in EXPORTS:
            raise unknown("form of an index", export, EXPORTS)
        load_faiss()  # before any work
    if batch < 1:
        raise UsageError(f"`batch` (={batch}) must be at least 1.")
    path = index_path(out, option="out")
    if not path.parent.is_dir():
        raise UsageError(f"`out` (={path}): there is no folder `{path.parent}`; make it first.")
    check_writable(path)
    return path


def _made(model: Path, layer: str | None, *, device: str) -> _Made:
    bundle = load(model, device=device)
    embedder = embedder_of(bundle, layer)
    maker = Maker(
        model_sha256=checksum_of(model, "sha256").partition(":")[2],
        layer=embedder.layer,
        entering=embedder.entering,
        preprocess=json.loads(json.dumps(bundle.preprocess.to_dict())),  # as a file gives it back: no tuples
    )
    return _Made(model=model, bundle=bundle, embedder=embedder, maker=maker)


def _fitting(dataset: Dataset, bundle: Bundle, split: str) -> Dataset:
    """Return the part of the data that is asked for; DataError where it is of another kind than the network sees."""
    if dataset.input != bundle.preprocess.input:
        raise DataError(
            f"`{dataset.name}` holds {inputs.kind(dataset.input).nouns}, and this network sees "
            f"{inputs.kind_of(bundle.preprocess).nouns}."
        )
    return chosen_part(dataset, split)[1]


def _embedding(embedder: Embedder, batch: int) -> Any:
    def embed(samples: Stored) -> Floats:
        return embedder(samples, batch=batch).features.numpy()

    return embed


def _updated(path: Path, wanted: Index, work: Work, made: _Made, display: Display) -> Changes:
    """Bring the file up to date, alone."""
    lock = path.with_name(f".{path.name[:200]}.lock")
    try:
        with alone(lock):
            remove_temporary(path.parent, of=path.name)
            old = _comparable(path, wanted, half=work.half, display=display)
            changes = Update(path, wanted, old, work).run(display.counter("embedding"))
            lock.unlink(missing_ok=True)
            return changes
    except BlockingIOError as error:
        raise UsageError(f"`{path}` is being written by another process; wait for its end.") from error


def _comparable(path: Path, wanted: Index, *, half: bool, display: Display) -> Index | None:
    """Return the index that is there, where what it holds can stand beside what is to come."""
    if not path.exists():
        return None
    old = read_index(path)
    if old.maker != wanted.maker:
        display.note(f"{path.name} was made by another model or layer: everything is embedded again")
        return None
    if old.embeddings.dtype != np.dtype("<f2" if half else "<f4"):
        display.note(f"{path.name} holds numbers of another precision: everything is embedded again")
        return None
    return old


def _check(dataset: Dataset, changes: Changes, total: int, *, allow_bad: bool) -> None:
    bad: tuple[BadFile, ...] = (*dataset.bad_files, *changes.bad_files)
    check_bad(replace(dataset, bad_files=bad), total + len(dataset.bad_files), allow_bad=allow_bad)
    if len(changes.bad_files) == total:
        raise DataError(f"`{dataset.name}` has nothing that can be read; see `fovea check`.")


def _result(path: Path, changes: Changes, nouns: str, *, export: bool) -> IndexResult:
    now = read_index(path)
    return IndexResult(
        path=path,
        images=len(now),
        dimensions=now.embeddings.shape[1],
        layer=now.maker.where,
        changes=changes,
        bytes=path.stat().st_size,
        nouns=nouns,
        exported=export_faiss(now, path) if export else (),
    )


def _place(path: Path, index: Path) -> str:
    """Return where something is as seen from the folder of the index, nothing where that is not below it."""
    try:
        place = Path(os.path.abspath(path)).relative_to(os.path.abspath(index.parent)).as_posix()
    except ValueError:
        return ""
    return place if safe_place(place) else ""
