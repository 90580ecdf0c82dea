"""Units that read along dimensions: dense layers and products of matrices, means and sums, the softmax.

Tensors are of any shape, float; `dim` counts as PyTorch has it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fovea.explanation.units.arithmetic import Arithmetic
from fovea.explanation.units.reading import Index, Reads, Region, along, numbers, of, read, source, whole
from fovea.explanation.units.tape import Call

FACTORS = {
    "addmm": ("mat1", "mat2"),
    "mm": ("self", "mat2"),
    "bmm": ("self", "mat2"),
    "baddbmm": ("batch1", "batch2"),
    "mv": ("self", "vec"),
    "addmv": ("mat", "vec"),
    "dot": ("self", "tensor"),
}
"""What products of matrices call their factors; the last dimension of the first is summed over."""
ADDED = ("addmm", "baddbmm", "addmv")
"""Those that add `self`, times `beta`, to `alpha` times the product."""


def dense(call: Call, index: Index) -> Arithmetic:
    """Return the sum of products of a row and a column, and the bias."""
    left, right, row, column = _factors(call, index)
    values, weights = read(left, row), read(right, column)
    x, places, read_from = left, row, source(call, left)
    if read_from is None:  # a weight by a value
        values, weights, x, places = weights, values, right, column
    scale = float(call.given.get("alpha", 1)) if call.name in ADDED else 1.0
    bias = _added(call, index)
    return Arithmetic(
        title=call.title,
        formula="the sum of values times weights" + ("" if bias is None else ", and the bias"),
        value=float(scale * (values @ weights) + (bias or 0.0)),
        network=float(call.outputs[0][index]),
        values=values,
        weights=weights * scale,
        sources=[source(call, x)],
        places=places,
        constants={} if bias is None else {"bias": bias},
    )


def dense_reads(call: Call, region: Region) -> Reads:
    """Return the rows and the columns that a region is the product of."""
    left, right = (call.given[name] for name in FACTORS[call.name])
    spans = list(region)
    rows = [*spans[: left.ndim - 1], (0, left.shape[-1])]
    columns = list(whole(right))
    if right.ndim > 1:
        columns[-1] = spans[-1]
    columns[: right.ndim - 2] = spans[: right.ndim - 2]
    pairs = [(left, tuple(rows)), (right, tuple(columns))]
    if call.name in ADDED:
        pairs.append((call.given["self"], whole(call.given["self"])))
    return of(call, pairs)


def _factors(call: Call, index: Index) -> tuple[Tensor, Tensor, NDArray[np.int64], NDArray[np.int64]]:
    """Return the two factors, and the places of the row and of the column."""
    left, right = (call.given[name] for name in FACTORS[call.name])
    count = left.shape[-1]
    row = along((*index[: left.ndim - 1], 0), left.ndim - 1, count)
    if right.ndim == 1:
        return left, right, row, np.arange(count)[:, None]
    column = along((*index[: right.ndim - 2], 0, index[-1]), right.ndim - 2, count)
    return left, right, row, column


def _added(call: Call, index: Index) -> float | None:
    if call.name not in ADDED:
        return None
    added = call.given["self"].expand(call.outputs[0].shape)
    return float(call.given.get("beta", 1)) * float(added.detach()[index])


def reduction(call: Call, index: Index) -> Arithmetic:
    """Return the mean, the sum or the largest of a unit's dimensions."""
    x = call.given["self"]
    places = _reduced(call, index)
    values = read(x, places)
    kind, formula, count = REDUCTIONS[call.name], FORMULAS[REDUCTIONS[call.name]], len(values)
    return Arithmetic(
        title=call.title,
        formula=f"{formula}{count}" if kind is np.mean else formula,
        value=float(kind(values)),
        network=float(call.outputs[0][index]),
        values=values,
        sources=[source(call, x)],
        places=places,
    )


REDUCTIONS: dict[str, Callable[[NDArray[np.float64]], Any]] = {
    "mean": np.mean,
    "sum": np.sum,
    "amax": np.max,
    "amin": np.min,
    "max": np.max,
    "min": np.min,
}
FORMULAS: dict[Any, str] = {
    np.mean: "the sum of the values, divided by ",
    np.sum: "the sum of the values",
    np.max: "the largest of the values",
    np.min: "the smallest of the values",
}


def reduction_reads(call: Call, region: Region) -> Reads:
    """Return all that a region of a reduction depends on."""
    x = call.given["self"]
    dims, kept = _dims(call), iter(region)
    spans = []
    for dim, size in enumerate(x.shape):
        if dim in dims:
            spans.append((0, size))
            if call.given.get("keepdim"):
                next(kept)
        else:
            spans.append(next(kept))
    return of(call, [(x, tuple(spans))])


def _dims(call: Call) -> set[int]:
    ndim, dims = call.given["self"].ndim, call.given.get("dim")
    values = dims if isinstance(dims, list | tuple) else [] if dims is None else [dims]
    return {dim % ndim for dim in values} if values else set(range(ndim))


