"""Why what was found is wrong: errors by kind and what each costs, and which class is taken for which.

Bolya, Foley, Hays and Hoffman 2020, arXiv:2008.08115 (TIDE). K is the number of classes, N that of images; classes
are (D,) int64, figures float64.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.metrics.boxes import precision_at_recalls
from fovea.metrics.matching import ClassMatches, Compared

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]

FOUND = 0.5
"""Overlap from which on an object is found."""
NEAR = 0.1
"""Overlap below which there is only background."""

RIGHT, UNCOUNTED = "right", "uncounted"
KINDS = ("class", "location", "both", "duplicate", "background")
"""Of what was found and is wrong."""
MISSED = "missed"


class ErrorKind(NamedTuple):
    """One kind of error."""

    name: str
    errors: int
    """How many there are."""
    cost: float
    """How much average precision would be higher without these errors alone, 0 to 1."""


class SizeBin(NamedTuple):
    """The objects of one size."""

    low: float
    """The square root of their area, in pixels."""
    high: float
    """Half-open."""
    objects: int
    found: int
    """Of these."""


@dataclass(frozen=True, kw_only=True)
class _Image:
    """What was found in an image (D), and why it is wrong."""

    classes: Indices
    scores: Floats
    kinds: NDArray[np.str_]
    """(D,): `RIGHT`, `UNCOUNTED` or one of `KINDS`."""
    mended: Indices
    """(D,): the class as which it would be right if its error were mended; -1 where it would not be there."""
    wanted: Indices
    """(K,): objects."""
    missed: Indices
    """(K,): objects that nothing is near to."""


def error_kinds(images: Sequence[Compared], *, classes: int, overlap: float = FOUND) -> list[ErrorKind]:
    """Return the six kinds of error with their numbers and costs, for K `classes`.

    What was found and is wrong has one kind, the first that applies of: `location` (it overlaps an object of its class
    by 0.1 to 0.5), `class` (one of another class by 0.5), `duplicate` (one that another has found), `background` (none
    by more than 0.1), `both`. `missed` are objects that are not found and that no such error stands for. The cost
    is measured as in the paper: the error is mended, or taken away where its object has another (section 2.2).
    """
    found = [_judged(image, classes, overlap) for image in images]
    before = _average(found, classes)
    counts = {kind: sum(int((image.kinds == kind).sum()) for image in found) for kind in KINDS}
    counts[MISSED] = sum(int(image.missed.sum()) for image in found)
    return [
        ErrorKind(kind, count, max(_average(found, classes, mended=kind) - before, 0.0))
        for kind, count in counts.items()
    ]


def class_confusion(
    images: Sequence[Compared], *, classes: int, least: float, overlap: float = FOUND
) -> NDArray[np.int64]:
    """Return how many objects of each class (row) were found as each class (column), (K + 1, K + 1) int64.

    The last row is what was found where nothing is, the last column what was missed. Scores below `least` are left out.
    The pairs that overlap most are taken first, whatever their classes, and have to overlap by `overlap` at least.
    """
    counts = np.zeros((classes + 1, classes + 1), np.int64)
    for image in images:
        kept = np.flatnonzero(image.scores >= least)
        overlaps, counted = image.overlaps[kept], ~_uncounted(image)
        own, there = _pairs(np.where(counted, overlaps, 0), overlap)
        np.add.at(counts, (image.classes[there], image.found_classes[kept][own]), 1)
        missed, wrong = counted.copy(), ~_in_crowd(overlaps, image, overlap)
        missed[there], wrong[own] = False, False
        counts[:classes, classes] += np.bincount(image.classes[missed], minlength=classes)
        counts[classes, :classes] += np.bincount(image.found_classes[kept][wrong], minlength=classes)
    return counts


def found_by_size(images: Sequence[Compared], *, least: float, overlap: float = FOUND) -> list[SizeBin]:
    """Return how many objects there are of each size, and how many of them are found with a score of `least` or more.

    The bins grow by the square root of 2, so that areas double. The best first takes the object of its class that it
    overlaps most, by `overlap` at least.
    """
    sides, taken = [np.empty(0)], [np.empty(0, bool)]
    for image in images:
        kept = np.flatnonzero(image.scores >= least)
        kept, counted = kept[np.argsort(-image.scores[kept], kind="stable")], ~_uncounted(image)
        same = image.found_classes[kept][:, None] == image.classes[counted]
        taken.append(_found(image.overlaps[kept][:, counted] * same, overlap)[1])
        sides.append(np.sqrt(image.areas[counted]))
    every, found = np.concatenate(sides), np.concatenate(taken)
    steps = np.floor(2 * np.log2(np.maximum(every, 1))).astype(np.int64)
    return [
        SizeBin(2 ** (step / 2), 2 ** ((step + 1) / 2), int((steps == step).sum()), int(found[steps == step].sum()))
        for step in (range(steps.min(), steps.max() + 1) if len(steps) else ())
    ]


def _pairs(overlaps: Floats, least: float) -> tuple[Indices, Indices]:
    """Return rows and columns of (D, G), each used once, the highest first, of `least` at least."""
    rows, columns = np.nonzero(overlaps >= least)
    order = np.argsort(-overlaps[rows, columns], kind="stable")
    own, there = [], []
    free_rows, free_columns = np.ones(len(overlaps), bool), np.ones(overlaps.shape[1], bool)
    for d, g in zip(rows[order], columns[order], strict=True):
        if free_rows[d] and free_columns[g]:
            own.append(d)
            there.append(g)
            free_rows[d] = free_columns[g] = False
    return np.array(own, np.int64), np.array(there, np.int64)


def _uncounted(image: Compared) -> Flags:
    return image.crowd if image.ignored is None else image.crowd | image.ignored


def _in_crowd(overlaps: Floats, image: Compared, least: float) -> Flags:
    """Return what of (D, G) lies in objects that do not count."""
    return np.asarray((overlaps * _uncounted(image) >= least).any(axis=1))


def _judged(image: Compared, classes: int, least: float) -> _Image:
    """Return the errors of an image."""
    order = np.argsort(-image.scores, kind="stable")
    counted = ~_uncounted(image)
    labels, truth = image.found_classes[order], image.classes[counted]
    overlaps = image.overlaps[order][:, counted]
    same = np.where(labels[:, None] == truth, overlaps, 0)
    other = np.where(labels[:, None] != truth, overlaps, 0)
    right, taken = _found(same, least)
    kinds = _kinds(same, other, taken, least)
    kinds[right] = RIGHT
    crowd_overlaps = image.overlaps[order] * (labels[:, None] == image.classes)
    kinds[~right & _in_crowd(crowd_overlaps, image, least)] = UNCOUNTED
    mended, stood_for = _mended(kinds, same, other, taken, truth)
    return _Image(
        classes=labels,
        scores=image.scores[order],
        kinds=kinds,
        mended=mended,
        wanted=np.bincount(truth, minlength=classes),
        missed=np.bincount(truth[~taken & ~stood_for], minlength=classes),
    )


def _found(same: Floats, least: float) -> tuple[Flags, Flags]:
    """Return what (D,) has found an object, the best first, and which objects (G,) are found."""
    right, taken = np.zeros(len(same), bool), np.zeros(same.shape[1], bool)
    for d, row in enumerate(same):
        free = np.where(taken, 0, row)
        if len(free) and free.max() >= least:
            right[d] = taken[free.argmax()] = True
    return right, taken


def _kinds(same: Floats, other: Floats, taken: Flags, least: float) -> NDArray[np.str_]:
    """Return the kind (D,) of each error, by overlaps (D, G) with objects of its class and of others."""
    highest, elsewhere, doubled = (of.max(axis=1, initial=0) for of in (same, other, np.where(taken, same, 0)))
    conditions = [
        (highest >= NEAR) & (highest < least),
        elsewhere >= least,
        doubled >= least,
        np.maximum(highest, elsewhere) <= NEAR,
    ]
    return np.select(conditions, ["location", "class", "duplicate", "background"], "both").astype("<U10")


def _mended(
    kinds: NDArray[np.str_], same: Floats, other: Floats, taken: Flags, truth: Indices
) -> tuple[Indices, Flags]:
    """Return as which class (D,) an error of place or class would be right, else -1; which objects (G,) have such ones.

    One error of an object is mended, the best, and none where the object is found.
    """
    mended, stood_for = np.full(len(kinds), -1), np.zeros(len(truth), bool)
    for d, kind in enumerate(kinds):
        if kind in ("location", "class"):
            g = int((same if kind == "location" else other)[d].argmax())
            if not taken[g] and not stood_for[g]:
                mended[d], stood_for[g] = truth[g], True
    return mended, stood_for


def _average(images: Sequence[_Image], classes: int, *, mended: str = "") -> float:
    """Return the mean over classes of average precision, after errors of the kind `mended`."""
    rows = []
    for number, image in enumerate(images):
        change = image.kinds == mended
        labels = np.where(change, image.mended, image.classes)
        kept = (image.kinds != UNCOUNTED) & (labels >= 0)
        hits = (image.kinds == RIGHT) | change
        rows.append((labels[kept], image.scores[kept], hits[kept], np.full(int(kept.sum()), number)))
    labels, scores, hits, numbers = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    wanted = np.stack([image.wanted for image in images])
    objects = wanted.sum(axis=0)
    if mended == MISSED:
        wanted = wanted - np.stack([image.missed for image in images])
    found = []
    for index in np.flatnonzero(objects):
        own = labels == index
        matches = ClassMatches(
            scores=scores[own],
            images=numbers[own],
            ranks=np.zeros(int(own.sum()), np.int64),
            hits=hits[own][None, None],
            ignored=np.zeros((1, 1, int(own.sum())), bool),
            wanted=wanted[:, index][None],
        )
        found.append(precision_at_recalls(matches, 0).mean() if wanted[:, index].any() else 1.0)
    return float(np.mean(found)) if found else 0.0
