"""The order in which images are labelled by hand: those first for which a network is least certain."""

from collections.abc import Collection

import numpy as np

from fovea.data.pool import Pool
from fovea.data.sources.source import DataSource
from fovea.display import Display
from fovea.errors import UsageError, unknown
from fovea.evaluation.embedded import embedded
from fovea.jobs.label import Wanted, check_target, chosen
from fovea.jobs.predict import predict
from fovea.model.bundle import Bundle
from fovea.model.embedding import BATCH, embedder_of
from fovea.retrieval.selection import WAYS
from fovea.tasks.task import Task

CONFIDENCE = "confidence"
"""The least probable answer first, 1 less its probability: Lewis and Gale 1994, arXiv:cmp-lg/9407020."""
FARTHEST = WAYS[-1]
"""`core-set`, which needs embeddings alone."""
LEAST_FARTHEST = 500
MOST_PRODUCTS = 5e10
"""Multiply-adds that `core-set` may take beyond its first 500 images, of which each costs a pass over all."""


def ways_for(target: Task) -> tuple[str, ...]:
    """Return the ways to order images that are of use to a network, the usual one first."""
    if target.lies_on_image:
        return (CONFIDENCE,)
    return WAYS if target.has_classes else (FARTHEST,)


def label_order(
    bundle: Bundle, pool: Pool, *, by: str, labelled: Collection[str], display: Display
) -> list[tuple[str, float]]:
    """Return the images without a label that a network puts in an order, the first to label first, with their doubt.

    `labelled` are the names of those that have one. `by` is one of `ways_for`: of answers that lie on an image
    `confidence`, the highest probability of a box, or the mean over pixels or points; else a way of `fovea label`,
    where `core-set` chooses as many as `farthest_of` says. Images that cannot be read are not among them.

    Raises:
        UsageError: a way that does not fit the network.
        DataError: too many images that cannot be read.
    """
    if by not in ways_for(bundle.target):
        raise unknown("order", by, ways_for(bundle.target))
    wanted = [row for row, name in enumerate(pool.part.names) if by == FARTHEST or name not in labelled]
    if not wanted or all(name in labelled for name in pool.part.names):
        return []
    asked = pool.only(wanted)
    if bundle.target.lies_on_image:
        return _by_confidence(bundle, asked, display)
    check_target(bundle.target, by)
    source = DataSource(data="pool", input=bundle.preprocess.input, allow_bad=True)
    found = embedded(asked.dataset, source, embedder_of(bundle), batch=BATCH, display=display)
    names = [name for _, name in found.places]
    free = np.flatnonzero([name not in labelled for name in names])
    count = farthest_of(len(free), found.features.shape[1]) if by == FARTHEST else len(free)
    asked_for = Wanted(by, max(1, count), bundle.target.several)
    rows = chosen(found, free, None, asked_for, display=display)
    return [(names[row], doubt) for row, doubt in rows]


def farthest_of(images: int, size: int) -> int:
    """Return how many of so many images with embeddings of a `size` core-set chooses: 500, or what a minute allows.

    Of 9,000 images of 512 numbers all, of 50,000 the first 1,953.
    """
    return min(images, max(LEAST_FARTHEST, int(MOST_PRODUCTS / max(images * size, 1))))


def _by_confidence(bundle: Bundle, pool: Pool, display: Display) -> list[tuple[str, float]]:
    if pool.part.files is None:
        raise UsageError("Only images in separate files can be labelled.")
    told, doubts = display.counter("reading images"), list[tuple[str, float]]()
    found = predict(bundle, pool.part.files, batch=8)
    for done, (name, each) in enumerate(zip(pool.part.names, found, strict=True), start=1):
        if each.prediction is not None:
            doubts.append((name, 1.0 - float(np.nan_to_num(each.prediction.probability))))
        told(done, len(pool.part))
    return sorted(doubts, key=lambda pair: -pair[1])
