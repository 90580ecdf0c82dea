"""Convolutions and pools: windows that move over a map (N, C, ...)."""

import math
from typing import NamedTuple

from fovea.runtime.rules.interface import FLOATS, Applied, Known, Made, RefusedError, rule

MOST_PADDING = 1 << 12
_WINDOW = {"kernel_shape": tuple, "strides": tuple, "pads": tuple, "dilations": tuple, "auto_pad": bytes}
_ACCUMULATOR_BYTES = 4
BYTES = frozenset({"uint8", "int8"})


class Moved(NamedTuple):
    """A window on a map."""

    kernel: tuple[int, ...]
    lengths: tuple[int, ...]
    """Of the map that it makes."""


@rule("Conv", attributes={**_WINDOW, "group": int})
def conv(given: Applied) -> Made:
    """Return a map of a convolution; a bias is as long as it has channels."""
    given.only(2, 3)
    x, weight = given.typed(0, FLOATS), given.typed(1, FLOATS)
    bias = given.maybe(2)
    moved, channels, inner = convolved(given, x, weight)
    if bias is not None and bias.shape != (channels,):
        raise RefusedError("its bias does not fit its channels")
    shape = (x.shape[0], channels, *moved.lengths)
    return given.one(x.dtype, shape)._replace(products=math.prod(shape) * inner)


def convolved(given: Applied, x: Known, weight: Known) -> tuple[Moved, int, int]:
    """Return the window of a convolution, its channels, and the products in each of its values."""
    group = given.whole("group", 1, least=1)
    alike = x.dtype == weight.dtype or x.dtype in BYTES
    if len(x.shape) < 3 or len(weight.shape) != len(x.shape) or not alike:
        raise RefusedError(f"its input {x.shape} and its weights {weight.shape} do not match")
    channels, c_in = weight.shape[:2]
    if c_in * group != x.shape[1] or channels % group:
        raise RefusedError(f"{x.shape[1]} channels in {group} groups do not fit weights {weight.shape}")
    moved = window(given, x.shape[2:], kernel=weight.shape[2:])
    return moved, channels, c_in * math.prod(moved.kernel)


@rule("ConvTranspose", attributes={**_WINDOW, "group": int, "output_padding": tuple})
def conv_transpose(given: Applied) -> Made:
    """Return a map of a transposed convolution, as large as its windows reach when they are laid side by side."""
    given.only(2, 3)
    x, weight, bias = given.typed(0, FLOATS), given.typed(1, FLOATS), given.maybe(2)
    group, axes = given.whole("group", 1, least=1), len(x.shape) - 2
    if axes < 1 or len(weight.shape) != len(x.shape) or weight.shape[0] != x.shape[1] or x.shape[1] % group:
        raise RefusedError(f"its input {x.shape} and its weights {weight.shape} do not match")
    channels, kernel = weight.shape[1] * group, weight.shape[2:]
    if bias is not None and bias.shape != (channels,):
        raise RefusedError("its bias does not fit its channels")
    if given.list_of("kernel_shape", kernel, least=1) != kernel:
        raise RefusedError(f"`kernel_shape` is not that of its weights {kernel}")
    given.text("auto_pad", "NOTSET", ("NOTSET",))
    strides, dilations = (given.list_of(name, (1,) * axes, least=1) for name in ("strides", "dilations"))
    pads, added = given.list_of("pads", (0,) * (2 * axes)), given.list_of("output_padding", (0,) * axes)
    if any(extra >= max(pair) for extra, pair in zip(added, zip(strides, dilations, strict=True), strict=True)):
        raise RefusedError("its `output_padding` is as wide as its stride")
    lengths = tuple(
        strides[i] * (x.shape[2 + i] - 1) + dilations[i] * (kernel[i] - 1) + 1 + added[i] - pads[i] - pads[axes + i]
        for i in range(axes)
    )
    if min(lengths) < 1:
        raise RefusedError("its padding leaves nothing of its map")
    shape = (x.shape[0], channels, *lengths)
    inner = weight.shape[1] * math.prod(kernel)
    workspace = 4 * channels * math.prod(kernel) * math.prod(x.shape[2:])
    return given.one(x.dtype, shape)._replace(products=x.size * inner, workspace=workspace)


@rule("MaxPool", attributes={**_WINDOW, "ceil_mode": int, "storage_order": int})
@rule("AveragePool", attributes={**_WINDOW, "ceil_mode": int, "count_include_pad": int})
@rule("LpPool", attributes={**_WINDOW, "ceil_mode": int, "p": int})
def pool(given: Applied) -> Made:
    """Return a map of maxima or means."""
    given.only(1)
    x = given.tensor(0)
    given.whole("storage_order", 0, least=0, most=0)
    given.whole("p", 2, least=1, most=2)
    if len(x.shape) < 3 or "kernel_shape" not in given.node.attributes:
        raise RefusedError(f"its input is {x.shape}, or its window is not given")
    moved = window(given, x.shape[2:], kernel=None)
    pads = given.node.attributes.get("pads", ())
    if any(pad >= kernel for pad, kernel in zip(pads, (*moved.kernel, *moved.kernel), strict=False)):
        raise RefusedError("its padding is as wide as its window")
    shape = (*x.shape[:2], *moved.lengths)
    return given.one(x.dtype, shape, steps=math.prod(shape) * math.prod(moved.kernel))


