"""How receptive fields pass through the operations of PyTorch: one rule per kind of operation.

An operation that no rule knows loses the field, and says so.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import Any

from torch import Tensor

from fovea.measurement.axes import Lost, Place, State, broadcast, each, joined, mixed, pooled, stepped, viewed
from fovea.measurement.interpolation import INTERPOLATIONS, Taps, placed
from fovea.measurement.receptive import regridded, resampled
from fovea.measurement.rules import ATTENTION, FACTORS, POOLINGS, Sliding, base, windows

Places = tuple[Place, ...]
Change = Callable[[Place], Place]
Reads = Callable[[int, int, int], Sequence[int]]
"""Given unit i, the size before and the size after: the units that it depends on, in order."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One operation as it ran."""

    name: str
    tags: frozenset[str]
    """`pointwise`, `reduction`, `inplace`, `view`, as PyTorch has it."""
    given: Mapping[str, Any]
    """Its arguments by their names in PyTorch's schema, defaults left out."""
    shapes: Mapping[str, Any]
    """The same, with each tensor as its shape."""
    inputs: Sequence[Tensor]
    seen: Sequence[tuple[Tensor, Places]]
    """Those of its tensors that depend on the network's input, and what their units see."""
    outputs: Sequence[Tensor]


Rule = Callable[[Call], State]


def flow(call: Call) -> list[State]:
    """Return what the units of each output see."""
    # what these fill in is constant or chance: their units see nothing
    if not call.seen or call.name.endswith("_like") or call.name.startswith(("new_", "bernoulli", "rand", "zero_")):
        return [None] * len(call.outputs)
    if is_view(call):
        source, state = call.seen[0]
        return [_whole([viewed(place, source, output) for place in state]) for output in call.outputs]
    return [_rule(call)(call)] * len(call.outputs)


def is_view(call: Call) -> bool:
    """Say whether it only looks at its tensor in another way, or makes it look so in place, as `transpose_`."""
    return bool(call.tags & {"view", "inplace_view"}) or call.name == "_unsafe_view"  # PyTorch does not tag the latter


def _rule(call: Call) -> Rule:
    if "pointwise" in call.tags or call.name in POINTWISE:
        return _pointwise
    if "reduction" in call.tags:
        return _reduction
    return RULES.get(base(call.name), _unknown)


def _unknown(call: Call) -> Lost:
    return Lost(f"no rule for the operation `{call.name}`")


def _whole(places: Sequence[Place | Lost]) -> State:
    """Return the state of these places, or the first reason why there is none."""
    lost = [place for place in places if isinstance(place, Lost)]
    return lost[0] if lost else tuple(place for place in places if isinstance(place, Place))


def _union(states: Sequence[Places]) -> Places:
    return reduce(lambda a, b: tuple(map(joined, a, b)), states)


def _pointwise(call: Call) -> State:
    shape = call.outputs[0].shape
    return _union([broadcast(state, tensor.shape, shape) for tensor, state in call.seen])


def _dims(value: Any, ndim: int) -> set[int]:
    """Return the dimensions that an argument `dim` names: one, several, or for None and an empty list all."""
    values = value if isinstance(value, list | tuple) else [] if value is None else [value]
    return {dim % ndim for dim in values} if values and ndim else set(range(ndim))


def _reduction(call: Call) -> State:
    tensor, state = call.seen[0]
    dims = _dims(call.given.get("dim"), tensor.ndim)

    def reduced(place: Place) -> Place:
        if place.dim is None or call.given.get("keepdim") and place.dim not in dims:
            return place
        if place.dim in dims:
            return pooled(place)
        # each dimension that goes from before it moves it one to the front
        return replace(place, dim=place.dim - sum(dim < place.dim for dim in dims))

    return each(state, reduced)


