"""Units that look through a window: convolutions, straight and transposed, and poolings.

Maps are (1, C, *sizes) float; poolings also take (C, *sizes). A window may reach into padding, which is zero to a
convolution and to an average, and nothing to a maximum.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fovea.explanation.units.arithmetic import Arithmetic
from fovea.explanation.units.reading import Index, Reads, Region, clipped, numbers, of, read, source
from fovea.explanation.units.tape import Call

OUTSIDE = -1


def convolution(call: Call, index: Index) -> Arithmetic:
    """Return the sum of products of a convolution's unit (0, c, *place)."""
    x, weight, bias = call.given["input"], call.given["weight"], call.given.get("bias")
    n, c, *place = index
    groups = int(call.given["groups"])
    if call.given["transposed"]:
        out_channels = weight.shape[1]
        group, own = divmod(c, out_channels)
        own_weights = weight[group * (len(weight) // groups) : (group + 1) * (len(weight) // groups), own]
    else:
        group = c // (len(weight) // groups)
        own_weights = weight[c]
    channels = np.arange(len(own_weights)) + group * len(own_weights)
    positions = [
        _positions(call, axis, at, kernel)
        for axis, (at, kernel) in enumerate(zip(place, weight.shape[2:], strict=True))
    ]
    places = _grid([channels, *positions])
    inside = _inside(places[:, 1:], x.shape[2:])
    if call.given["transposed"]:  # a transposed window has taps that no input lands on
        places, w = places[inside], numbers(own_weights).ravel()[inside]
        inside = inside[inside]
    else:
        w = numbers(own_weights).ravel()
    values = _read(x[n], places, inside)
    b = 0.0 if bias is None else float(bias.detach()[c])
    return Arithmetic(
        title=call.title,
        formula="the sum of values times weights" + ("" if bias is None else ", and the bias"),
        value=float(values @ w + b),
        network=float(call.outputs[0][index]),
        values=values,
        weights=w,
        sources=[source(call, x)],
        places=np.where(inside[:, None], np.insert(places, 0, n, axis=1), OUTSIDE),
        constants={} if bias is None else {"bias": b},
    )


def _positions(call: Call, axis: int, at: int, kernel: int) -> NDArray[np.int64]:
    """Return which input position each tap of a window reads, along one axis; one that is none is outside."""
    stride, padding, dilation = (_along(call.given[key], axis) for key in ("stride", "padding", "dilation"))
    taps = np.arange(kernel) * dilation
    if not call.given["transposed"]:
        return at * stride - padding + taps
    spread = at + padding - taps
    return np.where(spread % stride == 0, spread // stride, OUTSIDE)


def convolution_reads(call: Call, region: Region) -> Reads:
    """Return the window of a region, over the channels of its groups."""
    x, weight = call.given["input"], call.given["weight"]
    groups = int(call.given["groups"])
    out_channels = call.outputs[0].shape[1] // groups
    in_channels = x.shape[1] // groups
    first, last = region[1][0] // out_channels, (region[1][1] - 1) // out_channels
    spans = [region[0], (first * in_channels, (last + 1) * in_channels)]
    for axis, ((low, high), kernel) in enumerate(zip(region[2:], weight.shape[2:], strict=True)):
        stride, padding, dilation = (_along(call.given[key], axis) for key in ("stride", "padding", "dilation"))
        extent = dilation * (kernel - 1)
        if call.given["transposed"]:
            span = (-(-(low + padding - extent) // stride), (high - 1 + padding) // stride + 1)
        else:
            span = (low * stride - padding, (high - 1) * stride - padding + extent + 1)
        spans.append(span)
    return of(call, [(x, clipped(tuple(spans), x.shape))])


def pooling(call: Call, index: Index) -> Arithmetic:
    """Return the largest, or the mean, of a pooling's window."""
    x = call.given["self"]
    *lead, positions = _pooled(call, index)
    axes = len(positions)
    places = _grid([np.array([at]) for at in lead[0]] + positions)
    inside = _inside(places[:, -axes:], x.shape[-axes:])
    values = _read(x, places, inside)
    largest = "max" in call.name
    counted = inside if largest or not _counts_padding(call) else _counted(places[:, -axes:], call, x.shape[-axes:])
    divisor = call.given.get("divisor_override") or max(1, int(counted.sum()))
    keep = inside if largest else counted
    values, places, inside = values[keep], places[keep], inside[keep]
    value = float(values.max()) if largest else float(values.sum() / divisor)
    return Arithmetic(
        title=call.title,
        formula="the largest of the values" if largest else f"the sum of the values, divided by {divisor}",
        value=value,
        network=float(call.outputs[0][index]),
        values=values,
        sources=[source(call, x)],
        places=np.where(inside[:, None], places, OUTSIDE),
    )


def pooling_reads(call: Call, region: Region) -> Reads:
    """Return what the windows of a region look at."""
    x = call.given["self"]
    low, high = tuple(a for a, _ in region), tuple(b - 1 for _, b in region)
    (lead, first), (_, last) = _pooled(call, low), _pooled(call, high)
    spans = [(a, b) for (a, b), _ in zip(region, lead, strict=False)]
    spans += [(int(a.min()), int(b.max()) + 1) for a, b in zip(first, last, strict=True)]
    return of(call, [(x, clipped(tuple(spans), x.shape))])


def _pooled(call: Call, index: Index) -> tuple[Index, list[NDArray[np.int64]]]:
    """Return the leading indices of a unit, and which positions its window has along each axis."""
    x, out = call.given["self"], call.outputs[0]
    if "adaptive" in call.name:
        axes = len(call.given["output_size"])
        spans = [
            (at * size // count, -(-(at + 1) * size // count))
            for at, size, count in zip(index[-axes:], x.shape[-axes:], out.shape[-axes:], strict=True)
        ]
        return index[:-axes], [np.arange(*span) for span in spans]
    kernel = call.given["kernel_size"]
    axes = max(len(kernel), int(call.name[call.name.index("pool") + 4]))
    stride = call.given.get("stride") or kernel
    windows = []
    for axis, at in enumerate(index[-axes:]):
        taps = np.arange(_along(kernel, axis)) * _along(call.given.get("dilation", [1]), axis)
        windows.append(at * _along(stride, axis) - _along(call.given.get("padding", [0]), axis) + taps)
    return index[:-axes], windows


def _counts_padding(call: Call) -> bool:
    return "adaptive" not in call.name and bool(call.given.get("count_include_pad", True))


def _counted(places: NDArray[np.int64], call: Call, sizes: Sequence[int]) -> NDArray[np.bool_]:
    """Say of each position whether an average counts it: the map and its padding, not what `ceil_mode` adds beyond."""
    paddings = [_along(call.given.get("padding", [0]), axis) for axis in range(len(sizes))]
    high = np.array([size + padding for size, padding in zip(sizes, paddings, strict=True)])
    return np.asarray((places < high).all(axis=1))


def _along(values: Any, axis: int) -> int:
    return int(values[axis] if len(values) > 1 else values[0])


def _grid(axes: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return all combinations of positions, the last axis fastest, (n, axes)."""
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes)).astype(np.int64)


def _inside(places: NDArray[np.int64], sizes: Sequence[int]) -> NDArray[np.bool_]:
    return np.asarray(((places >= 0) & (places < np.array(sizes))).all(axis=1))


def _read(x: Tensor, places: NDArray[np.int64], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the values at the places that lie inside, and 0 elsewhere."""
    return np.where(inside, read(x, np.where(inside[:, None], places, 0)), 0.0)
