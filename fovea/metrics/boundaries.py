"""How near the outlines of masks are to the true ones, per class and image.

Masks are (H, W) uint8, the class of each pixel from 0 to K - 1; in the true ones 255 is void, where nothing is scored.
Distances are Euclidean, in pixels, between the centres of pixels. Figures are float64 (K,).
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fovea.metrics.masks import VOID, Masks

Floats = NDArray[np.float64]
Region = NDArray[np.bool_]

TOLERANCE = 0.0075
"""Of the diagonal of the image: so far apart outlines still agree."""


def boundary_f1(truth: Masks, predicted: Masks, *, classes: int, tolerance: float | None = None) -> Floats:
    """Return the F1 score (K,) of the outlines of each class, 0 to 1; NaN of one without an outline in both masks.

    Csurka, Larlus and Perronnin 2013, doi:10.5244/C.27.32, section 2.3. Precision is the share of predicted outline
    pixels at most `tolerance` pixels from a true one, recall the reverse. An outline pixel has one of its four
    neighbours in another class; neither the edge of the image nor void is one. The tolerance is 0.75 % of the diagonal
    where none is given.
    """
    reach = tolerance if tolerance is not None else TOLERANCE * math.hypot(*truth.shape)

    def score(true: Region, found: Region, known: Region) -> float:
        wanted, drawn = (_outline(region, known & ~region, beyond=False) for region in (true, found))
        if not (wanted.any() and drawn.any()):
            return 0.0 if wanted.any() or drawn.any() else math.nan
        precision = float((_distance_to(wanted)[drawn] <= reach).mean())
        recall = float((_distance_to(drawn)[wanted] <= reach).mean())
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0

    return _per_class(truth, predicted, classes, score)


def hausdorff_95(truth: Masks, predicted: Masks, *, classes: int) -> Floats:
    """Return the distance (K,) in pixels that 95 % of the outlines of each class keep to; NaN where either has none.

    The larger of two 95th percentiles: of the distances from predicted outline pixels to the nearest true one, and the
    reverse (Maier-Hein et al. 2024, doi:10.1038/s41592-023-02151-z). The edge of the image and void bound a region
    here. It is the diagonal of the image where one mask lacks the class.
    """

    def distance(true: Region, found: Region, known: Region) -> float:
        if not (true.any() and found.any()):
            return math.hypot(*truth.shape)
        wanted, drawn = (_outline(region, ~region, beyond=True) for region in (true, found))
        there, back = _distance_to(wanted)[drawn], _distance_to(drawn)[wanted]
        return float(max(np.percentile(there, 95), np.percentile(back, 95)))

    return _per_class(truth, predicted, classes, distance)


def _per_class(
    truth: Masks, predicted: Masks, classes: int, figure: Callable[[Region, Region, Region], float]
) -> Floats:
    """Return a figure of true region, found region and known pixels for each class in either mask, NaN for others."""
    known, figures = truth != VOID, np.full(classes, np.nan)
    for index in np.union1d(truth[known], predicted[known]):
        true, found = truth == index, (predicted == index) & known
        window = _window(true | found)
        figures[index] = figure(true[window], found[window], known[window])
    return figures


def _window(region: Region) -> tuple[slice, slice]:
    """Return the rows and columns around a region, one pixel more on each side where the image has it."""
    rows, columns = (np.flatnonzero(region.any(axis=axis)) for axis in (1, 0))
    return slice(max(rows[0] - 1, 0), rows[-1] + 2), slice(max(columns[0] - 1, 0), columns[-1] + 2)


def _outline(region: Region, other: Region, *, beyond: bool) -> Region:
    """Return the pixels of a region beside `other` ones, `beyond` says whether those outside the image are."""
    around = np.pad(other, 1, constant_values=beyond)
    return region & (around[:-2, 1:-1] | around[2:, 1:-1] | around[1:-1, :-2] | around[1:-1, 2:])


def _distance_to(outline: Region) -> Floats:
    """Return how far each pixel is from the nearest one of the outline."""
    from scipy.ndimage import distance_transform_edt

    distances: Floats = distance_transform_edt(~outline)
    return distances
