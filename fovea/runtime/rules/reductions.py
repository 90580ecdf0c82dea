"""Operations that bring many values together: matrix products, means, normalisations, resizing."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.runtime.rules.interface import FLOATS, LARGEST_NUMBER, WHOLE, Applied, Made, RefusedError, broadcast, rule

_NUMBERS = FLOATS | WHOLE
_CENTRED = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric")


@rule("MatMul", "MatMulInteger")
def matmul(given: Applied) -> Made:
    """Return the product of two matrices, or of stacks of them."""
    whole = given.node.operator == "MatMulInteger"
    given.only(*((2, 3, 4) if whole else (2,)))
    a, b = given.typed(0, _NUMBERS), given.typed(1, _NUMBERS)
    if not a.shape or not b.shape or (not whole and a.dtype != b.dtype):
        raise RefusedError(f"{a.dtype} {a.shape} by {b.dtype} {b.shape}")
    for index, longest in ((2, 1), (3, b.shape[-1])):
        point = given.maybe(index)
        if point is not None and point.shape not in ((), (1,), (longest,)):
            raise RefusedError(f"its zero point is {point.shape}")
    left = a.shape if len(a.shape) > 1 else (1, *a.shape)
    right = b.shape if len(b.shape) > 1 else (*b.shape, 1)
    if left[-1] != right[-2]:
        raise RefusedError(f"{a.shape} by {b.shape}")
    rows = () if len(a.shape) == 1 else (left[-2],)
    columns = () if len(b.shape) == 1 else (right[-1],)
    stacked = broadcast(left[:-2], right[:-2])
    made = given.one("int32" if whole else a.dtype, (*stacked, *rows, *columns))
    return made._replace(products=math.prod(stacked) * left[-2] * left[-1] * right[-1])


@rule("Gemm", attributes={"alpha": float, "beta": float, "transA": int, "transB": int})
def gemm(given: Applied) -> Made:
    """Return the product of two matrices, plus a third that is stretched to it."""
    given.only(2, 3)
    a, b, c = given.typed(0, FLOATS), given.typed(1, FLOATS), given.maybe(2)
    if len(a.shape) != 2 or len(b.shape) != 2 or a.dtype != b.dtype:
        raise RefusedError(f"{a.dtype} {a.shape} by {b.dtype} {b.shape}")
    rows, inner = reversed(a.shape) if given.whole("transA", 0, least=0, most=1) else a.shape
    wide, columns = reversed(b.shape) if given.whole("transB", 0, least=0, most=1) else b.shape
    shape = (rows, columns)
    if inner != wide or (c is not None and broadcast(c.shape, shape) != shape):
        raise RefusedError(f"{a.shape} by {b.shape}")
    return given.one(a.dtype, shape)._replace(products=rows * columns * inner)


@rule(
    *("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare"),
    *("ReduceLogSumExp", "ReduceLogSum"),
    attributes={"keepdims": int, "noop_with_empty_axes": int},
)
def reduction(given: Applied) -> Made:
    """Return the input without some axes, or with these of length 1."""
    given.only(1, 2)
    x = given.typed(0, _NUMBERS)
    asked = given.wholes(1) if given.maybe(1) is not None else ()
    if not asked and given.whole("noop_with_empty_axes", 0, least=0, most=1):
        return given.one(x.dtype, x.shape)
    axes = {given.axis(axis, len(x.shape)) for axis in asked} or set(range(len(x.shape)))
    keep = given.whole("keepdims", 1, least=0, most=1)
    lengths = ((axis, 1 if axis in axes else length) for axis, length in enumerate(x.shape))
    shape = tuple(length for axis, length in lengths if keep or axis not in axes)
    values = None
    if x.values is not None and given.node.operator in _REDUCED:
        values = _REDUCED[given.node.operator](x.values, axis=tuple(sorted(axes)), keepdims=bool(keep))
    return given.one(x.dtype, shape, steps=x.size, values=values)


_REDUCED: Mapping[str, Callable[..., NDArray[Any]]] = {
    **{"ReduceSum": np.sum, "ReduceMax": np.max, "ReduceMin": np.min, "ReduceProd": np.prod}
}
"""What shapes are computed with."""


@rule("ArgMax", "ArgMin", attributes={"axis": int, "keepdims": int, "select_last_index": int})
def arg_max(given: Applied) -> Made:
    """Return the place of the largest value along an axis."""
    given.only(1)
    x = given.typed(0, _NUMBERS)
    axis = given.axis(given.whole("axis", 0), len(x.shape))
    one = (1,) if given.whole("keepdims", 1, least=0, most=1) else ()
    return given.one("int64", (*x.shape[:axis], *one, *x.shape[axis + 1 :]), steps=x.size)


@rule("Softmax", "LogSoftmax", attributes={"axis": int})
@rule("LpNormalization", attributes={"axis": int, "p": int})
def along_axis(given: Applied) -> Made:
    """Return the input, normalised along an axis."""
    given.only(1)
    x = given.typed(0, FLOATS)
    given.axis(given.whole("axis", -1), len(x.shape))
    given.whole("p", 2, least=1, most=2)
    return given.one(x.dtype, x.shape)


@rule("CumSum", attributes={"exclusive": int, "reverse": int})
def cumulated(given: Applied) -> Made:
    """Return sums of all values so far along an axis."""
    given.only(2)
    x = given.typed(0, _NUMBERS)
    (axis,) = given.wholes(1) or (0,)
    given.axis(axis, len(x.shape))
    return given.one(x.dtype, x.shape)


@rule("BatchNormalization", attributes={"epsilon": float, "momentum": float, "training_mode": int})
def batch_norm(given: Applied) -> Made:
    """Return the input, normalised by stored means and variances."""
    given.only(5)
    x = given.typed(0, FLOATS)
    given.whole("training_mode", 0, least=0, most=0)
    if len(x.shape) < 2 or any(given.tensor(index).shape != (x.shape[1],) for index in range(1, 5)):
        raise RefusedError(f"its means or variances do not fit {x.shape}")
    return Made((given.known(x.dtype, x.shape),), x.size, in_place=True)


@rule("InstanceNormalization", attributes={"epsilon": float})
@rule("GroupNormalization", attributes={"epsilon": float, "num_groups": int, "stash_type": int})
def per_sample_norm(given: Applied) -> Made:
    """Return the input, normalised over each sample's channels or groups of them."""
    given.only(3)
    x = given.typed(0, FLOATS)
    if len(x.shape) < 3:
        raise RefusedError(f"its input is {x.shape}")
    groups = given.whole("num_groups", x.shape[1], least=1)
    lengths = {(x.shape[1],), (groups,)}
    if x.shape[1] % groups or any(given.tensor(index).shape not in lengths for index in (1, 2)):
        raise RefusedError(f"its scales do not fit {x.shape}")
    return given.one(x.dtype, x.shape, steps=2 * x.size)


