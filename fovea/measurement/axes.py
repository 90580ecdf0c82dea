"""Where the axes of the input lie in a tensor: which dimension each runs along, through views and reshapes too.

Tensors are of any shape and dtype; none of their values is looked at.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from fovea.measurement.receptive import Axis, beside, collapsed, resampled, united

Steps = tuple[tuple[int, int], ...]
"""How the size of an axis follows from that of the input: each (add, stride) turns n into (n + add) // stride."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """One axis of the input in a tensor: unit i is at the indices of `dim` with index // inner % count = i."""

    axis: Axis
    dim: int | None
    """None if all units of the tensor see the same, or there is one only."""
    inner: int = 1
    """More than 1 where `dim` is flattened and other dimensions follow this axis in it."""
    steps: Steps | None = ()
    """None if its size does not follow from that of the input."""


@dataclass(frozen=True)
class Lost:
    """A tensor that depends on the input in a way that is not followed."""

    reason: str


State = tuple[Place, ...] | Lost | None
"""What a tensor's units see, a `Place` for each axis of the input; None if it does not depend on the input."""


def each(state: tuple[Place, ...], change: Callable[[Place], Place]) -> tuple[Place, ...]:
    """Return the state with every place changed."""
    return tuple(change(place) for place in state)


def pooled(place: Place) -> Place:
    """Return the place of a unit that depends on all units along the axis."""
    return replace(place, axis=collapsed(place.axis), dim=None, inner=1, steps=None)


def mixed(place: Place) -> Place:
    """Return the place of units that depend, each, on all units along the axis, but stay where they are."""
    return replace(place, axis=beside(place.axis, place.axis.span))


def joined(a: Place, b: Place) -> Place:
    """Return the place of units that depend on those of the same index in both."""
    if a.dim is None and b.dim is not None:
        a, b = b, a
    if (a.dim, a.inner, a.axis.count) == (b.dim, b.inner, b.axis.count):
        return replace(a, axis=united(a.axis, b.axis))
    return replace(a, axis=beside(a.axis, b.axis.span))


def broadcast(state: tuple[Place, ...], shape: Sequence[int], to: Sequence[int]) -> tuple[Place, ...]:
    """Return the state of a tensor of `shape` that is broadcast to the shape `to`."""
    return each(
        state, lambda place: place if place.dim is None else replace(place, dim=place.dim + len(to) - len(shape))
    )


def viewed(place: Place, source: Tensor, result: Tensor) -> Place | Lost:
    """Return the place in `result`, a view of `source`: found by how far apart its units are in memory."""
    if place.dim is None:
        return place
    start = _first_indices(source, result)[place.dim]
    step, count = source.stride(place.dim) * place.inner, place.axis.count
    strides = zip(range(result.ndim), result.stride(), result.shape, strict=True)
    along = [(dim, stride, size) for dim, stride, size in strides if size > 1 and _carries(stride, size, step, count)]
    merged = place.inner > 1 or source.shape[place.dim] != count
    if len(along) > 1 or merged and (start or not along):
        return Lost("a view splits rows or columns")
    if not along:
        return _cut(place, start, every=1, count=1, dim=None)
    ((dim, stride, size),) = along
    if stride <= step and stride * size >= step * count:
        return replace(place, dim=dim, inner=step // stride)
    return _cut(place, start, every=stride // step, count=size, dim=dim)


def _carries(stride: int, size: int, step: int, count: int) -> bool:
    """Say whether a dimension of a view runs along an axis whose `count` units are `step` apart in memory."""
    if 0 < stride <= step:
        return step % stride == 0 and stride * size > step
    return stride % step == 0 and stride < step * count


def _cut(place: Place, start: int, *, every: int, count: int, dim: int | None) -> Place:
    """Return the place of the units `start`, `start + every`, ..., `count` of them."""
    add = count - place.axis.count if every == 1 else every - 1 - start
    axis = resampled(place.axis, count, scale=every, first=start, last=start)
    return replace(place, axis=axis, dim=dim, steps=stepped(place.steps, add, every))


def stepped(steps: Steps | None, add: int, stride: int) -> Steps | None:
    """Return `steps` and one more; steps of stride 1 become part of the next."""
    if steps and steps[-1][1] == 1:
        return (*steps[:-1], (steps[-1][0] + add, stride))
    return None if steps is None else (*steps, (add, stride))


def _first_indices(source: Tensor, result: Tensor) -> list[int]:
    """Return at which index of each dimension of `source` the view begins."""
    offset = int(result.storage_offset() - source.storage_offset())
    indices = [0] * source.ndim
    for dim in sorted(range(source.ndim), key=source.stride, reverse=True):
        if source.stride(dim) and source.shape[dim] > 1:
            indices[dim], offset = divmod(offset, int(source.stride(dim)))
    return indices
