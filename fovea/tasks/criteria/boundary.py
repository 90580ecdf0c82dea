"""How much each pixel counts, so that a network learns the gaps between objects that nearly touch.

Masks are (N, H, W) uint8, the class of each pixel from 0 to K - 1, 255 void. SciPy is needed, PyTorch is not.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from fovea.instances import Objects, connected
from fovea.metrics.masks import VOID

Masks = NDArray[np.uint8]
Weights = NDArray[np.float32]

HIGHEST = 10.0
"""w0: added in a gap of no width."""
DEVIATION = 5.0
"""Sigma, in pixels."""
REACH = 4
"""Deviations of d1 + d2 beyond which nothing is added: less than 0.004, as `HIGHEST` is."""


def boundary_weights(
    masks: Masks, *, background: int = 0, highest: float = HIGHEST, deviation: float = DEVIATION
) -> Weights:
    """Return (N, H, W) float32 of masks (N, H, W) uint8: 1, and more in gaps between objects; 0 where it is void.

    Ronneberger, Fischer and Brox 2015, arXiv:1505.04597, equation 2: 1 + w0 exp(-(d1 + d2)^2 / (2 sigma^2)), d1 and d2
    the distances to the nearest and the second nearest object, w0 = `highest` and sigma = `deviation` in pixels. It is
    for pixels of the class `background`, connected parts of the others are the objects. The paper's term that balances
    classes is left to the weights of the loss.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.stack(list(pool.map(lambda mask: _weights(mask, background, highest, deviation), masks)))


def _weights(mask: Masks, background: int, highest: float, deviation: float) -> Weights:
    known = mask != VOID
    gaps = known & (mask == background)
    first, second = nearest_two(connected(known & ~gaps), reach=int(np.ceil(REACH * deviation)))
    added = highest * np.exp(-((first + second) ** 2) / (2 * deviation**2))
    return np.where(known, 1 + np.where(gaps, added, 0), 0).astype(np.float32)


def nearest_two(objects: Objects, *, reach: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how far each pixel is from the nearest and the second nearest of objects, (H, W) float64 each.

    `objects` are (H, W) int32, 0 for none. Beyond `reach` pixels a distance may be infinite. Few objects are looked at
    one by one, each in the window that it reaches; of many the whole image is, twice for each binary digit of their
    number.
    """
    from scipy.ndimage import find_objects

    places = find_objects(objects)
    windows = [tuple(slice(max(side.start - reach, 0), side.stop + reach) for side in place) for place in places]
    one_by_one = sum(objects[window].size for window in windows)
    if one_by_one <= (2 * len(windows).bit_length() + 1) * objects.size:
        return _one_by_one(objects, windows)
    return _by_digits(objects, len(windows).bit_length())


def _one_by_one(
    objects: Objects, windows: Sequence[tuple[slice, ...]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from scipy.ndimage import distance_transform_edt

    first, second = np.full(objects.shape, np.inf), np.full(objects.shape, np.inf)
    for number, window in enumerate(windows, start=1):
        away = distance_transform_edt(objects[window] != number)
        second[window] = np.minimum(second[window], np.maximum(first[window], away))
        first[window] = np.minimum(first[window], away)
    return first, second


def _by_digits(objects: Objects, digits: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the two distances, exactly: any other object than the nearest has a number that differs in some digit.

    So the second nearest is the nearest of those that differ from it in the first digit, in the second, ...
    """
    from scipy.ndimage import distance_transform_edt

    first, nearest = distance_transform_edt(objects == 0, return_indices=True)
    owner = objects[tuple(nearest)]
    second = np.full(objects.shape, np.inf)
    for digit in range(digits):
        own = owner >> digit & 1
        for value in (0, 1):
            others = (objects > 0) & (objects >> digit & 1 != value)
            if others.any():
                away = distance_transform_edt(~others)
                second = np.where(own == value, np.minimum(second, away), second)
    return first, second
