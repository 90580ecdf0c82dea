"""Convolution as a matrix: sparse C, with which C @ f is the output and C.T @ g the gradient; im2col and col2im.

All values are float64. Symbols as in `convolution`.
"""

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from fovea.reference.convolution import by_group, output_sizes, taps
from fovea.reference.padding import Array, Mode, Padding, amounts, pad, pad_gradient, per_axis


def convolution_matrix(
    kernel: Array,
    input_shape: Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    mode: Mode = "zero",
) -> sparse.csr_array:
    """Return the matrix C of `correlate` with this kernel: C @ f.ravel() is y.ravel(), C.T @ g.ravel() is dL/df.

    C[(o, i), (c, j)] is K[o, c, k] where j is the pixel that position s i + d k of the padded input copies; where
    several do (reflect, replicate, circular), the sum. In 1-D with stride 1 a Toeplitz matrix, in 2-D blocks of them.

    `input_shape` (C_in, *sizes); kernel as in `correlate` -> (C_out * output pixels, C_in * input pixels).
    """
    if mode == "constant":
        raise ValueError("A constant other than zero is an offset, which a matrix cannot express; use `mode` `zero`.")
    stride, dilation = per_axis(stride, kernel.ndim - 2), per_axis(dilation, kernel.ndim - 2)
    pairs = amounts(padding, kernel.shape[2:], dilation)
    # padding the pixels' numbers tells which pixel each position copies; -1 is none, as 0 is the number of a pixel
    pixels = np.arange(float(np.prod(input_shape))).reshape(1, *input_shape)
    copied = pad(pixels, pairs, mode="constant" if mode == "zero" else mode, value=-1).astype(int)
    out = output_sizes(copied.shape[2:], kernel.shape[2:], stride, dilation)
    outputs = np.arange(len(kernel) * np.prod(out)).reshape(groups, -1, 1, *out)
    C = sparse.coo_array((outputs.size, pixels.size))
    for k, seen in taps(kernel.shape[2:], out, stride, dilation):
        # all three broadcast to (groups, C_out / groups, C_in / groups, *out): one entry of C each
        inputs = by_group(copied[0], groups, axis=0)[:, None][seen]
        weights = by_group(kernel, groups, axis=0)[k].reshape(groups, *outputs.shape[1:2], -1, *[1] * len(out))
        rows, columns, values = (a.ravel() for a in np.broadcast_arrays(outputs, inputs, weights))
        inside = columns >= 0
        # entries of one place are added up: positions that copy the same pixel meet there
        C = C + sparse.coo_array((values[inside], (rows[inside], columns[inside])), shape=C.shape)
    return C.tocsr()


def im2col(
    x: Array,
    kernel: Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
    dilation: int | Sequence[int] = 1,
) -> Array:
    """Return the windows of `x` as columns, so that kernel.reshape(C_out, -1) @ columns is `correlate`.

    columns[n, (c, k), i] = x[n, c, s i + d k]; (N, C, *sizes), kernel sizes -> (N, C * kernel pixels, output pixels).
    """
    stride, dilation = per_axis(stride, x.ndim - 2), per_axis(dilation, x.ndim - 2)
    x = pad(x, amounts(padding, kernel, dilation))
    out = output_sizes(x.shape[2:], kernel, stride, dilation)
    windows = [x[seen] for _, seen in taps(kernel, out, stride, dilation)]
    # C before the kernel's pixels, as in the rows of kernel.reshape(C_out, -1)
    return np.stack(windows, axis=2).reshape(len(x), -1, int(np.prod(out)))


def col2im(
    columns: Array,
    sizes: Sequence[int],
    kernel: Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
    dilation: int | Sequence[int] = 1,
) -> Array:
    """Return the transpose of `im2col`: each element of the columns is added to the pixel that it came from.

    (N, C * kernel pixels, output pixels), spatial sizes of the image -> (N, C, *sizes).
    """
    stride, dilation = per_axis(stride, len(sizes)), per_axis(dilation, len(sizes))
    pairs = amounts(padding, kernel, dilation)
    padded = [m + a + b for m, (a, b) in zip(sizes, pairs, strict=True)]
    out = output_sizes(padded, kernel, stride, dilation)
    # (N, C, kernel pixels, *out)
    windows = columns.reshape(len(columns), -1, int(np.prod(kernel)), *out)
    image = np.zeros((*windows.shape[:2], *padded))
    for number, (_, seen) in enumerate(taps(kernel, out, stride, dilation)):
        image[seen] += windows[:, :, number]
    return pad_gradient(image, pairs)