@rule("GlobalAveragePool", "GlobalMaxPool")
def global_pool(given: Applied) -> Made:
    """Return one value for each channel."""
    given.only(1)
    x = given.typed(0, FLOATS)
    if len(x.shape) < 3:
        raise RefusedError(f"its input is {x.shape}")
    return given.one(x.dtype, (*x.shape[:2], *(1,) * (len(x.shape) - 2)), steps=x.size)


@rule("LRN", attributes={"alpha": float, "beta": float, "bias": float, "size": int})
def local_response_norm(given: Applied) -> Made:
    """Return the input normalised over neighbouring channels."""
    given.only(1)
    x = given.typed(0, FLOATS)
    size = given.whole("size", 0, least=1)
    if len(x.shape) != 4 or size % 2 == 0 or size > 2 * x.shape[1]:
        raise RefusedError(f"its input is {x.shape} and its window {size}")
    return given.one(x.dtype, x.shape, steps=x.size * size)


def window(given: Applied, lengths: tuple[int, ...], *, kernel: tuple[int, ...] | None) -> Moved:
    """Return a window on a map of `lengths`; where the `kernel` is that of weights, an attribute must say the same."""
    axes = len(lengths)
    said = given.list_of("kernel_shape", kernel or (1,) * axes, least=1)
    if kernel is not None and said != kernel:
        raise RefusedError(f"`kernel_shape` is not that of its weights {kernel}")
    given.text("auto_pad", "NOTSET", ("NOTSET", "VALID"))
    strides, dilations = (given.list_of(name, (1,) * axes, least=1) for name in ("strides", "dilations"))
    pads = given.list_of("pads", (0,) * (2 * axes))
    if max(pads, default=0) > MOST_PADDING:
        raise RefusedError(f"it pads with {max(pads):,}; the limit is {MOST_PADDING:,}")
    ceil = given.whole("ceil_mode", 0, least=0, most=1)
    made = []
    for axis, length in enumerate(lengths):
        extent = dilations[axis] * (said[axis] - 1) + 1
        left = length + pads[axis] + pads[axis + axes] - extent
        if left < 0:
            raise RefusedError(f"its window of {extent} does not fit a length of {length}")
        positions = -(-left // strides[axis]) + 1 if ceil else left // strides[axis] + 1
        # a last window that begins behind the map and its padding does not count
        hangs = ceil and (positions - 1) * strides[axis] >= length + pads[axis]
        made.append(positions - 1 if hangs else positions)
    return Moved(said, tuple(made))


@rule("ConvInteger", attributes={**_WINDOW, "group": int})
def conv_integer(given: Applied) -> Made:
    """Return a map of sums, int32."""
    given.only(2, 3, 4)
    x, weight = given.typed(0, BYTES), given.typed(1, BYTES)
    moved, channels, inner = convolved(given, x, weight)
    _check_points(given, ((2, 1), (3, channels)))
    shape = (x.shape[0], channels, *moved.lengths)
    output = given.known("int32", shape)
    return Made((output,), output.size, math.prod(shape) * inner, workspace=_columns(x, moved))


@rule("QLinearConv", attributes={**_WINDOW, "group": int})
def quantised_conv(given: Applied) -> Made:
    """Return a map in bytes; scales are single values, of weights one for each channel too."""
    given.only(8, 9)
    x, weight = given.typed(0, BYTES), given.typed(3, BYTES)
    moved, channels, inner = convolved(given, x, weight)
    _check_points(given, ((1, 1), (2, 1), (4, channels), (5, channels), (6, 1), (7, 1)))
    bias, made = given.maybe(8), given.typed(7, BYTES)
    if bias is not None and (bias.shape != (channels,) or bias.dtype != "int32"):
        raise RefusedError("its bias does not fit its channels")
    shape = (x.shape[0], channels, *moved.lengths)
    workspace = _columns(x, moved) + _ACCUMULATOR_BYTES * math.prod(shape)
    output = given.known(made.dtype, shape)
    return Made((output,), output.size, math.prod(shape) * inner, workspace=workspace)


def _check_points(given: Applied, wanted: tuple[tuple[int, int], ...]) -> None:
    """Refuse scales and zero points that are neither single nor one for each of some channels."""
    for index, channels in wanted:
        point = given.maybe(index)
        if point is not None and point.shape not in ((), (1,), (channels,)):
            raise RefusedError(f"its input {index}, a scale or zero point, is {point.shape}")


def _columns(x: Known, moved: Moved) -> int:
    """Return the bytes of all windows side by side, of one sample."""
    return 0 if math.prod(moved.kernel) == 1 else x.shape[1] * math.prod(moved.kernel) * math.prod(moved.lengths)
