"""Dense layers, locally connected layers (windows without sharing), and dropout. Symbols as in `convolution`; float64.

A gradient has the shape of what it is the gradient of.
"""

from collections.abc import Sequence

import numpy as np

from fovea.reference.convolution import Gradients, output_sizes, taps
from fovea.reference.padding import Array, Padding, amounts, pad, pad_gradient, per_axis


def dense(x: Array, W: Array, bias: Array | None = None) -> Array:
    """Return y[n, o] = bias[o] + sum over c of W[o, c] x[n, c]; (N, C_in), (C_out, C_in) -> (N, C_out)."""
    y = x @ W.T
    return y if bias is None else y + bias


def dense_gradients(g: Array, x: Array, W: Array) -> Gradients:
    """Return the gradients of `dense`, given g = dL/dy (N, C_out): g W, g^T x, and the sum of g over the images."""
    return Gradients(g @ W, g.T @ x, g.sum(0))


def locally_connected(
    x: Array,
    kernel: Array,
    *,
    bias: Array | None = None,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
) -> Array:
    """Return what a convolution would that had a kernel of its own for each output position.

    y[n, o, i] = bias[o, i] + sum over c and k of K[o, c, k, i] x[n, c, s i + k]

    x (N, C_in, *sizes), kernel (C_out, C_in, *kernel sizes, *output sizes), bias (C_out, *output sizes)
    -> (N, C_out, *output sizes). With K the same for all i it is a convolution; as a matrix it is a dense layer whose
    weights outside the windows are zero.

    Raises:
        ValueError: the kernel is not for this many output positions.
    """
    axes = x.ndim - 2
    sizes, out = kernel.shape[2 : 2 + axes], kernel.shape[2 + axes :]
    x = pad(x, amounts(padding, sizes, [1] * axes))
    stride = per_axis(stride, axes)
    if output_sizes(x.shape[2:], sizes, stride, [1] * axes) != out:
        raise ValueError(f"A kernel for {out} output positions does not fit a padded input of {x.shape[2:]}.")
    y = np.zeros((len(x), len(kernel), *out)) + (0.0 if bias is None else bias)
    # k[1:] drops the `...` of `taps`, which would lay k over the last axes: here those are the output positions
    for k, seen in taps(sizes, out, stride, [1] * axes):
        y += np.einsum("nc...,oc...->no...", x[seen], kernel[:, :, *k[1:]])
    return y


def locally_connected_gradients(
    g: Array, x: Array, kernel: Array, *, stride: int | Sequence[int] = 1, padding: Padding = 0
) -> Gradients:
    """Return the gradients of `locally_connected`, given g = dL/dy; a weight that is not shared sums over images only.

    dL/dx[n, c, s i + k] gets K[o, c, k, i] g[n, o, i];  dL/dK[o, c, k, i] = sum over n of x[n, c, s i + k] g[n, o, i].
    """
    axes = x.ndim - 2
    sizes, out = kernel.shape[2 : 2 + axes], kernel.shape[2 + axes :]
    pairs = amounts(padding, sizes, [1] * axes)
    padded = pad(x, pairs)
    gx, gK = np.zeros_like(padded), np.zeros_like(kernel)
    for k, seen in taps(sizes, out, per_axis(stride, axes), [1] * axes):
        # every weight is used at one position only: set, where a shared kernel's gradient is summed over positions
        own = (slice(None), slice(None), *k[1:])
        gx[seen] += np.einsum("no...,oc...->nc...", g, kernel[own])
        gK[own] = np.einsum("no...,nc...->oc...", g, padded[seen])
    return Gradients(pad_gradient(gx, pairs), gK, g.sum(0))


def dropout_mask(shape: Sequence[int], p: float, generator: np.random.Generator) -> Array:
    """Return what dropout multiplies with in training: 0 with probability `p`, else 1 / (1 - p), so that the mean is 1.

    Srivastava et al. 2014, JMLR 15, in its inverted form: at test time nothing is to be done. y = mask x and
    dL/dx = mask dL/dy; `shape` is that of x.
    """
    if not 0 <= p < 1:
        raise ValueError(f"`p` (={p}) must be in [0, 1).")
    # drawn from [0, 1), so that p = 0 drops nothing
    return (generator.random(tuple(shape)) >= p) / (1 - p)
