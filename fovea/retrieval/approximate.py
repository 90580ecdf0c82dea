"""Nearly the nearest neighbours, by faiss: only cells around a query are looked through, and the recall is measured.

Inverted file: Jegou, Douze, Schmid 2011, "Product quantization for nearest neighbor search", section IV, without the
quantization: cells hold float16, and the distances of what they give are computed again from the embeddings.
Embeddings are (N, D), queries (Q, D), both float.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.fields import Fields
from fovea.metrics import wilson_interval
from fovea.retrieval.faiss_file import BLOCK, directed, load_faiss
from fovea.retrieval.index import Index
from fovea.retrieval.neighbours import Floats, Neighbours, exact_distances, nearest
from fovea.storage import build_once

RECALL, AT = 0.99, 10
"""What is wanted of the measured recall, and among how many neighbours."""
ASKED, SAMPLES = 1000, 4
"""Images of the index by which the number of cells is chosen, and as many on which recall is measured; how often they
are drawn at most."""
POINTS_PER_CELL = 39
"""In the mean of what cells are learned from: fewer make faiss warn."""
ROUNDS = 8
"""Of k-means."""
MORE = 8
"""Candidates beyond `k`, which float16 may have put behind."""
FILE, SETTINGS = "cells.faiss", "settings.json"

Told = Callable[[str, int, int], None]
"""Called with what is being done, the number done and the number of all."""


class Recall(NamedTuple):
    """Which share of the true neighbours is found, at 10, and its interval at 95 %."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Approximate:
    """Cells of the embeddings of one index, and how many of them are looked through."""

    cells: Any
    embeddings: Floats
    metric: str
    probes: int
    total: int
    """How many cells there are."""
    recall: "Recall"
    """Measured on images of the index that did not choose `probes`; they themselves do not count."""

    def nearest(self, queries: Floats, k: int) -> Neighbours:
        """Return nearly the `k` nearest for each of `queries` (Q, D) float; their distances are exact."""
        k = min(k, len(self.embeddings))
        asked = np.ascontiguousarray(queries, np.float32)
        found = Neighbours(np.empty((len(asked), k), np.int64), np.empty((len(asked), k), np.float32))
        candidates = _candidates(self.cells, directed(asked, self.metric), k + MORE, self.probes)
        for row, own in enumerate(candidates):
            own = np.unique(own[own >= 0])
            query = asked[row : row + 1]
            if len(own) < k:  # the cells around it hold too few
                exactly = nearest(query, self.embeddings, k, metric=self.metric)
                found.indices[row], found.distances[row] = exactly.indices[0], exactly.distances[0]
                continue
            distances = exact_distances(np.repeat(query, len(own), 0), np.asarray(self.embeddings[own]), self.metric)
            order = np.argsort(distances, kind="stable")[:k]
            found.indices[row], found.distances[row] = own[order], distances[order]
        return found


def approximate(path: Path, index: Index, metric: str, *, told: Told | None = None) -> Approximate:
    """Return the approximate search of an index in the file `path`, made once and kept in the cache, mapped.

    Raises:
        MissingDependencyError: faiss is not installed.
        StorageError: the cache cannot be written.
    """
    faiss = load_faiss()
    tell = told or (lambda *_: None)
    folder = build_once(
        "neighbours",
        [path],
        name=f"{path.stem}-{metric}-cells",
        build=lambda folder: _build(folder, index, metric, tell),
    )
    settings = Fields(json.loads((folder / SETTINGS).read_text()), ValueError)
    return Approximate(
        cells=faiss.read_index(str(folder / FILE), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY),
        embeddings=index.embeddings,
        metric=metric,
        probes=settings.whole("probes", least=1),
        total=settings.whole("cells", least=1),
        recall=Recall(settings.number("recall"), *settings.interval("interval")),
    )


