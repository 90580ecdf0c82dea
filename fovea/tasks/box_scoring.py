"""What boxes that were found are worth against the true ones, which lie on the input of a network.

What was found is (N, 100, 6) float32: class, x0, y0, x1, y1, score; class -1 where there is nothing. True boxes are
(N, M, 7) float32: class, box, 1 for a crowd, square pixels of the image to one of the input.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.decoding.boxes import overlaps
from fovea.metrics.boxes import EACH, ap_interval, average_precision, compared_boxes, detection_scores
from fovea.metrics.detection_errors import class_confusion, error_kinds, found_by_size
from fovea.metrics.matching import SIZES, THRESHOLDS, ClassMatches, Compared, matched
from fovea.tasks.box_figures import BoxFigures, known
from fovea.tasks.figures import Measured

CLASS, SCORE, CROWD, SCALE = 0, 5, 5, 6
"""Columns."""
SHOWN_SCORE = 0.3
"""The score from which on an object is reported, where no other is chosen."""
FOUND_OVERLAP = 0.5


def compared(found: NDArray[Any], truth: NDArray[Any]) -> list[Compared]:
    """Return what was found beside the true boxes, image by image, areas in square pixels of the images."""
    images = []
    for rows, boxes in zip(found.astype(np.float64), truth, strict=True):
        image = compared_boxes(boxes[:, :SCALE], rows[rows[:, CLASS] >= 0])
        scale = float(boxes[0, SCALE])
        images.append(replace(image, areas=image.areas * scale, found_areas=image.found_areas * scale))
    return images


def mean_ap50(found: NDArray[Any], truth: NDArray[Any], *, classes: int) -> float | None:
    """Return AP50, the mean of the classes that are there; None if none is."""
    images = compared(found, truth)
    each = average_precision(matched(images, classes=classes, thresholds=THRESHOLDS[:1], sizes=[SIZES["all"]]), 0)
    return None if np.isnan(each).all() else float(each[~np.isnan(each)].mean())


def box_figures(
    found: NDArray[Any], truth: NDArray[Any], names: Sequence[str], counts: dict[str, int], *, least: float
) -> BoxFigures:
    """Return all figures, `counts` being the objects of each class, and `least` the lowest reported score."""
    images = compared(found, truth)
    matches = matched(images, classes=len(names))
    scores, kinds = detection_scores(matches), error_kinds(images, classes=len(names))
    return BoxFigures(
        ap=_or_zero(scores.ap),
        interval=_interval(matches),
        ap50=_or_zero(scores.ap50),
        ap75=_or_zero(scores.ap75),
        ap_small=known(scores.ap_small),
        ap_medium=known(scores.ap_medium),
        ap_large=known(scores.ap_large),
        ar100=_or_zero(scores.ar100),
        errors={kind.name: kind.cost for kind in kinds},
        error_counts={kind.name: kind.errors for kind in kinds},
        least_score=least,
        confusion=class_confusion(images, classes=len(names), least=least).tolist(),
        sizes=[bin._asdict() for bin in found_by_size(images, least=least)],
        per_class={
            name: {"ap": float(ap), "ap50": float(ap50), "objects": counts[name]}
            for name, ap, ap50 in zip(names, scores.per_class, scores.per_class50, strict=True)
            if not np.isnan(ap50)
        },
    )


def measured_ap50(found: NDArray[Any], truth: NDArray[Any], *, classes: int) -> Measured:
    """Return AP50 with its interval; nothing where no image has an object."""
    matches = matched(compared(found, truth), classes=classes)
    value = known(detection_scores(matches).ap50)
    return Measured(value, None if value is None else _interval(matches))


def best_least(matches: list[ClassMatches]) -> float:
    """Return the score from which on objects of all classes together have the highest F1, at an overlap of 0.5."""
    scores = np.concatenate([found.scores[~found.ignored[0, 0]] for found in matches])
    hits = np.concatenate([found.hits[0, 0][~found.ignored[0, 0]] for found in matches])
    wanted = sum(int(found.wanted[0].sum()) for found in matches)
    if not hits.any():
        return SHOWN_SCORE
    order = np.argsort(-scores, kind="stable")
    right = hits[order].cumsum()
    f1 = 2 * right / (np.arange(1, len(order) + 1) + wanted)
    return round(float(scores[order[f1.argmax()]]), 4)


def missed_and_wrong(found: NDArray[Any], truth: NDArray[Any]) -> tuple[int, int]:
    """Return how many boxes (M, 6 or 7) have none of those found (D, 6), and how many of these are of none.

    The best first takes the one of its class that it overlaps most, by half at least.
    """
    shared = overlaps(found[:, 1:5], truth[:, 1:5]) * (found[:, :1] == truth[:, CLASS])
    free = np.ones(len(truth), bool)
    for row in shared:
        best = int(np.argmax(row * free)) if free.any() else -1
        if best >= 0 and row[best] * free[best] >= FOUND_OVERLAP:
            free[best] = False
    taken = int((~free).sum())
    return len(truth) - taken, len(found) - taken


def _interval(matches: list[ClassMatches]) -> tuple[float, float]:
    low, high = ap_interval(matches, EACH[:1])
    return _or_zero(low), _or_zero(high)


def _or_zero(value: float) -> float:
    return 0.0 if np.isnan(value) else float(value)
