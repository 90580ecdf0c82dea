"""Operations that move values, repeat them or leave them out, and those that shapes are computed with."""

import math

import numpy as np

from fovea.runtime.onnx_file import StoredTensor
from fovea.runtime.rules.interface import (
    LARGEST_NUMBER,
    MOST_VALUES,
    Applied,
    Known,
    Made,
    RefusedError,
    broadcast,
    rule,
)

MOST_AXES = 8
MOST_INPUTS = 4096
INDICES = frozenset({"int32", "int64"})


@rule("Shape", attributes={"start": int, "end": int})
def shape_of(given: Applied) -> Made:
    """Return the lengths of the input, known."""
    given.only(1)
    shape = given.tensor(0).shape
    lengths = shape[given.whole("start", 0) : given.whole("end", len(shape))]
    return given.one("int64", (len(lengths),), values=np.array(lengths, np.int64))


@rule("Size")
def size_of(given: Applied) -> Made:
    """Return how many values the input has, known."""
    given.only(1)
    return given.one("int64", (), values=np.array(given.tensor(0).size))


@rule("Constant", attributes={"value": StoredTensor, "value_int": int, "value_float": float, "value_ints": tuple})
def constant(given: Applied) -> Made:
    """Return the contents of the attribute."""
    given.only(0)
    if len(given.node.attributes) != 1:
        raise RefusedError("it has several values, or none")
    ((name, value),) = given.node.attributes.items()
    if isinstance(value, StoredTensor):
        return given.one(value.dtype, value.shape, values=value.values if value.size <= MOST_VALUES else None)
    values = np.array(value, "float32" if name == "value_float" else "int64")
    return given.one(str(values.dtype), values.shape, values=values)


@rule("ConstantOfShape", attributes={"value": StoredTensor})
def constant_of_shape(given: Applied) -> Made:
    """Return one value, repeated."""
    given.only(1)
    shape = _lengths(given.wholes(0))
    value = given.node.attributes.get("value")
    if value is not None and value.size != 1:
        raise RefusedError("its value is not a single one")
    dtype = "float32" if value is None else value.dtype
    few = math.prod(shape) <= MOST_VALUES
    filled = np.full(shape, 0 if value is None else value.values.reshape(-1)[0], dtype) if few else None
    return given.one(dtype, shape, values=filled)


@rule("Range")
def range_of(given: Applied) -> Made:
    """Return numbers from a start to an end, both known."""
    given.only(3)
    start, limit, delta = (given.values(index) for index in range(3))
    if not all(value.size == 1 and value.dtype == start.dtype for value in (start, limit, delta)) or not delta.all():
        raise RefusedError("its ends and step are not single values, or the step is 0")
    first, last, step = (float(value.reshape(-1)[0]) for value in (start, limit, delta))
    if not all(map(math.isfinite, (first, last, step))):
        raise RefusedError("its ends or step are not finite")
    count = max(0, math.ceil((last - first) / step))
    _lengths((count,))
    values = (first + step * np.arange(count)).astype(start.dtype) if count <= MOST_VALUES else None
    return given.one(str(start.dtype), (count,), values=values)


@rule("Reshape", attributes={"allowzero": int})
def reshape(given: Applied) -> Made:
    """Return the input in another shape, one length of which may be left open (-1)."""
    given.only(2)
    x, wanted = given.tensor(0), list(given.wholes(1))
    if not given.whole("allowzero", 0, least=0, most=1):
        wanted = [_own(x, axis) if length == 0 else length for axis, length in enumerate(wanted)]
    if wanted.count(-1) == 1:
        rest = math.prod(length for length in wanted if length != -1)
        if rest <= 0 or x.size % rest:
            raise RefusedError(f"{x.shape} cannot become {tuple(wanted)}")
        wanted[wanted.index(-1)] = x.size // rest
    shape = _lengths(tuple(wanted))
    if math.prod(shape) != x.size:
        raise RefusedError(f"{x.shape} cannot become {shape}")
    return _moved(given, x, shape)