def cells_for(count: int) -> int:
    """Return into how many cells so many embeddings are divided: four times their root, each with enough of them."""
    return max(1, min(round(4 * math.sqrt(count)), count // POINTS_PER_CELL))


def _build(folder: Path, index: Index, metric: str, tell: Told) -> None:
    faiss = load_faiss()
    embeddings, N = index.embeddings, len(index)
    cells = _learned(embeddings, metric, tell)
    for first in range(0, N, BLOCK):
        cells.add(directed(np.asarray(embeddings[first : first + BLOCK], np.float32), metric))
        tell("filling cells", min(first + BLOCK, N), N)
    probes, recall = _chosen(cells, index, metric, tell)
    faiss.write_index(cells, str(folder / FILE))
    settings = {"probes": probes, "cells": int(cells.nlist), "recall": recall.mean, "interval": recall[1:]}
    (folder / SETTINGS).write_text(json.dumps(settings))


def _learned(embeddings: Floats, metric: str, tell: Told) -> Any:
    """Return empty cells around the means of a sample of the embeddings."""
    faiss = load_faiss()
    N, D = embeddings.shape
    count = cells_for(N)
    chosen = np.sort(np.random.default_rng(0).permutation(N)[: max(count * POINTS_PER_CELL, 1)])
    sample = directed(np.asarray(embeddings[chosen], np.float32), metric)
    tell("learning cells", 0, 1)
    cells = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatL2(D), D, count, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_L2, False
    )
    cells.cp.niter, cells.cp.seed, cells.cp.min_points_per_centroid = ROUNDS, 1, 1
    cells.train(sample)
    tell("learning cells", 1, 1)
    return cells


class _Sample(NamedTuple):
    """Images of an index, (Q, D), and the distances of their true neighbours, (Q, k)."""

    queries: Floats
    exact: NDArray[np.float32]


def _chosen(cells: Any, index: Index, metric: str, tell: Told) -> tuple[int, Recall]:
    """Return how many cells to look through, and the recall that others than those that chose it have then.

    They are as many as it takes for the whole interval of the recall to be above what is wanted. Where others show less
    all the same, they choose, too, and yet others are asked.
    """
    samples = _samples(index, metric)
    seen = [next(samples)]
    probes = _fewest(cells, index, metric, seen, least=1)
    recall, total = Recall(0.0, 0.0, 0.0), int(cells.nlist)
    for number, fresh in enumerate(samples, 1):
        tell("choosing", number, SAMPLES)
        recall = _recall_of(_found(cells, index, metric, fresh, probes))
        if recall.mean >= RECALL or probes == total:
            break
        seen.append(fresh)
        probes = _fewest(cells, index, metric, seen, least=probes + 1)
        recall = _recall_of(_found(cells, index, metric, fresh, probes))
    tell("choosing", SAMPLES, SAMPLES)
    return probes, recall


def _samples(index: Index, metric: str) -> Iterator[_Sample]:
    """Yield images of the index at random, none of them twice; of a single one that twice."""
    N = len(index)
    size = max(1, min(ASKED, N // 2))
    order = np.random.default_rng(1).permutation(N)
    for start in range(0, min(SAMPLES, N // size) * size, size) if N > 1 else (0, 0):
        queries = np.asarray(index.embeddings[np.sort(order[start : start + size])], np.float32)
        # one more: each is its own nearest
        exact = nearest(queries, index.embeddings, AT + 1, metric=metric, squares=index.squares)
        yield _Sample(queries, exact.distances)


def _fewest(cells: Any, index: Index, metric: str, samples: Sequence[_Sample], *, least: int) -> int:
    """Return the fewest cells, `least` or more, under which the interval of the samples' recall is above the wanted."""

    def enough(probes: int) -> bool:
        found = np.concatenate([_found(cells, index, metric, sample, probes) for sample in samples])
        return _recall_of(found).low >= RECALL

    total = int(cells.nlist)
    too_few, probes = least - 1, least
    while probes < total and not enough(probes):
        too_few, probes = probes, min(total, max(probes + 1, round(probes * 1.4)))
    while probes - too_few > 1:
        middle = (too_few + probes) // 2
        too_few, probes = (too_few, middle) if enough(middle) else (middle, probes)
    return probes


def _found(cells: Any, index: Index, metric: str, sample: _Sample, probes: int) -> NDArray[np.float64]:
    """Return which share (Q,) of the true neighbours of each is found; as near ones count as they do."""
    search = Approximate(
        cells=cells,
        embeddings=index.embeddings,
        metric=metric,
        probes=probes,
        total=int(cells.nlist),
        recall=Recall(0.0, 0.0, 0.0),
    )
    found = search.nearest(sample.queries, sample.exact.shape[1]).distances
    # of the first column, the image itself, nothing is counted
    near = found[:, 1:] <= sample.exact[:, -1:] * (1 + 1e-6) + 1e-9
    return near.mean(1) if near.size else np.ones(len(near))


def _recall_of(shares: NDArray[np.float64]) -> Recall:
    """Return the mean of the shares (Q,), each of 10 neighbours, with Wilson's interval.

    Neighbours of one image are found or missed together: they count as so many as explain how the shares vary, as one
    at least.
    """
    Q, mean = len(shares), float(shares.mean())
    variance = float(shares.var())
    alike = AT if variance == 0 else min(AT, max(1.0, AT * variance / max(mean * (1 - mean), 1e-12)))
    count = round(Q * AT / alike)
    return Recall(mean, *wilson_interval(round(mean * count), count))


def _candidates(cells: Any, queries: Floats, k: int, probes: int) -> NDArray[np.int64]:
    cells.nprobe = probes
    return np.asarray(cells.search(queries, k)[1], np.int64)
