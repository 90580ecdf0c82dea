"""What masks that a network answers are worth against the true ones.

Answers are (N, h, w) uint8 class indices, true masks (N, H, W) uint8, in which 255 is void; answers of valid
convolutions are smaller and tell of the middle.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.metrics.masks import (
    dice,
    intersection_over_union,
    mask_interval,
    mean_dice,
    mean_iou,
    pixel_accuracy,
    pixel_confusion,
    pixel_counts,
)
from fovea.tasks.mask_figures import MaskFigures
from fovea.tasks.mask_outlines import by_class, compared_outlines, of_all


def confusion_of(answers: Any, labels: Any, *, classes: int) -> NDArray[np.int64]:
    """Return how many pixels of which class are answered as which, (N, K, K)."""
    truth = np.asarray(middle(labels, answers), np.uint8)
    return pixel_confusion(truth, np.asarray(answers, np.uint8), classes=classes)


def mask_figures(answers: NDArray[np.uint8], labels: NDArray[np.uint8], names: Sequence[str]) -> MaskFigures:
    """Return overlaps and outlines."""
    confusion = confusion_of(answers, labels, classes=len(names))
    counts, pooled = pixel_counts(confusion), pixel_counts(confusion).pooled()
    overlap, twice = intersection_over_union(pooled), dice(pooled)
    seen = np.flatnonzero(~np.isnan(overlap))
    outlines = compared_outlines(answers, np.asarray(middle(labels, answers)), classes=len(names))
    (f1, f1_interval), (distance, distance_interval) = of_all(outlines.f1), of_all(outlines.hd95)
    return MaskFigures(
        miou=float(mean_iou(pooled)),
        interval=mask_interval(counts),
        dice=float(mean_dice(pooled)),
        pixel_accuracy=float(pixel_accuracy(pooled)),
        boundary_f1=f1,
        boundary_f1_interval=f1_interval,
        tolerance=outlines.tolerance,
        hd95=distance,
        hd95_interval=distance_interval,
        per_class={
            names[i]: {
                **{"iou": float(overlap[i]), "dice": float(twice[i]), "pixels": int(pooled.truth[i])},
                **{"boundary_f1": by_class(outlines.f1, i), "hd95": by_class(outlines.hd95, i)},
            }
            for i in map(int, seen)
        },
        confusion=confusion.sum(axis=0).tolist(),
    )


def middle(masks: Any, maps: Any) -> Any:
    """Return the middle of masks (N, H, W) that maps (..., h, w) tell of: those of valid convolutions are smaller."""
    (H, W), (h, w) = masks.shape[-2:], maps.shape[-2:]
    top, left = (H - h) // 2, (W - w) // 2
    return masks[..., top : top + h, left : left + w] if (h, w) != (H, W) else masks
