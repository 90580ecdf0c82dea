"""Classic filters by name, and one kernel slid over each channel of a picture or signal, large ones too.

Kernels are meant to be correlated, as networks do, not flipped: `sobel-x` is positive where it gets brighter to the
right. Rows run downwards, columns to the right, time to the right. Kernels are float64: (size,) where `axes` is 1, for
signals, (size, size) where it is 2, for pictures.
"""

import math
import re
from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

import numpy as np

from fovea.reference.convolution import correlate, output_sizes
from fovea.reference.padding import Array, Mode, Padding, amounts, pad, per_axis

MAX_SIZE = 255
MAX_VALUE = 1e100
"""Of a weight or a sample: leaves room for products and sums."""
EXAMPLES = {1: '"0.25 0.5 0.25"', 2: '"0 -1 0; -1 5 -1; 0 -1 0"'}
"""Kernels in numbers, by their dimensions."""
BAND_VALUES = 2**18
"""Values of the input taken at a time: what stays in the processor's cache."""

FIXED = {
    # a difference along one axis, smoothed along the other: by (1, 2, 1) in Sobel's, by (1, 1, 1) in Prewitt's
    "sobel-x": np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float64),
    "sobel-y": np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]], np.float64),
    "prewitt-x": np.array([[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]], np.float64),
    "prewitt-y": np.array([[-1, -1, -1], [0, 0, 0], [1, 1, 1]], np.float64),
    "laplacian": np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], np.float64),
    "sharpen": np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], np.float64),  # the impulse less `laplacian`
    "emboss": np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], np.float64),  # sum 1: plain areas keep their brightness
}
"""Kernels of two dimensions without a choice of size."""


class Sized(NamedTuple):
    """A kernel that exists in every odd size: its function of (size, axes), and the size it has if none is named."""

    make: Callable[[int, int], Array]
    size: int
    axes: tuple[int, ...] = (1, 2)


def box(size: int, axes: int) -> Array:
    """Return equal weights with sum 1: the mean."""
    return np.full((size,) * axes, 1 / size**axes)


def gaussian(size: int, axes: int) -> Array:
    """Return the binomial weights with sum 1, which approach a Gaussian of variance (size - 1) / 4."""
    return _product(np.array([math.comb(size - 1, k) / 2 ** (size - 1) for k in range(size)]), axes)


def low_pass(size: int, axes: int) -> Array:
    """Return a raised cosine (Hann) with sum 1: keeps what is slow, removes waves of period (size + 1) / 2."""
    return _product((1 - np.cos(2 * np.pi * np.arange(1, size + 1) / (size + 1))) / (size + 1), axes)


