"""Single objects of a mask: connected ones, and those that touch, parted where they are narrow.

A region is (H, W) bool; numbered objects are (H, W) int32, 0 outside of the region and 1, 2, ... inside, in the order
of their first pixels by rows.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Region = NDArray[np.bool_]
Objects = NDArray[np.int32]
Floats = NDArray[np.float64]

NECK = 0.8
"""How wide two objects may be joined before they are one: by the radius of the narrower."""
SHALLOWEST = 0.75
"""So many pixels at least an object is wider than its neck: less is the roughness of its outline."""


class MaskObjects(NamedTuple):
    """The objects of a mask of several classes."""

    objects: Objects
    """(H, W) int32, 0 for none."""
    classes: NDArray[np.int64]
    """(I,): of each object, those of one class after those of another."""


class Measures(NamedTuple):
    """What can be said of each object, in pixels: the columns of a table, (I,) each or (I, 2) and (I, 4)."""

    areas: NDArray[np.int64]
    centres: Floats
    """x and y, the centre of the first pixel at 0.5, 0.5."""
    boxes: NDArray[np.int64]
    """x0, y0, x1, y1, half-open."""


def connected(region: Region, *, least: int = 1) -> Objects:
    """Return the connected parts of a region (H, W) bool as objects (H, W) int32; pixels at corners are connected.

    Parts of fewer than `least` pixels are left out.
    """
    from scipy.ndimage import label

    parts, _ = label(region, structure=np.ones((3, 3)))
    return _renumbered(parts, least)


def parted(region: Region, *, neck: float = NECK, least: int = 1) -> Objects:
    """Return the objects (H, W) int32 of a region (H, W) bool, those that touch parted: a watershed of distances.

    From each pixel it goes to the neighbour that is furthest from the outline, up to a peak (Beucher and Lantuejoul
    1979). Two peaks are one object where the way between them is nowhere narrower than `neck` times the lower peak.
    Objects of fewer than `least` pixels are left out.
    """
    from scipy.ndimage import distance_transform_edt

    if not region.any():
        return np.zeros(region.shape, np.int32)
    heights = distance_transform_edt(np.pad(region, 1)).ravel()
    width = region.shape[1] + 2
    (inside,) = np.nonzero(heights)
    peaks = _uphill(heights, inside, width)
    owners = _merged(heights, inside, peaks, width, neck)
    flat = np.zeros(len(heights), np.int64)
    flat[inside] = owners[inside] + 1
    return _renumbered(flat.reshape(-1, width)[1:-1, 1:-1], least)


WAYS: Mapping[str, Callable[..., Objects]] = {"parted": parted, "connected": connected}
"""How objects of a region are separated: with or without parting those that touch."""


def objects_of(mask: NDArray[np.uint8], *, classes: Sequence[int], way: str = "parted", least: int = 1) -> MaskObjects:
    """Return the objects of a mask (H, W) uint8 that are of these `classes`, separated in one of `WAYS`.

    Objects of fewer than `least` pixels are left out.
    """
    found = np.zeros(mask.shape, np.int32)
    own: list[int] = []
    for index in classes:
        region = mask == index
        if not region.any():
            continue
        window = _window(region)
        objects = WAYS[way](region[window], least=least)
        inside = objects > 0
        found[window][inside] = objects[inside] + len(own)
        own += [index] * int(objects.max(initial=0))
    return MaskObjects(found, np.array(own, np.int64))


def mean_inside(objects: Objects, values: NDArray[np.floating]) -> Floats:
    """Return the mean (I,) float64 of `values` (H, W) over the pixels of each object of (H, W) int32."""
    count = int(objects.max(initial=0))
    totals = np.bincount(objects.ravel(), values.ravel(), minlength=count + 1)[1:]
    return totals / np.bincount(objects.ravel(), minlength=count + 1)[1:]


def outline(objects: Objects) -> Region:
    """Return which pixels (H, W) of objects (H, W) int32 have another one, or none, above, below, left or right."""
    around = np.pad(objects, 1)
    sides = (around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:])
    return np.asarray((objects > 0) & np.any([side != objects for side in sides], axis=0))


def _window(region: Region) -> tuple[slice, slice]:
    """Return the rows and columns that hold all of a region that has pixels."""
    rows, columns = (np.flatnonzero(region.any(axis=axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def measures(objects: Objects) -> Measures:
    """Return area, centre and box of each object of (H, W) int32, in the order of their numbers."""
    from scipy.ndimage import find_objects

    count = int(objects.max(initial=0))
    areas = np.bincount(objects.ravel(), minlength=count + 1)[1:]
    y, x = (np.bincount(objects.ravel(), places.ravel() + 0.5, count + 1)[1:] for places in np.indices(objects.shape))
    boxes = [[across.start, down.start, across.stop, down.stop] for down, across in find_objects(objects)]
    centres = np.stack([x, y], axis=1) / areas[:, None]
    return Measures(areas, centres, np.array(boxes, np.int64).reshape(-1, 4))


def _neighbours(width: int) -> tuple[int, ...]:
    """Return how far apart in a flat image of `width` a pixel and its eight neighbours are."""
    return (-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1)


def _uphill(heights: Floats, inside: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Return the peak (H W,) to which each pixel of a flat image leads; of equal heights the first pixel is higher."""
    target = np.arange(len(heights))
    best = heights[inside].copy()
    chosen = inside.copy()
    for step in _neighbours(width):
        other = inside + step
        higher = (heights[other] > best) | ((heights[other] == best) & (other < chosen))
        best = np.where(higher, heights[other], best)
        chosen = np.where(higher, other, chosen)
    target[inside] = chosen
    while True:  # ways are halved in length each time
        further = target[target]
        if (further == target).all():
            return target
        target = further


