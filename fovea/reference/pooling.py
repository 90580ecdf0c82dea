"""Pooling: one number for each window of each channel. Windows may overlap (stride < kernel) or cover everything.

Each function takes x (N, C, *sizes), float64, and gives (N, C, *output sizes); its gradient takes g = dL/dy as well,
and gives dL/dx in the shape of x.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.reference.convolution import output_sizes
from fovea.reference.padding import Array, amounts, pad, pad_gradient, per_axis

Sizes = int | Sequence[int]
Starts = tuple[NDArray[np.intp], ...]


def max_pool(x: Array, kernel: Sizes, *, stride: Sizes | None = None, padding: Sizes = 0) -> Array:
    """Return y[n, c, i] = max over k of x[n, c, s i + k]; s is `kernel` where no stride is given.

    What is padded is minus infinity, which is never the maximum.
    """
    padded, starts, kernel = _windowed(x, kernel, stride, padding, value=-np.inf)
    return _stacked(padded, starts, kernel).max(0)


def max_pool_gradient(g: Array, x: Array, kernel: Sizes, *, stride: Sizes | None = None, padding: Sizes = 0) -> Array:
    """Return dL/dx: each g goes to the arg max of its window, of equal ones to the first in row-major order."""
    padded, starts, kernel = _windowed(x, kernel, stride, padding, value=-np.inf)
    return pad_gradient(_to_the_largest(g, padded, starts, kernel), _pairs(padding, kernel))


def average_pool(x: Array, kernel: Sizes, *, stride: Sizes | None = None, padding: Sizes = 0) -> Array:
    """Return y[n, c, i] = 1/Q times the sum over k of x[n, c, s i + k], where Q is the number of pixels of a window.

    Padded zeros count. A convolution of each channel with a kernel of 1/Q.
    """
    padded, starts, kernel = _windowed(x, kernel, stride, padding)
    return _stacked(padded, starts, kernel).mean(0)


def average_pool_gradient(
    g: Array, x: Array, kernel: Sizes, *, stride: Sizes | None = None, padding: Sizes = 0
) -> Array:
    """Return dL/dx: each pixel of a window gets g / Q."""
    padded, starts, kernel = _windowed(x, kernel, stride, padding)
    gx = np.zeros_like(padded)
    for seen in _views(starts, kernel):
        gx[seen] += g / np.prod(kernel)
    return pad_gradient(gx, _pairs(padding, kernel))


def l2_pool(x: Array, kernel: Sizes, *, stride: Sizes | None = None) -> Array:
    """Return y[n, c, i], the square root of the sum over k of x[n, c, s i + k]^2."""
    x, starts, kernel = _windowed(x, kernel, stride, 0)
    return np.sqrt((_stacked(x, starts, kernel) ** 2).sum(0))


def l2_pool_gradient(g: Array, x: Array, kernel: Sizes, *, stride: Sizes | None = None) -> Array:
    """Return dL/dx: each pixel of a window gets g x / y, and 0 where y = 0."""
    y = l2_pool(x, kernel, stride=stride)
    x, starts, kernel = _windowed(x, kernel, stride, 0)
    gx = np.zeros_like(x)
    for seen in _views(starts, kernel):
        # y = 0 means that all x of the window are 0: 0 / 1 in place of 0 / 0
        gx[seen] += g * x[seen] / np.where(y == 0, 1, y)
    return gx


def global_average_pool(x: Array) -> Array:
    """Return the mean of each channel: (N, C, *sizes) -> (N, C)."""
    return x.reshape(*x.shape[:2], -1).mean(2)


def global_average_pool_gradient(g: Array, x: Array) -> Array:
    """Return dL/dx: each of the Q pixels of a channel gets g / Q."""
    spatial = x.shape[2:]
    # a copy, as the broadcast view can not be written into
    return np.broadcast_to(g.reshape(*g.shape, *[1] * len(spatial)) / np.prod(spatial), x.shape).copy()


def fractional_max_pool(x: Array, kernel: Sizes, *, out: Sizes, u: Sequence[float]) -> Array:
    """Return the maxima of out windows per axis whose distances vary around a mean alpha that need not be whole.

    Graham 2014, arXiv:1412.6071, overlapping regions. `u` in [0, 1), one for each axis, is the random offset.
    """
    kernel, starts = _fractional(x, kernel, out, u)
    return _stacked(x, starts, kernel).max(0)


def fractional_max_pool_gradient(g: Array, x: Array, kernel: Sizes, *, out: Sizes, u: Sequence[float]) -> Array:
    """Return dL/dx: each g goes to the arg max of its window; arguments as those of `fractional_max_pool`."""
    kernel, starts = _fractional(x, kernel, out, u)
    return _to_the_largest(g, x, starts, kernel)


def fractional_starts(size: int, kernel: int, out: int, u: float) -> NDArray[np.intp]:
    """Return where the `out` windows begin, integers: floor(alpha (i + u)) - floor(alpha u), the last at the very end.

    alpha = (size - kernel) / (out - 1).

    >>> fractional_starts(10, 2, 6, 0.3).tolist()
    [0, 2, 3, 5, 6, 8]
    """
    if not 1 <= out <= size - kernel + 1:
        raise ValueError(f"`out` (={out}) must be 1 to {size - kernel + 1} for {size} pixels and windows of {kernel}.")
    alpha = (size - kernel) / (out - 1) if out > 1 else 0.0  # at least 1, so that no two windows begin together
    starts = np.floor(alpha * (np.arange(out) + u)) - np.floor(alpha * u)
    starts[-1] = size - kernel
    return starts.astype(np.intp)


def _fractional(x: Array, kernel: Sizes, out: Sizes, u: Sequence[float]) -> tuple[tuple[int, ...], Starts]:
    kernel, out = per_axis(kernel, x.ndim - 2), per_axis(out, x.ndim - 2)
    return kernel, tuple(fractional_starts(m, k, n, v) for m, k, n, v in zip(x.shape[2:], kernel, out, u, strict=True))


def _windowed(
    x: Array, kernel: Sizes, stride: Sizes | None, padding: Sizes, *, value: float = 0.0
) -> tuple[Array, Starts, tuple[int, ...]]:
    """Return the padded input, where the windows begin along each axis, and their sizes."""
    axes = x.ndim - 2
    kernel = per_axis(kernel, axes)
    stride = kernel if stride is None else per_axis(stride, axes)
    padded = pad(x, _pairs(padding, kernel), mode="constant", value=value)
    out = output_sizes(padded.shape[2:], kernel, stride, [1] * axes)
    return padded, tuple(s * np.arange(n) for s, n in zip(stride, out, strict=True)), kernel


def _pairs(padding: Sizes, kernel: Sequence[int]) -> tuple[tuple[int, int], ...]:
    return amounts(padding, kernel, [1] * len(kernel))


def _views(starts: Starts, kernel: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """Yield for each position in a window the index of the pixels that stand there, one for each window."""
    for k in np.ndindex(*kernel):
        # lists of indices, not slices: fractional windows are not evenly far apart. No pixel stands twice in one of
        # them, or `gx[seen] +=` would lose what is added to it
        yield (..., *np.ix_(*(a + j for a, j in zip(starts, k, strict=True))))


def _stacked(x: Array, starts: Starts, kernel: Sequence[int]) -> Array:
    """Return the windows, (kernel pixels, N, C, *output sizes)."""
    return np.stack([x[seen] for seen in _views(starts, kernel)])


def _to_the_largest(g: Array, x: Array, starts: Starts, kernel: Sequence[int]) -> Array:
    # argmax takes the first of equal ones; windows are stacked in row-major order
    largest = _stacked(x, starts, kernel).argmax(0)
    gx = np.zeros_like(x)
    for number, seen in enumerate(_views(starts, kernel)):
        gx[seen] += g * (largest == number)
    return gx
