"""Output sizes of sliding windows (convolution, pooling), one dimension at a time, in plain integers."""

from collections.abc import Sequence
from typing import NamedTuple

from fovea.errors import ShapeError


class Window(NamedTuple):
    """A layer as far as sizes go, with the path to name it by: `Window("stage1.pool", 2, stride=2)`."""

    path: str
    kernel: int
    stride: int = 1
    padding: int = 0
    ceil: bool = False
    """Whether a last position that hangs over the edge counts, as in pooling with `ceil_mode`."""


def convolved(size: int, kernel: int, *, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Return how many positions a window has on `size` pixels with `padding` more on either side.

    floor((size + 2 padding - dilation (kernel - 1) - 1) / stride) + 1, as in Dumoulin and Visin 2016,
    arXiv:1603.07285, relationship 15.

    >>> convolved(7, 3), convolved(7, 3, stride=2), convolved(7, 3, dilation=2)
    (5, 3, 3)

    Raises:
        ShapeError: the window is wider than the padded input.
    """
    extent = dilation * (kernel - 1) + 1
    if extent > size + 2 * padding:
        raise ShapeError(
            f"A window of {extent} pixels does not fit into an input of {size} with {padding} padded on either side; "
            f"use a larger input or more padding."
        )
    return (size + 2 * padding - extent) // stride + 1


def chained(size: int, windows: Sequence[Window], *, axes: int = 2, argument: str = "size") -> int:
    """Return the size after all `windows` in order; of a map with so many such `axes`, and the builder's `argument`.

    >>> chained(32, [Window("conv", 5), Window("pool", 2, stride=2)])
    14

    Raises:
        ShapeError: a window does not fit; the message names it and the smallest `size` that works.
    """
    out = size
    for window in windows:
        try:
            out = _positions(out, window)
        except ShapeError as error:
            kernel, given = ("x".join([str(length)] * axes) for length in (window.kernel, out))
            raise ShapeError(
                f"Layer `{window.path}` ({kernel}) does not fit its input of {given}: "
                f"`{argument}` (={size}) must be at least {_smallest(windows)}."
            ) from error
    return out


def _positions(size: int, window: Window) -> int:
    overhang = window.stride - 1 if window.ceil else 0
    out = convolved(size + overhang, window.kernel, stride=window.stride, padding=window.padding)
    # no position may lie wholly in the padding behind the input
    return out - 1 if window.ceil and (out - 1) * window.stride >= size + window.padding else out


def _smallest(windows: Sequence[Window]) -> int:
    size = 1
    for window in reversed(windows):
        last = (size - 1) * window.stride - window.padding  # where the last position begins
        extent = window.kernel - window.padding
        size = max(1, last + (max(1, extent - window.stride + 1) if window.ceil else extent))
    return size


Shape = tuple[int | None, ...]
"""Of which lengths may be open, None."""


def has_shape(found: tuple[int, ...], wanted: Shape) -> bool:
    """Return whether a shape is the wanted one; an open length may be any, but none."""
    return len(found) == len(wanted) and all(
        own == length or (own is None and length) for own, length in zip(wanted, found, strict=True)
    )