@rule("Flatten", attributes={"axis": int})
def flatten(given: Applied) -> Made:
    """Return the input with two axes."""
    given.only(1)
    x = given.tensor(0)
    axis = given.whole("axis", 1, least=-len(x.shape), most=len(x.shape))
    axis = axis + len(x.shape) if axis < 0 else axis
    return _moved(given, x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


@rule("Squeeze")
def squeeze(given: Applied) -> Made:
    """Return the input without axes of length 1."""
    given.only(1, 2)
    x = given.tensor(0)
    axes = (
        set(_axes(given, given.wholes(1), len(x.shape)))
        if given.maybe(1)
        else {axis for axis, length in enumerate(x.shape) if length == 1}
    )
    if any(x.shape[axis] != 1 for axis in axes):
        raise RefusedError(f"it removes axes of {x.shape} that are longer than 1")
    return _moved(given, x, tuple(length for axis, length in enumerate(x.shape) if axis not in axes))


@rule("Unsqueeze")
def unsqueeze(given: Applied) -> Made:
    """Return the input with further axes of length 1."""
    given.only(2)
    x, asked = given.tensor(0), given.wholes(1)
    axes = set(_axes(given, asked, len(x.shape) + len(asked)))
    rest = iter(x.shape)
    shape = tuple(1 if axis in axes else next(rest) for axis in range(len(x.shape) + len(axes)))
    return _moved(given, x, _lengths(shape))


@rule("Transpose", attributes={"perm": tuple})
def transpose(given: Applied) -> Made:
    """Return the input with its axes in another order."""
    given.only(1)
    x = given.tensor(0)
    order = given.list_of("perm", tuple(reversed(range(len(x.shape)))))
    if sorted(order) != list(range(len(x.shape))):
        raise RefusedError(f"`perm` {order} is not an order of {len(x.shape)} axes")
    values = None if x.values is None else x.values.transpose(order)
    return given.one(x.dtype, tuple(x.shape[axis] for axis in order), values=values)


@rule("Concat", attributes={"axis": int})
def concat(given: Applied) -> Made:
    """Return the inputs one behind the other."""
    if not 1 <= len(given.inputs) <= MOST_INPUTS or "axis" not in given.node.attributes:
        raise RefusedError(f"it has {len(given.inputs)} inputs, or no axis")
    tensors = [given.tensor(index) for index in range(len(given.inputs))]
    first = tensors[0]
    axis = given.axis(given.node.attributes["axis"], len(first.shape))
    rests = {(tensor.dtype, *tensor.shape[:axis], None, *tensor.shape[axis + 1 :]) for tensor in tensors}
    if len(rests) > 1 or len({len(tensor.shape) for tensor in tensors}) > 1:
        raise RefusedError("its inputs do not match")
    shape = (*first.shape[:axis], sum(tensor.shape[axis] for tensor in tensors), *first.shape[axis + 1 :])
    values = given.all_values() if math.prod(shape) <= MOST_VALUES else None
    whole = None if values is None else np.concatenate(values, axis)
    return given.one(first.dtype, shape, values=whole)


@rule("Split", attributes={"axis": int, "num_outputs": int}, outputs=MOST_INPUTS)
def split(given: Applied) -> Made:
    """Return pieces of the input."""
    given.only(1, 2)
    x, count = given.tensor(0), len(given.node.outputs)
    axis = given.axis(given.whole("axis", 0), len(x.shape))
    length = x.shape[axis]
    if given.maybe(1) is not None:
        pieces = given.wholes(1)
    else:
        each = -(-length // count)
        pieces = tuple(min(each, length - each * piece) for piece in range(count))
    if len(pieces) != count or sum(pieces) != length or min(pieces) <= 0:
        raise RefusedError(f"pieces of {pieces[:8]} are not those of a length of {length}")
    outputs = tuple(given.known(x.dtype, (*x.shape[:axis], piece, *x.shape[axis + 1 :])) for piece in pieces)
    return Made(outputs, x.size)


@rule("Slice")
def slice_of(given: Applied) -> Made:
    """Return a part of the input, its ends known."""
    given.only(3, 4, 5)
    x = given.tensor(0)
    starts, ends = given.wholes(1), given.wholes(2)
    axes = given.wholes(3) if given.maybe(3) else tuple(range(len(starts)))
    steps = given.wholes(4) if given.maybe(4) else (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise RefusedError("its ends, axes and steps do not match")
    index = [slice(None)] * len(x.shape)
    for axis, start, end, step in zip(_axes(given, axes, len(x.shape)), starts, ends, steps, strict=True):
        # an end before the first stands for the very first where steps go backwards
        index[axis] = slice(start, None if step < 0 and end < -x.shape[axis] else end, step)
    shape = tuple(len(range(*cut.indices(length))) for cut, length in zip(index, x.shape, strict=True))
    values = None if x.values is None else x.values[tuple(index)]
    return given.one(x.dtype, shape, values=values)


@rule("Gather", attributes={"axis": int})
def gather(given: Applied) -> Made:
    """Return chosen rows of the input."""
    given.only(2)
    x, indices = given.tensor(0), given.typed(1, INDICES)
    axis = given.axis(given.whole("axis", 0), len(x.shape))
    if indices.values is not None:
        _check_indices(indices, x.shape[axis])
    shape = _lengths((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))
    known = x.values is not None and indices.values is not None and math.prod(shape) <= MOST_VALUES
    return given.one(x.dtype, shape, values=np.take(x.values, indices.values, axis) if known else None)  # type: ignore[arg-type]


@rule("GatherND", attributes={"batch_dims": int})
def gather_nd(given: Applied) -> Made:
    """Return chosen places of the input."""
    given.only(2)
    x, indices = given.tensor(0), given.typed(1, frozenset({"int64"}))
    shared = given.whole("batch_dims", 0, least=0, most=min(len(x.shape), len(indices.shape)) - 1)
    if not indices.shape or x.shape[:shared] != indices.shape[:shared]:
        raise RefusedError(f"{x.shape} and indices {indices.shape} do not match")
    deep = indices.shape[-1]
    if not 1 <= deep <= len(x.shape) - shared:
        raise RefusedError(f"indices of {deep} axes into {x.shape}")
    return given.one(x.dtype, _lengths((*indices.shape[:-1], *x.shape[shared + deep :])))


@rule("Expand")
def expand(given: Applied) -> Made:
    """Return the input, stretched."""
    given.only(2)
    x = given.tensor(0)
    shape = broadcast(x.shape, _lengths(given.wholes(1)))
    few = x.values is not None and math.prod(shape) <= MOST_VALUES
    return given.one(x.dtype, shape, values=np.broadcast_to(x.values, shape) if few else None)  # type: ignore[arg-type]


@rule("Tile")
def tile(given: Applied) -> Made:
    """Return the input, repeated."""
    given.only(2)
    x, repeats = given.tensor(0), given.wholes(1)
    if len(repeats) != len(x.shape) or min(repeats, default=1) < 1:
        raise RefusedError(f"{repeats[:8]} repeats of {x.shape}")
    return given.one(x.dtype, _lengths(tuple(a * b for a, b in zip(x.shape, repeats, strict=True))))


@rule("Pad", attributes={"mode": bytes})
def pad(given: Applied) -> Made:
    """Return the input with a border, its widths known and none below 0."""
    given.only(2, 3, 4)
    x, pads = given.tensor(0), given.wholes(1)
    value = given.maybe(2)
    axes = _axes(given, given.wholes(3), len(x.shape)) if given.maybe(3) else tuple(range(len(x.shape)))
    mode = given.text("mode", "constant", ("constant", "reflect", "edge"))
    if len(pads) != 2 * len(axes) or min(pads, default=0) < 0 or (value is not None and value.size != 1):
        raise RefusedError(f"widths {pads[:8]} do not fit {x.shape}")
    lengths = list(x.shape)
    for place, axis in enumerate(axes):
        before, after = pads[place], pads[place + len(axes)]
        if mode == "reflect" and max(before, after) >= x.shape[axis]:
            raise RefusedError(f"it reflects {max(before, after)} of {x.shape[axis]}")
        lengths[axis] += before + after
    return given.one(x.dtype, _lengths(tuple(lengths)))


@rule("DepthToSpace", attributes={"blocksize": int, "mode": bytes})
@rule("SpaceToDepth", attributes={"blocksize": int})
def between_depth_and_space(given: Applied) -> Made:
    """Return blocks of a map as channels, or channels as blocks."""
    given.only(1)
    x, block = given.tensor(0), given.whole("blocksize", 0, least=1, most=1 << 10)
    if len(x.shape) != 4:
        raise RefusedError(f"its input is {x.shape}")
    N, C, H, W = x.shape
    deep = given.node.operator == "SpaceToDepth"
    if (H % block or W % block) if deep else C % block**2:
        raise RefusedError(f"{x.shape} cannot be divided into blocks of {block}")
    shape = (N, C * block**2, H // block, W // block) if deep else (N, C // block**2, H * block, W * block)
    return given.one(x.dtype, shape)


def _moved(given: Applied, x: Known, shape: tuple[int, ...]) -> Made:
    """Return the values of the input in another shape; they need not be copied."""
    values = None if x.values is None else x.values.reshape(shape)
    return Made((given.known(x.dtype, shape, values),), x.size, in_place=True)


def _lengths(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape that a tensor may have."""
    if len(shape) > MOST_AXES or not all(0 <= length <= LARGEST_NUMBER for length in shape):
        raise RefusedError(f"it makes a tensor of {len(shape)} axes, or lengths {shape[:MOST_AXES]}")
    return shape


def _axes(given: Applied, axes: tuple[int, ...], count: int) -> tuple[int, ...]:
    found = tuple(given.axis(axis, count) for axis in axes)
    if len(set(found)) < len(found):
        raise RefusedError(f"it names the axes {axes[:8]}, some of them twice")
    return found


def _own(x: Known, axis: int) -> int:
    if axis >= len(x.shape):
        raise RefusedError(f"it keeps axis {axis} of {x.shape}")
    return x.shape[axis]


def _check_indices(indices: Known, length: int) -> None:
    values = indices.values
    if values is not None and values.size and not (-length <= values.min() and values.max() < length):
        raise RefusedError(f"an index is outside a length of {length}")
