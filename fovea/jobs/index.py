"""`fovea index`: the embeddings of all images of a data set, stored in a file for search."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Unpack

import numpy as np

from fovea import inputs
from fovea.data.cache.decoded import check_bad
from fovea.data.dataset import BadFile, Dataset
from fovea.data.sources.download import checksum_of
from fovea.data.sources.source import NAMES, DataSource, Reading, reads_data
from fovea.data.sources.unlabelled import find_with_or_without_labels
from fovea.display import Display
from fovea.errors import DataError, UsageError, unknown
from fovea.errors import listed as quoted
from fovea.evaluation.parts import chosen_part
from fovea.inputs.interface import Stored
from fovea.model.bundle import Bundle, load
from fovea.model.embedding import BATCH, Embedder, embedder_of
from fovea.retrieval import SUFFIX
from fovea.retrieval.dropping import patterns_after, without_dropped
from fovea.retrieval.faiss_file import export_faiss, load_faiss
from fovea.retrieval.index import Index, Maker
from fovea.retrieval.index_file import index_path, read_index, safe_place, write_index
from fovea.retrieval.neighbours import METRICS, Floats, check_metric
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
    metric: str = "l2"
    """What searches take where they name none."""
    patterns: tuple[str, ...] = ()
    """Those of the names that stay dropped."""
    complete: bool = True
    """False while some of the data is still to be embedded."""
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
            "metric": self.metric,
            "bytes": self.bytes,
            "complete": self.complete,
            "embedded": changes.embedded,
            "kept": changes.kept,
            "dropped": changes.dropped,
            "patterns": list(self.patterns),
            "bad_files": [bad._asdict() for bad in changes.bad_files],
            "exported": [str(file) for file in self.exported],
        }

    def summary(self) -> list[str]:
        """Return the lines for the terminal."""
        changes = self.changes
        done = f"{changes.embedded:,} embedded, {changes.kept:,} kept, {changes.dropped:,} dropped"
        bad = [f"could not read: {bad.name} ({bad.reason})" for bad in changes.bad_files[:5]]
        more = [f"and {len(changes.bad_files) - 5:,} more"] if len(changes.bad_files) > 5 else []
        return [
            f"{self.path}: {self.images:,} {self.nouns}, {self.dimensions:,} dimensions, {self.bytes / 1e6:.1f} MB",
            f"{done}; {self.layer}, {self.metric}",
            *(
                [f"excluded by {quoted(self.patterns, most=20)}; `--restore PATTERN` includes images again"]
                if self.patterns
                else []
            ),
            *([] if self.complete else ["incomplete: run `fovea index MODEL DATA` again to embed the missing images"]),
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
    data: str | Path | None = None,
    *,
    out: str | Path | None = None,
    layer: str | None = None,
    metric: str | None = None,
    half: bool = False,
    export: str | None = None,
    drop: str | Sequence[str] = (),
    restore: str | Sequence[str] = (),
    split: str = "whole",
    task: str | None = None,
    unlabelled: bool = False,
    allow_bad: bool = False,
    device: str = "auto",
    batch: int = BATCH,
    display: Display | None = None,
    **reading: Unpack[Reading],
) -> IndexResult:
    """Write the embeddings of all images of `data` by `model` into the file `out`, or update that file.

    Existing embeddings by the same network and layer are kept: only new and changed files are embedded, and files that
    are no longer in the data are removed. Names that match a pattern of `drop` are excluded, now and in later runs,
    until `restore` names that pattern. An embedding is the input of the last layer with weights, or the output of
    `layer`; `half` stores float16. `metric`, `l2` or `cosine`, is the default of `search`; a new index has `l2`.
    `task` is how labels are read; None means the task of the network. `unlabelled` uses every image in a folder,
    without labels. `export` (`faiss`) also writes the index for that library, with a CSV of its rows.

    If `model` is an index and `data` is None, the index itself is changed by `drop`, `restore`, `metric` and `export`.

    Raises:
        BundleError: a model file that cannot be loaded.
        DataError: data that cannot be used.
        UsageError: an unknown layer, metric or split, a wrong suffix of `out`, or a pattern that was not dropped.
        StorageError: the index cannot be written.
    """
    _check(metric, batch, export)
    patterns = _patterns(drop), _patterns(restore)
    if data is None or out is None:
        given = {"out": out, "layer": layer, "half": half, "task": task, "unlabelled": unlabelled, "split": split}
        told = {name: value for name, value in reading.items() if value != getattr(DataSource, name)}
        path = _alone_path(model, data, {**given, **told})
        return _changed(path, *patterns, metric=metric, export=export)
    path = _out_path(out)
    made = _made(Path(model), layer, device=device)
    display = display or Display(quiet=True)
    known = made.bundle.target.classes if task in (None, made.bundle.task) else None
    own = task or made.bundle.task
    taken: Reading = {**reading, "input": reading.get("input") or made.bundle.preprocess.input}
    source = DataSource(data=data, task=own, known=known, allow_bad=allow_bad, **taken)
    dataset, labelled = find_with_or_without_labels(source, unlabelled=unlabelled, progress=display.fetched)
    found = _Found(_fitting(dataset, made.bundle, split), labelled, own, data)
    for note in found.dataset.notes:
        display.note(f"data: {note}")
    asked = _Asked(drop=patterns[0], restore=patterns[1], metric=metric, half=half, batch=batch)
    with _alone(path):
        changes, total = _updated(path, made, found, asked, display)
    _check_bad(dataset, changes, total, allow_bad=allow_bad)
    return _result(path, changes, inputs.kind(dataset.input).nouns, export=export is not None)


class _Found(NamedTuple):
    """The data of an index, and how its labels are read."""

    dataset: Dataset
    labelled: bool
    task: str
    data: str | Path


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What is asked of an index beside its data."""

    drop: Sequence[str]
    restore: Sequence[str]
    metric: str | None
    half: bool
    batch: int


