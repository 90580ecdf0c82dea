"""Convolution and cross-correlation of any number of spatial dimensions, and their gradients, by definition.

Symbols: x input, K kernel, y output, g = dL/dy, s stride, d dilation; i runs over output positions, k over kernel
positions, c over input channels, o over output channels. In 2-D i = (row, column), and s i + d k is meant per axis.
Arrays are float64; a gradient has the shape of what it is the gradient of.
Each function is a loop over k: what one weight of the kernel sees, for all positions at once, is a strided slice.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypedDict, Unpack

import numpy as np

from fovea.reference.normalisation import per_channel
from fovea.reference.padding import Array, Mode, Padding, amounts, pad, pad_gradient, per_axis

Index = tuple[Any, ...]


class Options(TypedDict, total=False):
    """The keyword arguments of `correlate` that say which pixels a window sees."""

    stride: int | Sequence[int]
    padding: Padding
    dilation: int | Sequence[int]
    groups: int
    mode: Mode
    value: float


class Gradients(NamedTuple):
    """Gradients of a layer's input, kernel and bias, each of the shape of the same."""

    x: Array
    kernel: Array
    bias: Array


def correlate(
    x: Array,
    kernel: Array,
    *,
    bias: Array | None = None,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    mode: Mode = "zero",
    value: float = 0.0,
) -> Array:
    """Return the cross-correlation, which neural networks call convolution, of `x` padded by `padding` in `mode`.

    y[n, o, i] = bias[o] + sum over c and k of K[o, c, k] x[n, c, s i + d k]

    x (N, C_in, *sizes), kernel (C_out, C_in / groups, *sizes), bias (C_out,) -> (N, C_out, *sizes), float64. With
    `groups`, the channels fall into as many equal parts, and output part p sees input part p only; `groups=C_in` is
    depthwise. `padding`, `mode`, `value`: see `padding.amounts` and `padding.pad`. Rows and columns that a stride does
    not reach are left out.

    Raises:
        ValueError: channels, groups or sizes do not fit.
    """
    _check(x, kernel, groups)
    stride, dilation = per_axis(stride, x.ndim - 2), per_axis(dilation, x.ndim - 2)
    x = pad(x, amounts(padding, kernel.shape[2:], dilation), mode=mode, value=value)
    out = output_sizes(x.shape[2:], kernel.shape[2:], stride, dilation)
    # (N, groups, C_in / groups, *padded) and (groups, C_out / groups, C_in / groups, *kernel): n g c and g o c below
    x, K = by_group(x, groups, axis=1), by_group(kernel, groups, axis=0)
    y = np.zeros((len(x), *K.shape[:2], *out))
    for k, seen in taps(kernel.shape[2:], out, stride, dilation):
        y += np.einsum("ngc...,goc->ngo...", x[seen], K[k])
    return add_bias(y.reshape(len(x), len(kernel), *out), bias)


def convolve(x: Array, kernel: Array, *, bias: Array | None = None, **options: Unpack[Options]) -> Array:
    """Return the convolution of signal processing: `correlate` with the kernel reflected in every spatial axis.

    In one channel, with padding "full": y[i] = sum over j of x[j] K[i - j], which commutes in x and K.
    Arguments and shapes as in `correlate`.
    """
    return correlate(x, reflected(kernel), bias=bias, **options)


