"""Parts of images as samples: each row of the cache is a region of a file, as one person in a photograph of several.

A region is x0, y0, x1, y1 in whole pixels of the upright image, half-open.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fovea.data.dataset import Part
from fovea.errors import ImageError
from fovea.inputs.interface import Preprocessing
from fovea.preprocess import Pixels
from fovea.preprocess.decoding import decode


class Region(NamedTuple):
    """A region of an image: a source of the cache."""

    image: Path
    x0: int
    y0: int
    x1: int
    y1: int


def read_region(source: Region, *, frame: Preprocessing) -> Pixels:
    """Return the pixels (H, W, C) uint8 of a region, which is prepared as an image is.

    Raises: ImageError, also where the region does not lie on the image.
    """
    pixels = decode(source.image, channels=frame.channels)
    H, W = pixels.shape[:2]
    if not (0 <= source.x0 < source.x1 <= W and 0 <= source.y0 < source.y1 <= H):
        raise ImageError(f"`{source.image}`: it has {W}x{H} pixels, which differs from the size in its annotation.")
    cut = np.ascontiguousarray(pixels[source.y0 : source.y1, source.x0 : source.x1])
    found: Pixels = frame.read(cut)
    return found


def region_sources(part: Part) -> list[Region]:
    """Return what the rows of a part of regions are read from."""
    rows: Any = () if part.regions is None else part.regions
    return [Region(file, *map(int, row)) for file, row in zip(part.files or (), rows, strict=True)]


def region_sizes(part: Part) -> list[tuple[int, int]]:
    """Return (H, W) of each region."""
    rows: Any = () if part.regions is None else part.regions
    return [(int(y1 - y0), int(x1 - x0)) for x0, y0, x1, y1 in rows]


def region_key(part: Part) -> str:
    """Return what tells the regions of a part from others; empty if rows are whole images."""
    return "" if part.regions is None else np.ascontiguousarray(part.regions, np.int64).tobytes().hex()
