"""Several objects with points in an image: each becomes a sample of its own, from the top down.

Xiao, Wu and Wei 2018, arXiv:1804.06208, section 3: the box of a person, enlarged, is what a network sees of an image.
Boxes are x0, y0, x1, y1 in pixels of the image.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.data.sources.annotations.assembly import Sample

ENLARGED = 1.25
"""Of a box: so many times as wide and as high is its region."""
Box = Sequence[float]
Points = NDArray[np.float32]
"""(P, 3) x, y and visibility."""


class Pointed(NamedTuple):
    """An object of an image."""

    box: Box | None
    area: float | None
    """Pixels that it covers; None if that is not known."""
    points: Points


def samples_of(image: Sample, size: tuple[int, int], objects: Sequence[Pointed]) -> Iterator[Sample]:
    """Yield a sample of each object of an image of `size` (H, W), its points given in pixels of its region.

    Without a box that has an area it is the one around the labelled points.
    """
    for number, (box, area, points) in enumerate(objects, start=1):
        labelled = points[:, 2:] > 0
        if box is None or box[2] <= box[0] or box[3] <= box[1]:
            places = points[labelled[:, 0], :2]
            box = [*places.min(axis=0).tolist(), *places.max(axis=0).tolist()]
        region = enlarged(box, size, by=ENLARGED)
        moved = points.copy()
        moved[:, :2] = np.where(labelled, points[:, :2] - region[:2], 0)
        name = f"{image.name} #{number}" if len(objects) > 1 else image.name
        yield image._replace(name=name, target=moved, region=region, area=area)


def enlarged(box: Box, size: tuple[int, int], *, by: float) -> tuple[int, int, int, int]:
    """Return a box `by` times as wide and high around its middle, cut at an image of `size` (H, W), in whole pixels.

    It has one pixel at least.
    """
    low, high = np.array(box[:2], np.float64), np.array(box[2:], np.float64)
    middle, half = (low + high) / 2, by * (high - low) / 2
    sides = np.array(size[::-1])
    first = np.clip(np.floor(middle - half), 0, sides - 1).astype(int)
    last = np.clip(np.ceil(middle + half), first + 1, sides).astype(int)
    return int(first[0]), int(first[1]), int(last[0]), int(last[1])