def _updated(path: Path, made: _Made, found: _Found, asked: _Asked, display: Display) -> tuple[Changes, int]:
    """Bring the file up to date, and return what was done, and how many samples there are."""
    before = read_index(path) if path.exists() else None
    dropped = patterns_after(before.dropped if before else (), asked.drop, asked.restore)
    listing = listed(found.dataset, dropped=dropped, labelled=found.labelled)
    wanted = Index(
        embeddings=np.empty((0, 0), np.float32),
        squares=np.empty(0, np.float32),
        rows=listing.rows,
        maker=made.maker,
        metric=asked.metric or (before.metric if before else METRICS[0]),
        task=found.task,
        classes=found.dataset.classes,
        data=found.dataset.name,
        model_file=_place(made.model, path) or made.model.name,
        data_place=_data_place(found.data, path),
        dropped=dropped,
    )
    work = Work(
        listing=listing,
        preprocess=made.bundle.preprocess,
        embed=_embedding(made.embedder, asked.batch),
        batch=asked.batch,
        half=asked.half,
    )
    old = _comparable(path, before, wanted, half=asked.half, display=display)
    return Update(path, wanted, old, work).run(display.counter("embedding")), len(listing)


def _patterns(given: str | Sequence[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def _check(metric: str | None, batch: int, export: str | None) -> None:
    """Raise the error for what cannot be, before any work."""
    if metric is not None:
        check_metric(metric)
    if export is not None:
        if export not in EXPORTS:
            raise unknown("form of an index", export, EXPORTS)
        load_faiss()
    if batch < 1:
        raise UsageError(f"`batch` (={batch}) must be at least 1.")


def _out_path(out: str | Path) -> Path:
    path = index_path(out, option="out")
    if not path.parent.is_dir():
        raise UsageError(f"`out` (={path}): there is no folder `{path.parent}`; create it first.")
    check_writable(path)
    return path


def _alone_path(model: str | Path, data: str | Path | None, given: dict[str, Any]) -> Path:
    """Return the index that is named alone; UsageError for what is neither that nor a model, data and `out`."""
    if Path(model).suffix != SUFFIX or data is not None:
        missing = "DATA" if data is None else "--out"
        raise UsageError(
            f"`{missing}` is missing: `fovea index MODEL DATA --out images{SUFFIX}` creates an index, "
            f"`fovea index images{SUFFIX}` shows or changes one."
        )
    if other := next((name for name, value in given.items() if value not in (None, False, "whole")), None):
        raise UsageError(f"`{other}` needs a model and data and has no effect on `{model}` alone; leave it out.")
    return Path(model)


def _changed(
    path: Path, drop: Sequence[str], restore: Sequence[str], *, metric: str | None, export: str | None
) -> IndexResult:
    """Change an index by itself, and return what it holds then."""
    old = read_index(path)
    if not (drop or restore or metric):
        return _result(path, Changes(0, len(old), 0, ()), _nouns(old), export=export is not None)
    check_writable(path)
    with _alone(path):
        old = read_index(path)
        patterns = patterns_after(old.dropped, drop, restore)
        complete = old.complete and not restore  # what comes back has to be embedded
        new = without_dropped(replace(old, dropped=patterns, metric=metric or old.metric, complete=complete))
        write_index(path, new)
    return _result(path, Changes(0, len(new), len(old) - len(new), ()), _nouns(old), export=export is not None)


def _nouns(index: Index) -> str:
    return inputs.kind_of(inputs.from_dict(index.maker.preprocess)).nouns


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
    """Return the part of the data that is asked for; DataError if it is of another kind than the network sees."""
    if dataset.input != bundle.preprocess.input:
        raise DataError(
            f"`{dataset.name}` contains {inputs.kind(dataset.input).nouns}, but this network takes "
            f"{inputs.kind_of(bundle.preprocess).nouns}."
        )
    return chosen_part(dataset, split)[1]


def _embedding(embedder: Embedder, batch: int) -> Any:
    def embed(samples: Stored) -> Floats:
        return embedder(samples, batch=batch).features.numpy()

    return embed


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold an index for this process, and remove what a killed one has left of it."""
    lock = path.with_name(f".{path.name[:200]}.lock")
    try:
        with alone(lock):
            try:
                remove_temporary(path.parent, of=path.name)
                yield
            finally:
                lock.unlink(missing_ok=True)
    except BlockingIOError as error:
        raise UsageError(f"`{path}` is being written by another process; wait until it has finished.") from error


def _comparable(path: Path, old: Index | None, wanted: Index, *, half: bool, display: Display) -> Index | None:
    """Return the index that is there, where what it holds can stand beside what is to come."""
    if old is None:
        return None
    if old.maker != wanted.maker:
        display.note(f"{path.name} was made with another model or layer; all images are embedded again")
        return None
    if old.embeddings.dtype != np.dtype("<f2" if half else "<f4"):
        display.note(f"{path.name} has another precision; all images are embedded again")
        return None
    return old


def _check_bad(dataset: Dataset, changes: Changes, total: int, *, allow_bad: bool) -> None:
    bad: tuple[BadFile, ...] = (*dataset.bad_files, *changes.bad_files)
    check_bad(replace(dataset, bad_files=bad), total + len(dataset.bad_files), allow_bad=allow_bad)
    if len(changes.bad_files) == total:
        raise DataError(f"`{dataset.name}` has no readable samples; see `fovea check`.")


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
        metric=now.metric,
        patterns=now.dropped,
        complete=now.complete,
        exported=export_faiss(now, path) if export else (),
    )


def _data_place(data: str | Path, index: Path) -> str:
    """Return the name of a published data set, or where data is as seen from the folder of the index."""
    return str(data) if isinstance(data, str) and data in NAMES else _place(Path(data).expanduser(), index)


def _place(path: Path, index: Path) -> str:
    """Return where something is as seen from the folder of the index, nothing where that is not below it."""
    try:
        place = Path(os.path.abspath(path)).relative_to(os.path.abspath(index.parent)).as_posix()
    except ValueError:
        return ""
    return place if safe_place(place) else ""
