"""One operation on a small grid, cell by cell: what each output reads, its row of the matrix, the gradient.

Grids are (C, *sizes), float64, of one or two axes; numbers of cells count through all of a grid, the last axis fastest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from fovea.reference.convolution import output_sizes, reflected
from fovea.reference.matrix import convolution_matrix
from fovea.reference.padding import Array, Mode, Padding, amounts
from fovea.reference.pooling import max_pool, max_pool_gradient
from fovea.reference.transposed import transposed

KINDS = ("correlation", "convolution", "transposed", "max", "average")
MOST_CELLS = 400
"""Of one grid: what a page still shows cell by cell."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What is done to a grid."""

    kind: str = "correlation"
    """`correlation`, which networks call convolution; `convolution`, with the kernel reflected; `transposed`; `max` or
    `average`, which take the kernel's size only."""
    stride: int = 1
    padding: Padding = 0
    mode: Mode = "zero"
    dilation: int = 1
    groups: int = 1


class Read(NamedTuple):
    """One cell that an output reads."""

    cell: int
    """Its number in the input."""
    weight: float
    product: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Worked:
    """What has come of it."""

    output: Array
    reads: Sequence[Sequence[Read]]
    """Of each output cell; of a maximum the weight is 1 for the cell that it takes, 0 for the others."""
    matrix: Array
    """(outputs, inputs): what the input as one column is multiplied by; of a maximum, what it was this time."""
    gradient: Array
    """Of the sum of all outputs with respect to each input cell, in the input's shape."""
    fit: str
    """How the size of the output comes about, and what is left out."""

    def text(self, cell: int) -> str:
        """Return the arithmetic of one output cell."""
        reads, value = self.reads[cell], self.output.ravel()[cell]
        parts = [f"{_short(read.weight)} x {_short(read.product / read.weight)}" for read in reads if read.weight]
        return f"{' + '.join(parts) or '0'} = {_short(float(value))}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "output": self.output.tolist(),
            "reads": [[list(read) for read in reads] for reads in self.reads],
            "texts": [self.text(cell) for cell in range(self.output.size)],
            "matrix": self.matrix.tolist(),
            "gradient": self.gradient.tolist(),
            "fit": self.fit,
        }


def worked(grid: Array, kernel: Array, operation: Operation) -> Worked:
    """Return an operation on a grid (C, *sizes) with a kernel (C_out, C / groups, *sizes), cell by cell.

    A transposed convolution takes kernels (C, C_out / groups, *sizes), as `transposed.transposed` does.

    Raises:
        ValueError: an unknown kind, channels or sizes that do not fit, more than 400 cells.
    """
    if operation.kind not in KINDS:
        raise ValueError(f"`kind` (={operation.kind}) must be one of {', '.join(KINDS)}.")
    if operation.kind in ("max", "average"):
        return _pooled(grid, kernel.shape[2:], operation)
    if operation.kind == "transposed":
        return _transposed(grid, kernel, operation)
    own = reflected(kernel) if operation.kind == "convolution" else kernel
    if own.shape[1] * operation.groups != len(grid) or len(own) % operation.groups:
        raise ValueError(
            f"With {len(grid)} channels in {operation.groups} groups each kernel has {len(grid) / operation.groups:g} "
            f"grids, not {own.shape[1]}, and the number of kernels (={len(own)}) is a multiple of the groups."
        )
    options = {name: getattr(operation, name) for name in ("stride", "padding", "dilation", "mode")}
    matrix = convolution_matrix(own, grid.shape, groups=operation.groups, **options)
    seen = convolution_matrix(np.ones_like(own), grid.shape, groups=operation.groups, **options)
    shape = (len(own), *_sizes(grid, own.shape[2:], operation))
    return _linear(grid, matrix, seen, shape, _fit(grid, own, operation))