def _merged(
    heights: Floats, inside: NDArray[np.int64], peaks: NDArray[np.int64], width: int, neck: float
) -> NDArray[np.int64]:
    """Return the highest peak (H W,) of the object that each pixel belongs to: wide passes between peaks are closed.

    Passes are taken from the highest on, so that a peak is compared with the object that it first meets.
    """
    owner = {int(peak): int(peak) for peak in np.unique(peaks[inside])}

    def root(peak: int) -> int:
        while owner[peak] != peak:
            owner[peak] = owner[owner[peak]]
            peak = owner[peak]
        return peak

    for height, first, second in zip(*_passes(heights, inside, peaks, width), strict=True):
        a, b = sorted((root(first), root(second)), key=lambda peak: (heights[peak], -peak))
        if a != b and height > min(neck * heights[a], heights[a] - SHALLOWEST):
            owner[a] = b
    merged = np.arange(len(heights))
    for peak in owner:
        merged[peak] = root(peak)
    return merged[peaks]


def _passes(
    heights: Floats, inside: NDArray[np.int64], peaks: NDArray[np.int64], width: int
) -> tuple[list[float], list[int], list[int]]:
    """Return the height of the highest pass between each two neighbouring peaks, and these, the highest pass first."""
    found = []
    for step in _neighbours(width)[4:]:
        own, other = inside, inside + step
        apart = (heights[other] > 0) & (peaks[own] != peaks[other])
        own, other = own[apart], other[apart]
        ends = np.sort(np.stack([peaks[own], peaks[other]]), axis=0)
        found.append((np.minimum(heights[own], heights[other]), *ends))
    height, first, second = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((second, first, -height))
    pairs = np.stack([first, second])[:, order]
    _, highest = np.unique(pairs, axis=1, return_index=True)
    highest.sort()
    return height[order][highest].tolist(), pairs[0, highest].tolist(), pairs[1, highest].tolist()


def _renumbered(parts: NDArray[np.integer], least: int) -> Objects:
    """Return parts (H, W), 0 outside, as objects: numbered by their first pixels, small ones left out."""
    numbers, first, inverse, counts = np.unique(parts, return_index=True, return_inverse=True, return_counts=True)
    kept = (numbers != 0) & (counts >= least)
    order = np.argsort(np.where(kept, first, parts.size), kind="stable")
    fresh = np.zeros(len(numbers), np.int32)
    fresh[order[: kept.sum()]] = np.arange(1, kept.sum() + 1)
    return fresh[inverse].reshape(parts.shape)