def correlate_gradients(g: Array, x: Array, kernel: Array, **options: Unpack[Options]) -> Gradients:
    """Return the gradients of `correlate(x, kernel, bias=..., **options)`, given g = dL/dy.

    Each product K x of the definition hands g on to both its factors:
    dL/dx[n, c, s i + d k] gets K[o, c, k] g[n, o, i];  dL/dK[o, c, k] gets x[n, c, s i + d k] g[n, o, i];
    dL/dbias[o] is the sum of g[n, o, i] over n and i.
    """
    groups, mode, axes = options.get("groups", 1), options.get("mode", "zero"), x.ndim - 2
    stride, dilation = per_axis(options.get("stride", 1), axes), per_axis(options.get("dilation", 1), axes)
    pairs = amounts(options.get("padding", 0), kernel.shape[2:], dilation)
    padded = by_group(pad(x, pairs, mode=mode, value=options.get("value", 0.0)), groups, axis=1)
    K, g = by_group(kernel, groups, axis=0), by_group(g, groups, axis=1)  # g: (N, groups, C_out / groups, *out)
    gx, gK = np.zeros_like(padded), np.zeros_like(K)
    # each k comes once, but a pixel is seen from several k: gK is set where gx is summed
    for k, seen in taps(kernel.shape[2:], g.shape[3:], stride, dilation):
        gx[seen] += np.einsum("ngo...,goc->ngc...", g, K[k])
        gK[k] = np.einsum("ngoi,ngci->goc", flat(g, 3), flat(padded[seen], 3))
    gx = gx.reshape(len(x), x.shape[1], *gx.shape[3:])
    return Gradients(pad_gradient(gx, pairs, mode=mode), gK.reshape(kernel.shape), flat(g, 3).sum((0, 3)).ravel())


def reflected(kernel: Array) -> Array:
    """Return the kernel (C_out, C_in, *sizes) flipped in every spatial axis, in 2-D turned by 180 degrees."""
    return np.flip(kernel, axis=tuple(range(2, kernel.ndim)))


def taps(
    kernel: Sequence[int], out: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Iterator[tuple[Index, Index]]:
    """Yield for each kernel position k the index of its weights, and of what they see: d k + s i for all outputs i.

    Both count axes from the last one, `(..., *)`: whatever stands before the spatial axes is taken whole.
    """
    for k in np.ndindex(*kernel):
        starts = [d * j for d, j in zip(dilation, k, strict=True)]
        seen = (slice(a, a + s * (n - 1) + 1, s) for a, n, s in zip(starts, out, stride, strict=True))
        yield (..., *k), (..., *seen)


def output_sizes(
    padded: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> tuple[int, ...]:
    """Return floor((padded - d (k - 1) - 1) / s) + 1 per axis.

    Raises:
        ValueError: the kernel is wider than the padded input.
    """
    rests = [m - d * (k - 1) - 1 for m, k, d in zip(padded, kernel, dilation, strict=True)]
    if min(rests) < 0:
        raise ValueError(
            f"A kernel of {tuple(kernel)} with dilation {tuple(dilation)} does not fit into a padded input of "
            f"{tuple(padded)}; use a larger input or more padding."
        )
    return tuple(r // s + 1 for r, s in zip(rests, stride, strict=True))


def by_group(array: Array, groups: int, *, axis: int) -> Array:
    """Return the array with the channels of `axis` split in two axes, (groups, channels of a group).

    (N, C, *sizes) with axis 1 -> (N, groups, C / groups, *sizes)
    """
    return array.reshape(*array.shape[:axis], groups, -1, *array.shape[axis + 1 :])


def flat(array: Array, axis: int) -> Array:
    """Return the array with `axis` and all after it as one."""
    return array.reshape(*array.shape[:axis], -1)


def add_bias(y: Array, bias: Array | None) -> Array:
    """Return (N, C, *sizes) plus (C,)."""
    return y if bias is None else y + per_channel(bias, y)


def _check(x: Array, kernel: Array, groups: int) -> None:
    if x.ndim != kernel.ndim or x.ndim < 3:
        raise ValueError(f"Input {x.shape} and kernel {kernel.shape} must both be (channels twice, *spatial sizes).")
    # groups < 1 comes first: a remainder by 0 is an error of its own
    if groups < 1 or x.shape[1] % groups or len(kernel) % groups:
        raise ValueError(
            f"`groups` (={groups}) must divide the input channels (={x.shape[1]}) and the output channels "
            f"(={len(kernel)})."
        )
    if kernel.shape[1] * groups != x.shape[1]:
        raise ValueError(
            f"A kernel for {kernel.shape[1]} channels in each of {groups} groups does not fit an input of "
            f"{x.shape[1]} channels."
        )
