"""`fovea search`: the images of an index that are most similar to others."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fovea import inputs
from fovea.data.sources.download import checksum_of
from fovea.data.sources.source import NAMES, DataSource
from fovea.display import Display
from fovea.errors import BundleError, ImageError, UsageError
from fovea.files import is_file
from fovea.inputs.interface import Preprocessing, Stored
from fovea.jobs.predict import Sample, find_images, samples_at
from fovea.jobs.sample_pictures import SamplePictures, picture_of
from fovea.model.bundle import load
from fovea.model.embedding import BATCH, Embedder
from fovea.report.page import render, write_page
from fovea.report.rasters import in_colour
from fovea.report.sheet import MOST_ROWS, Drawn, Group, Sheet
from fovea.retrieval.approximate import Approximate, Recall, approximate
from fovea.retrieval.index import Index
from fovea.retrieval.index_file import read_index
from fovea.retrieval.neighbours import Neighbours, check_metric
from fovea.storage import page_path

K = 6
"""Neighbours that are shown where nothing else is asked for."""
VOTES = 20
"""Images whose votes are printed; JSON has all."""
QUERIES = 256
"""Images that are searched for at a time."""
SHOWN = 100
"""Of the images that were looked for, those on a page."""
QUERY_WIDTH, FOUND_WIDTH, LEAST_WIDTH = 130, 105, 56
"""Pixels across on a page: of the image, of a neighbour, and of one where there are many."""
ROW_WIDTH, GAP = 1030, 23
"""Pixels of a row of pictures, and between two."""
SIDE = 260
"""Pixels of the longer side of a picture in the page: twice as many, for fine screens."""


class Vote(NamedTuple):
    """What the nearest images say of one: k nearest neighbours as a classifier."""

    label: str
    votes: int
    """How many of the nearest have it."""
    of: int


class Found(NamedTuple):
    """An image of an index that is near."""

    name: str
    part: str
    label: str
    """As text; empty if the data has none."""
    distance: float


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is nearest to one image."""

    image: str
    source: Path | Stored
    """Where the image is, or its values where a file holds several."""
    nearest: tuple[Found, ...] = ()
    error: str = ""
    """Why it cannot be read."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        if self.error:
            return {"image": self.image, "error": self.error}
        vote = self.vote and self.vote._asdict()
        return {"image": self.image, "nearest": [found._asdict() for found in self.nearest], "vote": vote}

    @property
    def vote(self) -> Vote | None:
        """The label of most of the nearest, of as many votes that of the nearer; None if there are no labels."""
        labels = [found.label for found in self.nearest]
        if not labels or not all(labels):
            return None
        label, votes = Counter(labels).most_common(1)[0]  # of as many the one that came first
        return Vote(label, votes, len(labels))


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """What is nearest to each image."""

    index: str
    images: int
    """In the index."""
    layer: str
    """What of the network an image is known by, as `before head.logits`."""
    metric: str
    answers: Sequence[Answer]
    recall: Recall | None = None
    """Of the approximate search, measured on images of this index; None if the search was exact."""
    cells: tuple[int, int] | None = None
    """How many cells it looks through, and how many there are."""
    notes: tuple[str, ...] = ()
    page: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "index": self.index,
            "images": self.images,
            "layer": self.layer,
            "metric": self.metric,
            "recall_at_10": None if self.recall is None else self.recall.mean,
            "recall_at_10_interval": None if self.recall is None else list(self.recall[1:]),
            "cells": None if self.cells is None else list(self.cells),
            "notes": list(self.notes),
            "page": None if self.page is None else str(self.page),
            "answers": [answer.to_dict() for answer in self.answers],
        }

    @property
    def how(self) -> str:
        """What was searched, and how."""
        measured = "exact search"
        if self.recall is not None and self.cells is not None:
            mean, low, high = self.recall
            share = f"{self.cells[0]:,} of {self.cells[1]:,} cells"
            measured = (
                f"approximate search: {share}, recall@10 {mean:.3f} ({low:.3f} to {high:.3f}) measured on this index"
            )
        return f"{self.index}: {self.images:,} images by features {self.layer}, {self.metric} distance, {measured}"

    def summary(self) -> list[str]:
        """Return the lines for the terminal beside the table."""
        votes = [(answer.image, answer.vote) for answer in self.answers[:VOTES] if answer.vote is not None]
        said = [f"Vote     {image}: {vote.label}, {vote.votes} of {vote.of}" for image, vote in votes]
        return [self.how, *self.notes, *said, *([] if self.page is None else [f"Page     {self.page}"])]

    def rows(self) -> list[tuple[str, ...]]:
        """Return the table: image, rank, distance, name, label."""
        return [
            (answer.image if rank == 1 else "", str(rank), f"{found.distance:.4g}", found.name, found.label)
            for answer in self.answers
            for rank, found in enumerate(answer.nearest, 1)
        ]


@dataclass(frozen=True, kw_only=True)
class Searcher:
    """An index with the network that made it."""

    index: Index
    embedder: Embedder
    k: int
    metric: str
    quick: Approximate | None = None
    """Searches in place of the exact product."""
    batch: int = BATCH

    @property
    def preprocess(self) -> Preprocessing:
        """How an image becomes the input."""
        return self.embedder.bundle.preprocess

    def answers(self, samples: Iterable[Sample]) -> Iterator[Answer]:
        """Yield what is nearest to each sample, or why it cannot be read."""
        with ThreadPoolExecutor() as pool:
            for some in _batches(samples):
                read = list(pool.map(partial(_read, self.preprocess), some))
                pixels = [each for each in read if not isinstance(each, str)]
                found = self._nearest(np.stack(pixels)) if pixels else None
                row = 0
                for sample, each in zip(some, read, strict=True):
                    if isinstance(each, str) or found is None:
                        yield Answer(image=sample.name, source=sample.source, error=str(each))
                    else:
                        yield Answer(image=sample.name, source=sample.source, nearest=self._named(found, row))
                        row += 1

    def nearest_to(self, sample: Stored) -> tuple[Found, ...]:
        """Return what is nearest to one stored sample, (H, W, C) uint8 of images."""
        return self._named(self._nearest(sample[None]), 0)

    def _nearest(self, pixels: Stored) -> Neighbours:
        queries = self.embedder(pixels, batch=self.batch).features.numpy()
        if self.quick is not None:
            return self.quick.nearest(queries, self.k)
        return self.index.nearest(queries, self.k, metric=self.metric)

    def _named(self, found: Neighbours, row: int) -> tuple[Found, ...]:
        near = zip(found.indices[row].tolist(), found.distances[row].tolist(), strict=True)
        rows = self.index.rows
        return tuple(Found(rows.names[i], rows.part(i), self.index.label_text(i), distance) for i, distance in near)


def search(
    index: str | Path,
    images: str | Path | Iterable[str | Path],
    *,
    model: str | Path | None = None,
    k: int = K,
    metric: str | None = None,
    approximately: bool = False,
    html: str | Path | None = None,
    data: str | Path | None = None,
    device: str = "auto",
    batch: int = BATCH,
    display: Display | None = None,
) -> SearchResult:
    """Return the `k` images of an index that are nearest to each of `images`: files, folders and globs.

    `model` is the file that made the index; if it is None, the file is looked for at its old location. The distance is
    that of the index unless `metric` is given, `l2` or `cosine`. The search is exact unless `approximately` is set,
    which needs faiss. `html` is where to write the neighbours as pictures, taken from `data` or from the data of the
    index.

    Raises:
        BundleError: an index or a model file that cannot be used.
        UsageError: another model than that of the index, an unknown metric, or a folder without images.
        MissingDependencyError: an approximate search without faiss.
        StorageError: the page cannot be written.
    """
    if k < 1:
        raise UsageError(f"`k` (={k}) must be at least 1.")
    if metric is not None:
        check_metric(metric)
    path, place = Path(index), None if html is None else page_path(html, option="html")
    there, display = read_index(path), display or Display(quiet=True)
    by = metric or there.metric
    searcher = Searcher(
        index=there,
        embedder=embedder_for(there, path, model, device=device),
        k=k,
        metric=by,
        quick=approximate(path, there, by, told=display.advance) if approximately else None,
        batch=batch,
    )
    pictures = None if place is None else pictures_of(there, path, data, searcher.preprocess, display)
    kind = inputs.kind_of(searcher.preprocess)
    paths = find_images([images] if isinstance(images, str | Path) else images, kind=kind)
    answers = list(searcher.answers(each for file in paths for each in samples_at(file, searcher.preprocess)))
    result = SearchResult(
        index=path.name,
        images=len(there),
        layer=there.maker.where,
        metric=by,
        answers=answers,
        recall=None if searcher.quick is None else searcher.quick.recall,
        cells=None if searcher.quick is None else (searcher.quick.probes, searcher.quick.total),
        notes=() if there.complete else ("the index is not complete; `fovea index` continues it",),
        page=place,
    )
    if place is not None and pictures is not None:
        write_page(place, render("sheet.html", sheet=_sheet(result, pictures, searcher.preprocess), most=MOST_ROWS))
    return result


def embedder_for(index: Index, path: Path, model: str | Path | None, *, device: str = "auto") -> Embedder:
    """Return what embeds as the index in the file `path` was embedded: by `model`, or by the file beside the index.

    Raises:
        UsageError: there is no such file, or it is another model.
    """
    place = path.parent / index.model_file if model is None else Path(model)
    if not is_file(place):
        given = "" if model is None else f"`{model}` is not a file; "
        raise UsageError(
            f"{given}`{path.name}` was made with the model `{index.model_file}`, which no longer exists; give it "
            "with `--model`."
        )
    if checksum_of(place, "sha256").partition(":")[2] != index.maker.model_sha256:
        raise UsageError(
            f"`{place}` is not the model that `{path.name}` was made with; that was `{index.model_file}` with "
            f"SHA-256 {index.maker.model_sha256[:16]}... Give that file with `--model`, or make the index again."
        )
    bundle = load(place, device=device)
    if index.maker.layer not in dict(bundle.model.named_modules()):
        raise BundleError(
            f"`{path.name}` was made with the layer `{index.maker.layer[:40]}`, which its model does not have."
        )
    embedder = Embedder(bundle=bundle, layer=index.maker.layer, entering=index.maker.entering)
    return embedder


def pictures_of(
    index: Index, path: Path, data: str | Path | None, preprocess: Preprocessing, display: Display
) -> SamplePictures:
    """Return the pictures of an index in the file `path`: from `data`, or from where its data was.

    Raises: UsageError if that is not known, or not there.
    """
    place: str | Path | None = data
    if place is None and index.data_place in NAMES:
        place = index.data_place
    elif place is None and index.data_place and (path.parent / index.data_place).exists():
        place = path.parent / index.data_place
    if place is None:
        raise UsageError(
            f"The images of `{index.data}` were not found from `{path.name}`; give the data with `--data`."
        )
    source = DataSource(data=place, task=index.task, input=preprocess.input, allow_bad=True)
    return SamplePictures(source, preprocess, display=display)


def _batches(samples: Iterable[Sample]) -> Iterator[list[Sample]]:
    waiting = list[Sample]()
    for sample in samples:
        waiting.append(sample)
        if len(waiting) == QUERIES:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def _read(preprocess: Preprocessing, sample: Sample) -> Stored | str:
    try:
        return preprocess.read(sample.source)
    except ImageError as error:
        return str(error).removeprefix(f"`{sample.source}`: ")


def _most(result: SearchResult) -> int:
    return max((len(answer.nearest) for answer in result.answers), default=0)


def _sheet(result: SearchResult, pictures: SamplePictures, preprocess: Preprocessing) -> Sheet:
    """Return the page: a row for each image, itself on the left and the nearest to its right."""
    groups = []
    width = min(FOUND_WIDTH, max(LEAST_WIDTH, (ROW_WIDTH - QUERY_WIDTH) // max(1, _most(result)) - GAP))
    for answer in [answer for answer in result.answers if not answer.error][:SHOWN]:
        drawn = [
            Drawn(in_colour(picture_of(answer.source, preprocess)), "", answer.image, width=QUERY_WIDTH, side=SIDE)
        ]
        for found in answer.nearest:
            pixels = pictures(found.part, found.name)
            shown = np.full((8, 8, 3), 235, np.uint8) if pixels is None else in_colour(pixels)
            gone = "" if pixels is not None else " (no longer exists)"
            said = f"distance {found.distance:#.3g}, {found.name}{gone}"
            drawn.append(Drawn(shown, found.label, said, width=width, side=SIDE))
        groups.append(Group(drawn=drawn))
    more = "" if len(groups) == len(result.answers) else f" The first {len(groups)} of {len(result.answers)} are shown."
    lead = f"First each image, then the nearest to it, by {result.how}.{more}"
    return Sheet(title="The most similar images", lead=lead, groups=groups)