def _linear(
    grid: Array, matrix: "sparse.csr_array", seen: "sparse.csr_array", shape: tuple[int, ...], fit: str
) -> Worked:
    """Return what a matrix makes of a grid; `seen` has an entry for each cell in a window, also under a weight of 0."""
    _check_size(grid.size, int(np.prod(shape)))
    flat, weights = grid.ravel(), matrix.toarray()
    reads = []
    for row in range(matrix.shape[0]):
        cells = sorted(seen.indices[seen.indptr[row] : seen.indptr[row + 1]].tolist())
        reads.append([Read(cell, float(weights[row, cell]), float(weights[row, cell] * flat[cell])) for cell in cells])
    gradient = (matrix.T @ np.ones(matrix.shape[0])).reshape(grid.shape)
    return Worked(output=(matrix @ flat).reshape(shape), reads=reads, matrix=weights, gradient=gradient, fit=fit)


def _transposed(grid: Array, kernel: Array, operation: Operation) -> Worked:
    """Return the transpose of the correlation that would make the grid of the output."""
    options: Any = {"stride": operation.stride, "padding": operation.padding, "dilation": operation.dilation}
    made = transposed(grid[None], kernel, groups=operation.groups, **options)[0]
    _check_size(grid.size, made.size)
    matrix = convolution_matrix(kernel, made.shape, groups=operation.groups, **options)
    seen = convolution_matrix(np.ones_like(kernel), made.shape, groups=operation.groups, **options)
    sizes = " x ".join(map(str, made.shape[1:]))
    fit = f"Each input value adds its multiple of the kernel to the output: {sizes} cells."
    return _linear(grid, matrix.T.tocsr(), seen.T.tocsr(), made.shape, fit)


def _pooled(grid: Array, window: Sequence[int], operation: Operation) -> Worked:
    """Return the mean or the largest of each window of each channel."""
    count = len(grid)
    equal = np.full((count, 1, *window), 1 / np.prod(window))
    padding = amounts(operation.padding, window, (1,) * len(window))
    plain = Operation(stride=operation.stride, padding=padding, groups=count)
    mean = worked(grid, equal, plain)
    if operation.kind == "average":
        return mean
    before = [pair[0] for pair in padding]
    options: dict[str, Any] = {"stride": (operation.stride,) * len(window), "padding": before}
    output = max_pool(grid[None], window, **options)[0]
    gradient = max_pool_gradient(np.ones((1, *output.shape)), grid[None], window, **options)[0]
    flat, reads, matrix = grid.ravel(), [], np.zeros_like(mean.matrix)
    for row, seen in enumerate(mean.reads):
        best = max(range(len(seen)), key=lambda i: flat[seen[i].cell])
        matrix[row, seen[best].cell] = 1.0
        reads.append([Read(r.cell, float(i == best), float(flat[r.cell]) * (i == best)) for i, r in enumerate(seen)])
    return Worked(output=output, reads=reads, matrix=matrix, gradient=gradient, fit=mean.fit)


def _sizes(grid: Array, kernel: Sequence[int], operation: Operation) -> tuple[int, ...]:
    axes = len(kernel)
    pairs = amounts(operation.padding, kernel, (operation.dilation,) * axes)
    padded = [size + sum(pair) for size, pair in zip(grid.shape[1:], pairs, strict=True)]
    return tuple(output_sizes(padded, kernel, (operation.stride,) * axes, (operation.dilation,) * axes))


def _fit(grid: Array, kernel: Array, operation: Operation) -> str:
    """Return how the size of the output comes about along each axis, and which cells no window reaches."""
    pairs = amounts(operation.padding, kernel.shape[2:], (operation.dilation,) * (kernel.ndim - 2))
    lines = []
    for name, size, window, pair in zip(
        ("rows", "columns")[-(kernel.ndim - 2) :], grid.shape[1:], kernel.shape[2:], pairs, strict=True
    ):
        extent = operation.dilation * (window - 1) + 1
        steps = (size + sum(pair) - extent) / operation.stride + 1
        added = f" + {sum(pair)}" if sum(pair) else ""
        line = f"{name}: ({size}{added} - {extent}) / {operation.stride} + 1 = {steps:.4g}"
        left = (size + sum(pair) - extent) % operation.stride
        lines.append(f"{line}, so {int(steps)}: the last {left} are not covered" if left else line)
    return "; ".join(lines)


def _check_size(*cells: int) -> None:
    if max(cells) > MOST_CELLS:
        raise ValueError(
            f"A grid of {max(cells)} cells is too large to be shown cell by cell; the limit is {MOST_CELLS}."
        )


def _short(value: float) -> str:
    return f"{value:.4g}"
