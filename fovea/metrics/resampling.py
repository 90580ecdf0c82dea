"""Where a figure lies that is made of many images: the bootstrap, which draws images again (Efron 1979).

doi:10.1214/aos/1176344552. A figure is a function of weights (B, N) float64, how often each of N images is drawn in
each of B resamplings. The draws are the same every time, so that two figures over the same images can be subtracted.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Statistic = Callable[[NDArray[np.float64]], Floats]
"""Weights (B, N) float64 of N images -> the figure (B,) of each resampling, NaN where it is not defined."""

RESAMPLINGS = 1000
ROUND = 50
"""Resamplings at a time, so that memory stays small."""


def drawn(images: int, resamplings: int = RESAMPLINGS) -> Iterator[NDArray[np.float64]]:
    """Yield how often each of N `images` is drawn, (B, N) float64 whose rows sum to N, a round after the other."""
    generator, share = np.random.default_rng(0), np.full(images, 1 / images)
    for done in range(0, resamplings, ROUND):
        yield generator.multinomial(images, share, min(ROUND, resamplings - done)).astype(np.float64)


def bootstrap_interval(
    statistic: Statistic, images: int, *, confidence: float = 0.95, resamplings: int = RESAMPLINGS
) -> tuple[float, float]:
    """Return the percentiles between which a figure of N `images` lies over resamplings; NaN where it never is defined.

    `statistic` takes weights (B, N) float64. The difference of two figures of the same images is a statistic too: its
    interval is the paired one.
    """
    return percentiles(np.concatenate([statistic(weights) for weights in drawn(images, resamplings)]), confidence)


def mean_interval(values: Floats, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return where the mean of one float per image (N,) lies, NaN left out; NaN where all are."""
    known = ~np.isnan(values)
    filled = np.where(known, values, 0.0)

    def mean(weights: NDArray[np.float64]) -> Floats:
        total = weights @ known.astype(np.float64)
        return np.where(total > 0, weights @ filled / np.where(total > 0, total, 1), np.nan)

    return bootstrap_interval(mean, len(values), confidence=confidence)


def percentiles(found: Floats, confidence: float) -> tuple[float, float]:
    """Return the interval that holds the middle `confidence` of figures (B,) float, those undefined left out."""
    kept = found[~np.isnan(found)]
    low, high = np.quantile(kept, [(1 - confidence) / 2, (1 + confidence) / 2]) if len(kept) else (np.nan, np.nan)
    return float(low), float(high)