def high_pass(size: int, axes: int) -> Array:
    """Return the Dirac impulse less `low_pass`, so that the two outputs add up to the input."""
    kernel = -low_pass(size, axes)  # its sum is 1: nothing is left of a constant
    kernel[(size // 2,) * axes] += 1
    return kernel


def recent(size: int, axes: int) -> Array:
    """Return weights with sum 1 that fall with the age a of a measurement; those yet to come weigh nothing.

    w(a) = 2 (size - a) / (size (size + 1)) for a = 0, 1, ..., size - 1; (2 size - 1,) with those zeros.
    """
    weights = np.arange(1, size + 1) / (size * (size + 1) / 2)
    return np.concatenate([weights, np.zeros(size - 1)])  # age 0 in the middle, on which a window is centred


def dirac_train(size: int, axes: int) -> Array:
    """Return three unit impulses `size` samples apart, (2 size + 1,): each repeats the signal."""
    kernel = np.zeros(2 * size + 1)
    kernel[::size] = 1
    return kernel


SIZED = {
    "box": Sized(box, 3),
    "gaussian": Sized(gaussian, 3),
    "low-pass": Sized(low_pass, 9),
    "high-pass": Sized(high_pass, 9),
    "recent": Sized(recent, 9, axes=(1,)),
    "dirac-train": Sized(dirac_train, 31, axes=(1,)),
}


def names(axes: int) -> tuple[str, ...]:
    """Return the names of the kernels for signals (`axes` 1) or pictures (2)."""
    return (*(FIXED if axes == 2 else ()), *(name for name, sized in SIZED.items() if axes in sized.axes))


def kernel(name: str, *, axes: int) -> Array:
    """Return the kernel of that name with `axes` dimensions, float64; `box-9` is `box` in size 9.

    >>> kernel("gaussian", axes=1).tolist(), kernel("gaussian-5", axes=2).shape
    ([0.25, 0.5, 0.25], (5, 5))

    Raises:
        KeyError: there is no such kernel of so many dimensions.
        ValueError: a size that is even, below 3 or above `MAX_SIZE`.
    """
    base, size = split(name)
    if base not in names(axes) or (size and base in FIXED):
        raise KeyError(name)
    if base in FIXED:
        return FIXED[base].copy()  # the caller may write into it
    size = size or SIZED[base].size
    if size % 2 == 0 or not 3 <= size <= MAX_SIZE:
        raise ValueError(f"The size of `{name}` must be odd, so that it has a middle, and from 3 to {MAX_SIZE}.")
    return SIZED[base].make(size, axes)


def written(kernel: str, *, axes: int) -> Array:
    """Return rows separated by semicolons, of numbers separated by spaces or commas: float64 (k,) or (h, w).

    >>> written("0 -1 0; -1 5 -1; 0 -1 0", axes=2).shape
    (3, 3)

    Raises:
        ValueError: uneven or too many rows, or something that is not a number of at most `MAX_VALUE`.
    """
    rows = [row.replace(",", " ").split() for row in kernel.split(";") if row.strip()]
    lengths = {len(row) for row in rows}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(f"`kernel` (={kernel}) must have rows of equal length, for example {EXAMPLES[axes]}.")
    if axes == 1 and len(rows) > 1:
        raise ValueError(
            f"`kernel` (={kernel}) has {len(rows)} rows; give one row for a signal, for example {EXAMPLES[1]}."
        )
    if max(len(rows), *lengths) > MAX_SIZE:
        raise ValueError(f"A kernel may have at most {MAX_SIZE} rows and columns; this one is larger.")
    try:
        weights = np.array(rows, np.float64)
    except ValueError as error:
        raise ValueError(f"`kernel` (={kernel}) must contain only numbers, for example {EXAMPLES[axes]}.") from error
    if not (np.abs(weights) <= MAX_VALUE).all():
        raise ValueError(f"`kernel` (={kernel}) must contain only numbers from -{MAX_VALUE:g} to {MAX_VALUE:g}.")
    return weights if axes == 2 else weights[0]


def split(name: str) -> tuple[str, int]:
    """Return the name without its size, and the size, 0 where none is named.

    >>> split("low-pass-31"), split("sobel-x")
    (('low-pass', 31), ('sobel-x', 0))
    """
    sized = re.fullmatch(r"(.+)-(\d{1,9})", name)
    return (sized[1], int(sized[2])) if sized else (name, 0)


def slide(
    x: np.ndarray,
    kernel: Array,
    *,
    stride: int = 1,
    padding: Padding = "same",
    mode: Mode = "replicate",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Array:
    """Return `correlate` of every channel of `x` with the same `kernel`, band by band: little memory, and fast.

    x (C, *sizes) of any number type, kernel (*sizes) -> (C, *sizes), float64. Large kernels of low rank are applied as
    sums of columns times rows, which differs by rounding only. `progress` is called with (rows done, all rows).

    Raises:
        ValueError: as `correlate`.
    """
    axes = kernel.ndim
    ones, strides = (1,) * axes, per_axis(stride, axes)
    # each channel as an image of one channel, (C, 1, *sizes): the same kernel for all, no sum over channels
    x = pad(x[:, None], amounts(padding, kernel.shape, ones), mode=mode)
    out = output_sizes(x.shape[2:], kernel.shape, strides, ones)
    y, parts = np.empty((len(x), 1, *out)), chains(kernel)
    rows = max(1, BAND_VALUES // math.prod(x.shape[3:]))
    for top in range(0, out[0], rows):
        bottom = min(top + rows, out[0])
        # from the first row that output `top` sees to the last that `bottom - 1` does; only a band is ever float64
        band = x[:, :, top * stride : (bottom - 1) * stride + len(kernel)].astype(np.float64)
        y[:, :, top:bottom] = sum(_applied(band, chain, stride) for chain in parts)
        progress(bottom, out[0])
    return y[:, 0]


def chains(kernel: Array) -> list[tuple[Array, ...]]:
    """Return chains of kernels, each applied in turn, whose results add up to those of `kernel`.

    A matrix of rank r is a sum of r products of a column and a row (its singular value decomposition): r (H + W)
    multiply-adds for each output instead of H W. The kernel itself is returned unless that saves more than half, or
    else r pairs (H, 1), (1, W).
    """
    if kernel.ndim != 2:
        return [(kernel,)]
    rank = int(np.linalg.matrix_rank(kernel))
    if 2 * rank * sum(kernel.shape) > kernel.size:
        return [(kernel,)]
    # kernel = sum over i of sizes[i] times the outer product of column i of U and row i of V
    U, sizes, V = np.linalg.svd(kernel)
    return [(U[:, [i]] * sizes[i], V[[i]]) for i in range(rank)]


def _applied(band: Array, chain: tuple[Array, ...], stride: int) -> Array:
    """Correlate with each kernel of the chain; in a chain of a column and a row each takes the stride of its axis."""
    for part in chain:
        strides = [1 if len(chain) > 1 and size == 1 else stride for size in part.shape]
        band = correlate(band, part[None, None], stride=strides)
    return band


def _product(window: Array, axes: int) -> Array:
    """Return the product of the window along each axis."""
    return reduce(np.multiply.outer, [window] * axes)
