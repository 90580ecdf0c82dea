"""Which pixels PyTorch's interpolations read, by their own formulas for where an output lies in the input."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import floor
from typing import Any, NamedTuple

import numpy as np

NEAR_ZERO = 1e-6
"""A weight of this size is rounding: the output lies on a pixel."""


class Placing(NamedTuple):
    """How the outputs along one axis lie in the input."""

    scale: float
    """Pixels of the input from one output to the next."""
    corners: bool
    """The first and last output lie on the first and last pixel; else the centre of pixel i is at i + 0.5."""
    size: int
    """Pixels of the input."""


Taps = Callable[[int, Placing], Sequence[int]]
"""Given output i: the pixels that it reads, in order; some may lie outside the input."""


def placed(given: Mapping[str, Any], axis: int, *, axes: int, size: int, out: int) -> Placing:
    """Return the placing along the axis of this number out of `axes`, for the arguments of an interpolation."""
    corners = bool(given.get("align_corners"))
    if corners:
        return Placing((size - 1) / (out - 1) if out > 1 else 0.0, corners, size)
    name = "scales" if axes == 1 else f"scales_{'dhw'[axis - axes]}"
    # a factor that was given counts as it is, though the size after it is rounded down
    factor = given.get(name)
    return Placing(1 / factor if factor else size / out, corners, size)


def _nearest(i: int, placing: Placing, *, shift: float) -> Sequence[int]:
    # PyTorch counts in single precision, whatever the tensor is
    at = np.float32(i + shift) * np.float32(placing.scale)
    return [min(floor(at), placing.size - 1)]


def _between(i: int, placing: Placing, *, radius: int) -> Sequence[int]:
    """Return the `radius` neighbours on either side; the pixel alone where the output lies on one."""
    at = i * placing.scale if placing.corners else (i + 0.5) * placing.scale - 0.5
    if abs(at - round(at)) < NEAR_ZERO:
        return [round(at)]
    return [_clamped(pixel, placing) for pixel in range(floor(at) - radius + 1, floor(at) + radius + 1)]


def _clamped(pixel: int, placing: Placing) -> int:
    return min(max(pixel, 0), placing.size - 1)


INTERPOLATIONS: Mapping[str, tuple[int, Taps]] = {
    **{f"upsample_nearest{axes}d": (axes, partial(_nearest, shift=0.0)) for axes in (1, 2, 3)},
    **{f"_upsample_nearest_exact{axes}d": (axes, partial(_nearest, shift=0.5)) for axes in (1, 2, 3)},
    "upsample_linear1d": (1, partial(_between, radius=1)),
    "upsample_bilinear2d": (2, partial(_between, radius=1)),
    "upsample_bicubic2d": (2, partial(_between, radius=2)),
    "upsample_trilinear3d": (3, partial(_between, radius=1)),
}
"""By operation: how many axes it resizes, and what an output reads along each."""
