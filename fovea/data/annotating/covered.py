"""The pixels that a brush has covered: masks (H, W) uint8 of class numbers, 255 where nothing is, and what they become.

A stroke covers the pixels whose centre is at most its radius away from the line that the pointer drew.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.data.annotating.kinds import MOST_CORNERS, Size
from fovea.data.shapes import from_runs, polygon, runs_from_text
from fovea.decoding.runs import runs_to_text, to_runs
from fovea.errors import UsageError
from fovea.fields import is_number
from fovea.preprocess import VOID

Mask = NDArray[np.uint8]
LARGEST_RADIUS = 1000.0
"""Pixels."""


def mask_of(label: Sequence[Mapping[str, Any]], classes: Sequence[str], size: Size) -> Mask:
    """Return the mask (H, W) uint8 of objects with `runs` or `rings`; later ones above earlier ones."""
    mask = np.full(size, VOID, np.uint8)
    for each in label:
        mask[inside(each, size)] = classes.index(each["label"])
    return mask


def inside(shape: Mapping[str, Any], size: Size) -> NDArray[np.bool_]:
    """Return the pixels bool (H, W) of one object, of run lengths as text or of rings."""
    if "runs" in shape:
        return from_runs(runs_from_text(shape["runs"]), size)
    covered = np.zeros(size, bool)
    for ring in shape["rings"]:
        covered |= polygon(np.array(ring, np.float32).reshape(-1, 2), size)
    return covered


def label_of(mask: NDArray[Any], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return the label of a mask (H, W) uint8: for each class that is there its run lengths as COCO packs them."""
    found = [index for index in np.unique(mask).tolist() if index < len(classes)]
    return [{"label": classes[index], "runs": runs_to_text(to_runs(mask == index))} for index in found]


def painted(mask: Mask, path: Any, *, radius: Any, value: int) -> Mask:
    """Return a mask (H, W) uint8 with a stroke along the corners x0, y0, x1, y1, ... of `path`; `value` 255 erases.

    Raises: UsageError for what is no stroke.
    """
    known = isinstance(path, list) and 2 <= len(path) <= 2 * MOST_CORNERS and len(path) % 2 == 0
    if not known or not all(map(is_number, path)) or not is_number(radius) or not 0 < radius <= LARGEST_RADIUS:
        raise UsageError(f"A stroke must have a list of positions and a radius of at most {LARGEST_RADIUS:g} pixels.")
    result = mask.copy()
    corners = np.clip(np.array(path, np.float64).reshape(-1, 2), -LARGEST_RADIUS, 1e6)
    for start, end in zip(corners[:-1], corners[1:], strict=True) if len(corners) > 1 else [(corners[0], corners[0])]:
        _cover(result, start, end, radius=float(radius), value=value)
    return result


def _cover(mask: Mask, start: NDArray[np.float64], end: NDArray[np.float64], *, radius: float, value: int) -> None:
    """Set the pixels of `mask` near a line to `value`."""
    h, w = mask.shape
    low, high = np.minimum(start, end) - radius, np.maximum(start, end) + radius
    left, right = int(np.clip(low[0], 0, w)), int(np.clip(np.ceil(high[0]), 0, w))
    top, bottom = int(np.clip(low[1], 0, h)), int(np.clip(np.ceil(high[1]), 0, h))
    x, y = np.arange(left, right) + 0.5, (np.arange(top, bottom) + 0.5)[:, None]
    along = end - start
    share = np.clip(((x - start[0]) * along[0] + (y - start[1]) * along[1]) / max(along @ along, 1e-12), 0, 1)
    near = (x - start[0] - share * along[0]) ** 2 + (y - start[1] - share * along[1]) ** 2 <= radius**2
    mask[top:bottom, left:right][near] = value
