"""How similar two maps are: rank correlation and structural similarity. Maps are (H, W), float of any width."""

from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.stats import rankdata

Map = NDArray[np.floating]

DEVIATION = 1.5
REACH = 5
"""The Gaussian window of 11 x 11 pixels, and the constants, of Wang et al. 2004, doi:10.1109/TIP.2003.819861."""
K1, K2 = 0.01, 0.03


def rank_correlation(a: Map, b: Map) -> float:
    """Return Spearman's correlation of two maps (H, W) float, equals with their mean rank.

    Of a constant map and another it is 0, of two constant ones 1.
    """
    first, second = (rankdata(values, axis=None) for values in (a, b))
    first, second = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((first**2).sum() * (second**2).sum()))
    if not scale:
        return float(not first.any() and not second.any())
    return float((first * second).sum()) / scale


def structural_similarity(a: Map, b: Map) -> float:
    """Return the mean structural similarity of two maps (H, W) float, each scaled to 0..1 before: from -1 to 1.

    Wang et al. 2004, equation 13, without the places whose window reaches over the border, unless there are no others.
    """
    x, y = scaled(a), scaled(b)
    mean_x, mean_y = smoothed(x), smoothed(y)
    variance_x, variance_y = smoothed(x * x) - mean_x**2, smoothed(y * y) - mean_y**2
    covariance = smoothed(x * y) - mean_x * mean_y
    c1, c2 = K1**2, K2**2
    similar = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    )
    inner = similar[REACH:-REACH, REACH:-REACH]
    return float((inner if inner.size else similar).mean())


def scaled(values: Map) -> NDArray[np.float64]:
    """Return a map (H, W) as float64 with 0 as its lowest and 1 as its highest value; all 0 where it is constant."""
    values = values.astype(np.float64)
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a map (H, W) float64 under the Gaussian window, its border mirrored."""
    return cast(NDArray[np.float64], gaussian_filter(values, DEVIATION, truncate=REACH / DEVIATION))