def _mixing(dims_of: Callable[[Call, int], set[int]]) -> Rule:
    """Return the rule of an operation whose units stay in place, and depend on all units along some dimensions."""

    def rule(call: Call) -> State:
        tensor, state = call.seen[0]
        dims = dims_of(call, tensor.ndim)
        return each(state, lambda place: mixed(place) if place.dim in dims else place)

    return rule


def _batch_norm_dims(call: Call, ndim: int) -> set[int]:
    """None with stored statistics; where a batch or instance norm takes those of the map, all but the channels."""
    return set(range(ndim)) - {1} if call.given.get("training") else set()


def _along(call: Call, changes: Mapping[int, Change], *, summed: int | None = None) -> State:
    """Return the state after some dimensions have been changed, and one `summed` over."""
    tensor, state = call.seen[0]

    def changed(place: Place) -> Place | Lost:
        if place.dim is None or place.dim not in changes:
            return pooled(place) if place.dim is not None and place.dim == summed else place
        # where `dim` holds more than this axis, steps along it are not steps along the axis
        if place.inner > 1 or place.axis.count != tensor.shape[place.dim]:
            return Lost(f"`{call.name}` along flattened rows and columns")
        after = changes[place.dim](place)
        return replace(after, dim=None) if after.axis.count == 1 else after

    return _whole([changed(place) for place in state])


def _slide(place: Place, *, sliding: Sliding, count: int) -> Place:
    first, last = -sliding.padding, sliding.extent - 1 - sliding.padding
    axis = resampled(place.axis, count, scale=sliding.stride, first=first, last=last, step=sliding.dilation)
    return replace(place, axis=axis, steps=stepped(place.steps, sliding.add, sliding.stride))


def _window(call: Call) -> State:
    """Slide the windows of a convolution or pooling; a convolution sums over the channels before them."""
    slidings = windows(call.name, call.shapes)
    if slidings is None:
        return _transposed(call)
    first = call.seen[0][0].ndim - len(slidings)
    changes: dict[int, Change] = {
        first + i: partial(_slide, sliding=sliding, count=call.outputs[0].shape[first - call.seen[0][0].ndim + i])
        for i, sliding in enumerate(slidings)
        if sliding[:3] != (1, 1, 0)  # kernel, stride, padding: a window of one pixel changes no field
    }
    state = _along(call, changes, summed=first - 1 if call.name == "convolution" else None)
    return _with_other_inputs(call, state)


def _transposed(call: Call) -> State:
    """Input i reaches the outputs from i stride - padding on, `dilation` apart."""
    kernel, ndim = call.shapes["weight"][2:], call.seen[0][0].ndim
    changes: dict[int, Change] = {}
    for i, size in enumerate(kernel, start=-len(kernel)):
        stride, padding, dilation = (call.given[key][i] for key in ("stride", "padding", "dilation"))
        reads = [_spread(o + padding, size, stride, dilation) for o in range(call.outputs[0].shape[i])]
        changes[ndim + i] = partial(_regrid, reads=reads, scale=1 / stride)
    return _with_other_inputs(call, _along(call, changes, summed=ndim - len(kernel) - 1))