@rule("LayerNormalization", attributes={"axis": int, "epsilon": float, "stash_type": int})
def layer_norm(given: Applied) -> Made:
    """Return the input, normalised over its last axes."""
    given.only(2, 3)
    x = given.typed(0, FLOATS)
    axis = given.axis(given.whole("axis", -1), len(x.shape))
    given.whole("stash_type", 1, least=1, most=1)
    for index in (1, 2):
        weight = given.maybe(index)
        if weight is not None and weight.shape != x.shape[axis:]:
            raise RefusedError(f"its weights {weight.shape} do not fit {x.shape}")
    return given.one(x.dtype, x.shape, steps=2 * x.size)


@rule(
    "Resize",
    attributes={
        **{"coordinate_transformation_mode": bytes, "mode": bytes, "nearest_mode": bytes, "cubic_coeff_a": float},
        **{"antialias": int, "exclude_outside": int, "extrapolation_value": float, "keep_aspect_ratio_policy": bytes},
    },
)
def resize(given: Applied) -> Made:
    """Return the input at another size, by known factors or lengths."""
    given.only(3, 4)
    x = given.typed(0, FLOATS | {"uint8", "int8"})
    given.text("keep_aspect_ratio_policy", "stretch", ("stretch",))
    given.text("mode", "nearest", ("nearest", "linear", "cubic"))
    given.text("coordinate_transformation_mode", "half_pixel", _CENTRED)
    given.text("nearest_mode", "round_prefer_floor", ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"))
    scales, sizes = given.maybe(2), given.maybe(3)
    if (scales is None or not scales.size) == (sizes is None):
        raise RefusedError("it has factors and lengths, or neither")
    shape = given.wholes(3) if sizes is not None else _scaled(given, x.shape)
    if len(shape) != len(x.shape) or len(shape) > 5 or not all(1 <= length <= LARGEST_NUMBER for length in shape):
        raise RefusedError(f"it makes {shape[:8]} of {x.shape}")
    antialias = given.whole("antialias", 0, least=0, most=1)
    output = given.known(x.dtype, shape)
    axes = sum(made != length for made, length in zip(shape, x.shape, strict=True))
    # with a filter, rows and then columns: what lies between may be larger than both
    between = math.prod(max(pair) for pair in zip(shape, x.shape, strict=True)) * 4 if antialias else 0
    return Made((output,), 4 ** min(axes, 3) * output.size + between, workspace=between)


def _scaled(given: Applied, shape: tuple[int, ...]) -> tuple[int, ...]:
    scales = given.values(2)
    if scales.dtype != np.float32 or scales.shape != (len(shape),) or not np.isfinite(scales).all():
        raise RefusedError(f"its factors do not fit {shape}")
    if not ((scales > 0) & (scales < 1 << 20)).all():
        raise RefusedError("its factors are not above 0, or too large")
    return tuple(math.floor(length * float(scale)) for length, scale in zip(shape, scales, strict=True))
