"""How near the outlines of masks are to the true ones, over many images: boundary F1 and HD95.

Figures are float64 (N, K), of each image and class, NaN where the class is in neither mask. A figure of many images is
the mean over classes, each over the images that show it.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fovea.metrics.boundaries import TOLERANCE, boundary_f1, hausdorff_95
from fovea.metrics.masks import mean_of_classes
from fovea.metrics.resampling import bootstrap_interval

Floats = NDArray[np.float64]
OUTLINED = 200
"""Images, spread over a part, whose outlines are compared."""


@dataclass(frozen=True, kw_only=True)
class Outlines:
    """How outlines agree."""

    f1: Floats
    """(N, K) boundary F1, 0 to 1."""
    hd95: Floats
    """(N, K) in pixels."""
    tolerance: float
    """Pixels within which outlines agree."""


def compared_outlines(answers: NDArray[np.uint8], truth: NDArray[np.uint8], *, classes: int) -> Outlines:
    """Return how the outlines of answers (N, h, w) agree with those of true masks (N, h, w), of 200 images at most."""
    chosen = np.unique(np.linspace(0, len(answers) - 1, min(OUTLINED, len(answers))).astype(int))

    def figures(index: int) -> tuple[Floats, Floats]:
        pair = truth[index], answers[index]
        return boundary_f1(*pair, classes=classes), hausdorff_95(*pair, classes=classes)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        f1, hd95 = zip(*pool.map(figures, chosen.tolist()), strict=True)
    return Outlines(
        f1=np.stack(f1),
        hd95=np.stack(hd95),
        tolerance=round(TOLERANCE * float(np.hypot(*answers.shape[1:])), 2),
    )


def of_classes(figures: Floats, weights: Floats | None = None) -> Floats:
    """Return the mean (B, K) of each class over the images (N, K) that show it, counted as weights (B, N) say."""
    known = ~np.isnan(figures)
    each = np.ones((1, len(figures))) if weights is None else weights
    total = each @ known.astype(np.float64)
    return np.where(total > 0, each @ np.where(known, figures, 0) / np.where(total > 0, total, 1), np.nan)


def of_all(figures: Floats) -> tuple[float | None, tuple[float, float] | None]:
    """Return the mean over classes of figures (N, K) and where it lies with 95 % confidence; None if none is."""
    value = float(mean_of_classes(of_classes(figures))[0])
    if np.isnan(value):
        return None, None
    return value, bootstrap_interval(lambda weights: mean_of_classes(of_classes(figures, weights)), len(figures))


def by_class(figures: Floats, index: int) -> float | None:
    """Return the mean of one class, None if no image shows it."""
    value = float(of_classes(figures)[0, index])
    return None if np.isnan(value) else value
