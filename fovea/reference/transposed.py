"""Transposed convolution, and the gradients of a convolution written as convolutions.

Symbols as in `convolution`; arrays are float64, g = dL/dy has the shape of y.
"""

from collections.abc import Sequence

import numpy as np

from fovea.reference.convolution import (
    Gradients,
    Index,
    add_bias,
    by_group,
    convolve,
    correlate,
    correlate_gradients,
    taps,
)
from fovea.reference.padding import Array, Padding, amounts, per_axis


def transposed(
    x: Array,
    kernel: Array,
    *,
    bias: Array | None = None,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
    output_padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Array:
    """Return the transposed convolution: each input pixel lays its multiple of the kernel down on the output.

    y[n, o, s i + d k] is the sum, over all c, i and k that meet there, of K[c, o, k] x[n, c, i]; plus bias[o].

    x (N, C_in, *sizes), kernel (C_in, C_out / groups, *sizes) -> (N, C_out, *sizes) of s (m - 1) + d (k - 1) + 1 pixels
    per axis, less `padding` cut off both ends, plus `output_padding` (< stride) left over at the end. It is the input's
    gradient of `correlate` with the same kernel and options, and undoes its change of size, not its values.

    Raises:
        ValueError: channels, groups or `output_padding` do not fit.
    """
    axes = x.ndim - 2
    if x.shape[1] != len(kernel) or len(kernel) % groups:
        raise ValueError(
            f"The input's channels (={x.shape[1]}) must equal those of the kernel (={len(kernel)}), and `groups` "
            f"(={groups}) must divide them."
        )
    stride, dilation = per_axis(stride, axes), per_axis(dilation, axes)
    extra = (output_padding,) * axes if isinstance(output_padding, int) else tuple(output_padding)
    if any(not 0 <= e < s for e, s in zip(extra, stride, strict=True)):
        raise ValueError(f"`output_padding` (={extra}) must be >= 0 and less than `stride` (={stride}).")
    K = by_group(kernel, groups, axis=0)
    sizes = [
        s * (m - 1) + d * (k - 1) + 1 + e
        for m, k, s, d, e in zip(x.shape[2:], kernel.shape[2:], stride, dilation, extra, strict=True)
    ]
    # K: (groups, C_in / groups, C_out / groups, *sizes), input channels first, unlike the kernel of `correlate`
    y = np.zeros((len(x), groups, K.shape[2], *sizes))
    for k, seen in taps(kernel.shape[2:], x.shape[2:], stride, dilation):
        y[seen] += np.einsum("ngc...,gco->ngo...", by_group(x, groups, axis=1), K[k])
    y = y.reshape(len(x), -1, *sizes)
    return add_bias(crop(y, amounts(padding, kernel.shape[2:], dilation)), bias)


def transposed_gradients(
    g: Array,
    x: Array,
    kernel: Array,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Gradients:
    """Return the gradients of `transposed`, given g = dL/dy: the transpose of the transpose is the convolution itself.

    dL/dx = correlate(g, K); in dL/dK, x and g change places against `correlate_gradients`.
    """
    gx = correlate(g, kernel, stride=stride, padding=padding, dilation=dilation, groups=groups)
    # what `transposed` takes in is what `correlate` puts out
    swapped = correlate_gradients(x, g, kernel, stride=stride, padding=padding, dilation=dilation, groups=groups)
    return Gradients(gx, swapped.kernel, g.sum((0, *range(2, g.ndim))))


def input_gradient(
    g: Array,
    kernel: Array,
    sizes: Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
    dilation: int | Sequence[int] = 1,
) -> Array:
    """Return the gradient of the input of `correlate` (zero padding, one group) as a full convolution.

    dL/dx[n, c, j] = sum over o and k of K[o, c, k] g[n, o, j - k] for stride and dilation 1: a correlation with the
    reflected kernel, its channels exchanged. A stride s puts s - 1 zeros between the pixels of g, a dilation d puts
    d - 1 between those of K. `sizes` are the input's: g (N, C_out, *output sizes) -> (N, C_in, *sizes).
    """
    axes = g.ndim - 2
    stride, dilation = per_axis(stride, axes), per_axis(dilation, axes)
    pairs = amounts(padding, kernel.shape[2:], dilation)
    full = convolve(spread(g, stride), spread(kernel, dilation).swapaxes(0, 1), padding="full")
    covered = np.zeros((*full.shape[:2], *(m + a + b for m, (a, b) in zip(sizes, pairs, strict=True))))
    covered[first(full.shape[2:])] = full  # what a stride leaves out has gradient zero
    return crop(covered, pairs)


def kernel_gradient(
    g: Array,
    x: Array,
    sizes: Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
    dilation: int | Sequence[int] = 1,
) -> Array:
    """Return the gradient of the kernel of `correlate` (zero padding, one group) as a correlation of x with g.

    dL/dK[o, c, k] = sum over n and i of g[n, o, i] x[n, c, s i + d k]: images take the place of channels, stride and
    dilation change places. `sizes` are the kernel's.
    """
    pairs = amounts(padding, sizes, per_axis(dilation, len(sizes)))
    gradient = correlate(x.swapaxes(0, 1), g.swapaxes(0, 1), stride=dilation, padding=pairs, dilation=stride)
    # longer than the kernel where a stride leaves pixels at the end unseen: those positions are no weights
    return gradient.swapaxes(0, 1)[first(sizes)]


def spread(array: Array, steps: Sequence[int]) -> Array:
    """Return (N, C, *sizes) with steps - 1 zeros between neighbours on each spatial axis."""
    wide = np.zeros((*array.shape[:2], *(s * (n - 1) + 1 for n, s in zip(array.shape[2:], steps, strict=True))))
    every: Index = (..., *(slice(None, None, s) for s in steps))
    wide[every] = array
    return wide


def crop(y: Array, pairs: Sequence[tuple[int, int]]) -> Array:
    """Return (N, C, *sizes) without `pairs` (before, after) on the spatial axes."""
    inside: Index = (..., *(slice(a, n - b) for n, (a, b) in zip(y.shape[2:], pairs, strict=True)))
    return y[inside]


def first(sizes: Sequence[int]) -> Index:
    """Return the index of the first `sizes` positions of the spatial axes."""
    return (..., *(slice(n) for n in sizes))