def _reduced(call: Call, index: Index) -> NDArray[np.int64]:
    """Return the places (n, dimensions) that a unit of a reduction reads."""
    region = tuple((at, at + 1) for at in index)
    x, dims, kept = call.given["self"], _dims(call), iter(region)
    axes = []
    for dim, size in enumerate(x.shape):
        span = (0, size) if dim in dims else next(kept)
        if dim in dims and call.given.get("keepdim"):
            next(kept)
        axes.append(np.arange(*span))
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, x.ndim).astype(np.int64)


def softmax(call: Call, index: Index) -> Arithmetic:
    """Return exp(x) over the sum of all of them, or its logarithm."""
    x = call.given["self"]
    dim = call.given["dim"] % x.ndim
    places = along(index, dim, x.shape[dim])
    values = read(x, places)
    own, total = values[index[dim]] - values.max(), np.exp(values - values.max()).sum()
    logarithm = "log" in call.name
    return Arithmetic(
        title=call.title,
        formula=("the logarithm of " if logarithm else "") + "exp(own value), divided by the sum of exp(value)",
        value=float(own - np.log(total)) if logarithm else float(np.exp(own) / total),
        network=float(call.outputs[0][index]),
        values=values,
        sources=[source(call, x)],
        places=places,
        constants={"own value": float(values[index[dim]]), "largest value": float(values.max())},
    )


def softmax_reads(call: Call, region: Region) -> Reads:
    """Return a region with all of the dimension that a softmax sums over."""
    x = call.given["self"]
    dim = call.given["dim"] % x.ndim
    return of(call, [(x, tuple((0, x.shape[d]) if d == dim else span for d, span in enumerate(region)))])


def batch_norm(call: Call, index: Index) -> Arithmetic:
    """Return (x - mean) / sqrt(variance + eps) times a scale, plus a shift, with stored statistics."""
    x, c = call.given["input"], index[1]
    mean, variance = (float(call.given[name].detach()[c]) for name in ("running_mean", "running_var"))
    scale, shift = (_own(call.given.get(name), (c,), default) for name, default in (("weight", 1.0), ("bias", 0.0)))
    return _standardised(call, index, x, np.array([index]), mean, variance, scale, shift)


def group_norm(call: Call, index: Index) -> Arithmetic:
    """Return the same with the statistics of the unit's group of channels."""
    x, c = call.given["input"], index[1]
    each = x.shape[1] // int(call.given["group"])
    group = numbers(x[index[0], c // each * each : (c // each + 1) * each])
    scale, shift = (_own(call.given.get(name), (c,), default) for name, default in (("weight", 1.0), ("bias", 0.0)))
    return _standardised(call, index, x, np.array([index]), group.mean(), group.var(), scale, shift)


def layer_norm(call: Call, index: Index) -> Arithmetic:
    """Return the same with the statistics of the last dimensions."""
    x, last = call.given["input"], len(call.given["normalized_shape"])
    group = numbers(x[index[:-last]])
    own = index[-last:]
    scale, shift = (_own(call.given.get(name), own, default) for name, default in (("weight", 1.0), ("bias", 0.0)))
    return _standardised(call, index, x, np.array([index]), group.mean(), group.var(), scale, shift)


def _standardised(
    call: Call, index: Index, x: Tensor, places: NDArray[np.int64], mean: float, variance: float, *affine: float
) -> Arithmetic:
    scale, shift = affine
    values, eps = read(x, places), float(call.given["eps"])
    return Arithmetic(
        title=call.title,
        formula="(value - mean) / sqrt(variance + eps) x scale + shift",
        value=float((values[0] - mean) / np.sqrt(variance + eps) * scale + shift),
        network=float(call.outputs[0][index]),
        values=values,
        sources=[source(call, x)],
        places=places,
        constants={"mean": float(mean), "variance": float(variance), "eps": eps, "scale": scale, "shift": shift},
    )


def _own(parameter: Tensor | None, index: Index, default: float) -> float:
    return default if parameter is None else float(parameter.detach()[index])


def batch_norm_reads(call: Call, region: Region) -> Reads:
    """Return the region itself: the statistics are stored."""
    return of(call, [(call.given["input"], region)])


def group_norm_reads(call: Call, region: Region) -> Reads:
    """Return all of the groups that a region has a part in."""
    x = call.given["input"]
    each = x.shape[1] // int(call.given["group"])
    low, high = region[1]
    return of(call, [(x, (region[0], (low // each * each, -(-high // each) * each), *whole(x)[2:]))])


def layer_norm_reads(call: Call, region: Region) -> Reads:
    """Return the region with all of the last dimensions."""
    x, last = call.given["input"], len(call.given["normalized_shape"])
    return of(call, [(x, (*region[:-last], *whole(x)[-last:]))])