def _spread(position: int, kernel: int, stride: int, dilation: int) -> list[int]:
    """Return the inputs i with i stride + dilation k = position for a k of the kernel."""
    offsets = (position - dilation * k for k in reversed(range(kernel)))
    return [offset // stride for offset in offsets if offset % stride == 0]


def _regrid(place: Place, *, reads: Sequence[Sequence[int]], scale: float) -> Place:
    # no `steps`: the size after is not (n + add) // stride of the size before
    return replace(place, axis=regridded(place.axis, reads, scale=scale), steps=None)


def _resizing(axes: int, reads: Reads) -> Rule:
    """Return the rule of an operation that resizes the last `axes` dimensions, each map by itself."""

    def rule(call: Call) -> State:
        ndim, after = call.seen[0][0].ndim, call.outputs[0].shape
        changes: dict[int, Change] = {}
        for dim in range(ndim - axes, ndim):
            size, out = call.seen[0][0].shape[dim], after[dim]
            found = [reads(i, size, out) for i in range(out)]
            changes[dim] = partial(_regrid, reads=found, scale=size / out)
        return _along(call, changes)

    return rule


def _binned(i: int, size: int, out: int) -> Sequence[int]:
    """Adaptive pooling: from floor(i size / out) up to ceil((i + 1) size / out)."""
    return range(i * size // out, -(-(i + 1) * size // out))


def _interpolated(call: Call, *, taps: Taps, axes: int) -> State:
    """Resize the last dimensions between neighbours, placed as PyTorch places them."""
    ndim, changes = call.seen[0][0].ndim, dict[int, Change]()
    for axis, dim in enumerate(range(ndim - axes, ndim)):
        size, out = call.seen[0][0].shape[dim], call.outputs[0].shape[dim]
        placing = placed(call.given, axis, axes=axes, size=size, out=out)
        reads = [taps(i, placing) for i in range(out)]
        changes[dim] = partial(_regrid, reads=reads, scale=size / out)
    return _along(call, changes)


def _padded(call: Call) -> State:
    """Return the state after padding, given as (before, after) from the last dimension on."""
    # constant_pad_nd says `pad`, the others `padding`; what those reflect or repeat counts as padding, unclipped
    pad = call.given.get("pad") or call.given["padding"]
    changes: dict[int, Change] = {}
    for i in range(0, len(pad), 2):
        if pad[i] or pad[i + 1]:
            changes[call.outputs[0].ndim - 1 - i // 2] = partial(_shift, before=pad[i], more=pad[i] + pad[i + 1])
    return _along(call, changes)


def _shift(place: Place, *, before: int, more: int) -> Place:
    axis = resampled(place.axis, place.axis.count + more, scale=1, first=-before, last=-before)
    return replace(place, axis=axis, steps=stepped(place.steps, more, 1))


def _product(call: Call) -> State:
    """Rows of the first factor stay rows, columns of the second stay columns; what they share is summed over."""
    # (..., rows, shared) and (..., shared, columns), or of a vector (shared,)
    left, right = (call.given[name] for name in FACTORS[base(call.name)])
    shape = call.outputs[0].shape
    states: list[Places] = []
    for tensor, state in call.seen:
        shared = left.ndim - 1 if tensor is left else max(right.ndim - 2, 0) if tensor is right else None
        # a third tensor, the bias of addmm, shares no dimension: it is broadcast
        summed = each(state, partial(_pool_at, dims={shared}))
        states.append(summed if tensor is left or tensor is right else broadcast(summed, tensor.shape, shape))
    return _union(states)


def _summed_product(call: Call) -> State:
    """Return the state of the sum over a batch of products: (B, rows, shared) and (B, shared, columns)."""
    left, right, shape = call.given["batch1"], call.given["batch2"], call.outputs[0].shape
    states: list[Places] = []
    for tensor, state in call.seen:
        if tensor is left or tensor is right:
            summed = each(state, partial(_pool_at, dims={0, 2 if tensor is left else 1}))
            states.append(each(summed, lambda p: p if p.dim is None else replace(p, dim=p.dim - 1)))
        else:
            states.append(broadcast(state, tensor.shape, shape))
    return _union(states)


def _trilinear(call: Call) -> State:
    """Return the state of a bilinear layer, whose rows stay and whose features are summed over."""
    # the second of its three tensors is the weight, which has no rows of the batch
    return _union(
        [
            each(state, pooled if tensor is call.given["i2"] else lambda p: p if p.dim == 0 else pooled(p))
            for tensor, state in call.seen
        ]
    )


def _attention(call: Call) -> State:
    """Queries stay where they are; all keys and values are summed over."""
    query = call.given["query"]
    # (..., positions, channels)
    positions = {query.ndim - 2, query.ndim - 1}
    return _union(
        [state if tensor is query else each(state, partial(_pool_at, dims=positions)) for tensor, state in call.seen]
    )


def _pool_at(place: Place, *, dims: set[int | None]) -> Place:
    return pooled(place) if place.dim is not None and place.dim in dims else place


def _concatenated(call: Call) -> State:
    dim = call.given.get("dim", 0) % call.outputs[0].ndim
    stacked = call.name == "stack"

    def shifted(place: Place) -> Place | Lost:
        if place.dim is None or place.dim < dim:
            return place
        if stacked:
            return replace(place, dim=place.dim + 1)
        return Lost("rows or columns are concatenated") if place.dim == dim else place

    states = [_whole([shifted(place) for place in state]) for _, state in call.seen]
    lost = [state for state in states if isinstance(state, Lost)]
    return lost[0] if lost else _union([state for state in states if isinstance(state, tuple)])


def _shuffled(i: int, size: int, out: int) -> Sequence[int]:
    """Pixels that become channels, or channels that become pixels."""
    return range(i * size // out, max(i * size // out, (i + 1) * size // out - 1) + 1)


def _indexed(call: Call) -> State:
    """Return the state after channels have been picked by a list of indices: `x[:, [2, 0, 1]]`."""
    named = [(dim, index.ndim) for dim, index in enumerate(call.given["indices"]) if index is not None]
    if len(named) > 1:
        return Lost("several dimensions are indexed together")
    ((at, ndim),) = named

    def picked(place: Place) -> Place | Lost:
        if place.dim is None or place.dim < at:
            return place
        return Lost("rows or columns are indexed") if place.dim == at else replace(place, dim=place.dim + ndim - 1)

    return _whole([picked(place) for place in call.seen[0][1]])


def _with_other_inputs(call: Call, state: State) -> State:
    """Return the state of units that depend on all units of the other tensors too: weights made from the input."""
    if isinstance(state, tuple):
        for _, other in call.seen[1:]:
            state = tuple(map(joined, state, each(other, pooled)))
    return state


POINTWISE = {
    *("hardswish", "hardswish_", "_prelu_kernel", "native_dropout", "_to_copy", "copy_", "masked_fill", "where"),
    *("log_sigmoid_forward", "fill_", "rsub"),
}
"""Operations element by element that PyTorch does not tag so."""

RULES: dict[str, Rule] = {
    **dict.fromkeys(("convolution", *POOLINGS), _window),
    **dict.fromkeys(FACTORS, _product),
    **dict.fromkeys(ATTENTION, _attention),
    "addbmm": _summed_product,
    "_trilinear": _trilinear,
    **dict.fromkeys(("cat", "stack"), _concatenated),
    "index": _indexed,
    "constant_pad_nd": _padded,
    **{f"{kind}_pad{axes}d": _padded for kind in ("reflection", "replication") for axes in (1, 2, 3)},
    **dict.fromkeys(("native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm"), _mixing(_batch_norm_dims)),
    "native_layer_norm": _mixing(lambda call, ndim: set(range(ndim - len(call.given["normalized_shape"]), ndim))),
    "native_group_norm": _mixing(lambda call, ndim: set(range(1, ndim))),
    **dict.fromkeys(
        ("_softmax", "_log_softmax", "_safe_softmax", "cumsum"),
        _mixing(lambda call, ndim: _dims(call.given["dim"], ndim)),
    ),
    **{
        f"{kind}adaptive_{pool}_pool{axes}d": _resizing(axes, _binned)
        for axes in (2, 3)
        for kind, pool in (("_", "avg"), ("", "max"))
    },
    **{name: partial(_interpolated, taps=taps, axes=axes) for name, (axes, taps) in INTERPOLATIONS.items()},
    **dict.fromkeys(("pixel_shuffle", "pixel_unshuffle"), _resizing(2, _shuffled)),
}
