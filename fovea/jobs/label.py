"""`fovea label`: which unlabelled images to label next, as a list to fill in for a training."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea import inputs
from fovea.data.labelling import LabelList, Proposal, can_be_listed, label_list, relative_path
from fovea.data.pool import Pool, find_pool
from fovea.data.sources.manifests import DEFAULT_COLUMNS, Columns
from fovea.data.sources.source import DataSource
from fovea.display import Display
from fovea.errors import DataError, UsageError
from fovea.evaluation.embedded import Embedded, embedded
from fovea.jobs.search import embedder_for
from fovea.model.bundle import load
from fovea.model.embedding import BATCH, Embedder, embedder_of
from fovea.report.rasters import in_colour
from fovea.report.sheet import Drawn, Group, Sheet, write_sheet
from fovea.retrieval.index import Index
from fovea.retrieval.index_file import read_index
from fovea.retrieval.selection import check_way, core_set, doubts_of, most_doubtful
from fovea.storage import in_turn, page_path, remove_temporary
from fovea.tasks.task import Task
from fovea.texts import command, percent

SHOWN = 120
"""Images on a page."""
WIDTH = 130
"""Pixels across on a page."""


@dataclass(frozen=True, kw_only=True)
class LabelResult:
    """Which images to label next, and where they are listed."""

    out: Path
    data: str
    by: str
    looked_at: int
    """Images that were chosen from."""
    kept: int
    """Rows of the list that had a label already."""
    proposals: Sequence[Proposal]
    """The first to label first."""
    notes: tuple[str, ...] = ()
    page: Path | None = None
    nouns: str = "images"

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        folder = self.out.parent
        images = [{**each._asdict(), "file": relative_path(each.file, folder)} for each in self.proposals]
        own = {name: getattr(self, name) for name in ("data", "by", "looked_at", "kept", "notes")}
        return {"out": str(self.out), **own, "images": images, "page": self.page and str(self.page)}

    def rows(self, *, most: int) -> list[tuple[str, ...]]:
        """Return the first rows of a table: image, what the network says of it, how probable that is, its doubt."""
        return [
            (
                relative_path(each.file, self.out.parent),
                each.prediction,
                "" if each.probability is None else percent(each.probability),
                f"{each.doubt:.4g}",
            )
            for each in self.proposals[:most]
        ]

    def summary(self) -> list[str]:
        """Return lines for the terminal: what was chosen, and how to go on."""
        kept = f"; {self.kept:,} rows with a label are kept" if self.kept else ""
        return [
            f"{self.out}: {len(self.proposals):,} of {self.looked_at:,} {self.nouns} of {self.data} by {self.by}{kept}",
            *self.notes,
            *([] if self.page is None else [f"Page     {self.page}"]),
            f"Next     fill in the column `label`, then: {command('fovea', 'train', self.out)}",
        ]


def label(
    model: str | Path,
    data: str | Path,
    *,
    out: str | Path,
    count: int = 100,
    by: str = "margin",
    index: str | Path | None = None,
    layer: str | None = None,
    html: str | Path | None = None,
    input: str | None = None,
    path_column: str = DEFAULT_COLUMNS.path,
    label_column: str = DEFAULT_COLUMNS.label,
    device: str = "auto",
    batch: int = BATCH,
    display: Display | None = None,
) -> LabelResult:
    """List the `count` images of `data` that are most worth labelling in the CSV file `out`.

    `data` is a folder of any depth, a zip or tar archive of one (its images are copied into a folder beside `out`), or
    a CSV manifest, of which the rows without a label are used; `path_column` and `label_column` are its columns. If
    `out` is that manifest, no row is lost. `by` is `margin` or `entropy` of the probabilities of `model`, or
    `core-set`: the images farthest, in the embedding, from all images that have a label or are in `index`. Rows of
    `out` with a label are kept and not listed again, so the same command can be repeated after a training. `layer` is
    another layer for the embedding than the last one; `html` is where to write a page with the images.

    Raises:
        BundleError: a model file or an index that cannot be used.
        DataError: data without images, an `out` that is another kind of file, or no image without a label.
        UsageError: data of another form, an unknown `by`, a model that lacks it, or an index of another model.
        StorageError: the list, its images or the page cannot be written.
    """
    _check(by, count, of_embedding=index is not None or layer is not None)
    place, page = _list_path(out), None if html is None else page_path(html, option="html")
    there, display = label_list(place), display or Display(quiet=True)
    known = None if index is None else read_index(index)
    embedder = _embedder(model, index, known, layer, device=device)
    check_target(embedder.bundle.target, by)
    seen = input or embedder.bundle.preprocess.input
    columns = Columns(path_column, label_column)
    whole = find_pool(data, copies=place.with_suffix(""), input=seen, columns=columns, progress=display.fetched)
    pool, labelled = _asked(whole, there, data, with_labels=by == "core-set")
    source = DataSource(data=data, input=seen, allow_bad=True)
    found = embedded(pool.dataset, source, embedder, batch=batch, display=display)
    names = [name for _, name in found.places]
    free = np.flatnonzero([name not in labelled for name in names])
    if not len(free):
        raise _all_labelled(data, place)
    target = embedder.bundle.target
    doubted = chosen(found, free, known, Wanted(by, count, target.several), display=display)
    file_of = dict(zip(pool.part.names, pool.files, strict=True))
    proposals = {row: _proposal(file_of[names[row]], found, row, doubt, target) for row, doubt in doubted}
    pool.bring([names[row] for row, _ in doubted])  # before the list: what that names is there
    with in_turn(place):
        there = label_list(place)  # somebody may have labelled meanwhile
        proposals = {row: p for row, p in proposals.items() if os.path.abspath(p.file) not in there.known}
        remove_temporary(place.parent, of=place.name)
        there.write(proposals.values(), whole=_same(data, place))
    result = LabelResult(
        out=place,
        data=pool.dataset.name,
        by=by,
        looked_at=len(free),
        kept=len(there.labelled),
        proposals=tuple(proposals.values()),
        notes=tuple(f"could not read: {bad.name} ({bad.reason})" for bad in found.decoded.bad_files[:5]),
        page=page,
        nouns=inputs.kind(seen).nouns,
    )
    if page is not None:
        remove_temporary(page.parent, of=page.name)
        write_sheet(_sheet(result, _pictures(found, [*proposals][:SHOWN])), page)
    return result


def _check(by: str, count: int, *, of_embedding: bool) -> None:
    """Raise UsageError for what cannot be asked."""
    check_way(by)
    if count < 1:
        raise UsageError(f"`count` (={count}) must be at least 1.")
    if by != "core-set" and of_embedding:
        raise UsageError(
            f"`index` and `layer` work only with `--by core-set`; `--by {by}` uses the outputs of the network."
        )


def check_target(target: Task, by: str) -> None:
    """Raise UsageError if a network has no probabilities of classes to doubt."""
    if by != "core-set" and (not target.has_classes or target.lies_on_image):
        raise UsageError(
            f"`--by {by}` needs class probabilities, and this model predicts {target.noun}; use `--by core-set`."
        )


def _list_path(out: str | Path) -> Path:
    path = page_path(out, option="out")
    if path.suffix.lower() != ".csv":
        raise UsageError(f"`out` (={path}) must end in .csv; `fovea train` reads this list.")
    return path


def _embedder(
    model: str | Path, index: str | Path | None, known: Index | None, layer: str | None, *, device: str
) -> Embedder:
    if index is None or known is None:
        return embedder_of(load(model, device=device), layer)
    if layer is not None:
        raise UsageError(f"`layer` (={layer}) is set by the index; leave it out.")
    return embedder_for(known, Path(index), model, device=device)


def _asked(pool: Pool, there: LabelList, data: str | Path, *, with_labels: bool) -> tuple[Pool, set[str]]:
    """Return the samples to be looked at, and the names of those that have a label.

    These are among them only `with_labels`.
    """
    files = pool.files
    good = can_be_listed(files)
    known = {
        name
        for name, file in zip(pool.part.names, files, strict=True)
        if name in pool.labelled or os.path.abspath(file) in there.known
    }
    wanted = [row for row, name in enumerate(pool.part.names) if good[row] and (with_labels or name not in known)]
    if not wanted:
        raise _all_labelled(data, there.file)
    return pool.only(wanted), known


def _same(data: str | Path, place: Path) -> bool:
    """Tell whether the list is the manifest that the samples come from."""
    path = Path(data).expanduser()
    return path.is_file() and place.is_file() and path.samefile(place)


def _all_labelled(data: str | Path, place: Path) -> DataError:
    return DataError(f"Every image of `{data}` already has a label in `{place}`.")


class Wanted(NamedTuple):
    """How many samples are wanted, and by which way."""

    by: str
    most: int
    several: bool
    """Whether a sample has several labels."""


def chosen(
    found: Embedded, free: NDArray[np.int64], known: Index | None, wanted: Wanted, *, display: Display
) -> list[tuple[int, float]]:
    """Return the rows among `free`, (M,) int64, to label, the first first, and how doubtful each is."""
    by, most, several = wanted
    if by == "core-set":
        labelled = np.setdiff1d(np.arange(len(found.features)), free)
        others = [found.features[labelled], *([] if known is None else [np.asarray(known.embeddings, np.float32)])]
        told = display.counter("choosing")
        order, distances = core_set(found.features[free], np.concatenate(others), most, progress=told)
        return list(zip(free[order].tolist(), distances.tolist(), strict=True))
    doubts = doubts_of(found.rows[free], by=by, several=several)
    order = most_doubtful(doubts, most)
    return list(zip(free[order].tolist(), doubts[order].tolist(), strict=True))


def _proposal(file: Path, found: Embedded, row: int, doubt: float, target: Task) -> Proposal:
    prediction = target.prediction(found.rows[row])
    sure = prediction.probability
    return Proposal(file, prediction.label, None if np.isnan(sure) else sure, doubt)


def _pictures(found: Embedded, rows: Sequence[int]) -> list[NDArray[np.uint8]]:
    """Return what these samples look like, (H, W, 3) uint8 each."""
    pixels = found.decoded.parts["train"].decoded
    kind = inputs.kind(found.decoded.input)
    return [in_colour(kind.thumbnail(np.asarray(pixels[row]))) for row in rows]


def _sheet(result: LabelResult, pictures: Sequence[NDArray[np.uint8]]) -> Sheet:
    """Return the page with the images to label."""
    drawn = [
        Drawn(
            pixels,
            each.prediction,
            (
                f"{'' if each.probability is None else f'{percent(each.probability)} · '}{each.doubt:.4g} · "
                f"{each.file.name}"
            ),
            width=WIDTH,
        )
        for pixels, each in zip(pictures, result.proposals, strict=False)
    ]
    lead = (
        f"The first {len(drawn)} of {len(result.proposals):,} listed {result.nouns}, chosen from {result.looked_at:,}."
    )
    below = f"Below each: the prediction of the network, its probability, and the uncertainty by {result.by}."
    return Sheet(
        title="What to label next",
        lead=f"{lead} {below}",
        groups=[Group(result.data, drawn=drawn)],
    )
