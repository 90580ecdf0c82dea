"""Receptive fields, one axis of the input at a time: which pixels a unit depends on, as size, jump and start.

The book-keeping by hand of lecture 002: what one layer's units see of its input, put through what that input's
units see of the image.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

Interval = tuple[float, float]
"""Pixels from the first up to, but not including, the second; pixel i covers (i, i + 1)."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """The field along one axis of the input: unit i sees the pixels lo + i jump up to hi + i jump, and `everywhere`.

    >>> Axis(lo=-3, hi=4, jump=2, count=128).unit(1)  # 7x7 with stride 2 and padding 3
    (-1, 6)
    """

    lo: float
    hi: float
    """What unit 0 sees, unclipped: padding counts as pixels."""
    jump: float
    """Pixels from one unit to the next; 0 where all units see the same."""
    count: int
    """Units along the axis."""
    everywhere: Interval | None = None
    """What every unit sees besides, wherever it is: through a global pooling whose result comes back to the map."""
    own: tuple[Interval, ...] | None = None
    """What each unit sees of its own, where no one `lo` + i `jump` says it: behind resizing. Empty as (x, x)."""

    dim: int | None = field(default=None, compare=False)
    """The dimension of the tensor along which the units lie; None if all see the same, or it is none alone."""

    def unit(self, index: int) -> Interval:
        """Return the pixels that unit `index` sees, unclipped."""
        own = self.alone(index)
        return own if self.everywhere is None else hull(own, self.everywhere)

    def alone(self, index: int) -> Interval:
        """Return the pixels that unit `index` sees of its own; one in the padding is as far from the last as jumps."""
        if self.own is None:
            return (self.lo + index * self.jump, self.hi + index * self.jump)
        nearest = min(max(index, 0), self.count - 1)
        low, high = self.own[nearest]
        beyond = (index - nearest) * self.jump
        return low + beyond, high + beyond

    @property
    def size(self) -> float:
        """Pixels that the unit in the middle sees."""
        lo, hi = self.unit(self.count // 2)  # with `everywhere`, units at the border see more
        return hi - lo

    @property
    def start(self) -> float:
        """Centre of what unit 0 sees of its own; the first pixel of the input has the centre 0.5."""
        return (self.lo + self.hi) / 2

    @property
    def span(self) -> Interval:
        """The pixels that all units see together, unclipped."""
        if self.own is not None:
            return hull(*map(self.unit, range(self.count)))
        return hull(self.unit(0), self.unit(self.count - 1))

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"size": self.size, "jump": self.jump, "start": self.start, "everywhere": self.everywhere}


def pixels(count: int) -> Axis:
    """Return the axis of the input itself: each unit sees its own pixel."""
    return Axis(lo=0.0, hi=1.0, jump=1.0, count=count)


def hull(*intervals: Interval) -> Interval:
    """Return the smallest interval that holds all of these; empty ones hold nothing.

    >>> hull((0, 2), (5, 6), (9, 9))
    (0, 6)
    """
    full = [(low, high) for low, high in intervals if low < high]
    return (min(low for low, _ in full), max(high for _, high in full)) if full else intervals[0]


def resampled(axis: Axis, count: int, *, scale: float, first: float, last: float, step: int = 1) -> Axis:
    """Return the axis of a layer whose unit i depends on the units from i scale + first to i scale + last of `axis`.

    A convolution has the scale `stride`, first = -padding and last = dilation (kernel - 1) - padding; of the units
    between, it reads those `step` = dilation apart.
    """
    lo, hi = axis.lo + first * axis.jump, axis.hi + last * axis.jump
    regular = replace(axis, lo=lo, hi=hi, jump=axis.jump * scale, count=count, own=None)
    if axis.own is None:
        return regular
    places = range(int(first), int(last) + 1, step)
    return replace(regular, own=tuple(hull(*(axis.alone(int(i * scale) + at) for at in places)) for i in range(count)))


def regridded(axis: Axis, reads: Sequence[Sequence[int]], *, scale: float) -> Axis:
    """Return the axis of a layer whose unit i depends on the units `reads[i]`, in order, of `axis`, about i scale.

    Where they do not lie so evenly (resizing, adaptive pooling) each unit has a field of its own, from the units that
    there are; `lo` and `hi` then hold the widest of all.
    """
    found = [(units[0] - i * scale, units[-1] - i * scale) for i, units in enumerate(reads) if units]
    first, last = min((low for low, _ in found), default=0), max((high for _, high in found), default=0)
    even = len(found) == len(reads) and all(pair == found[0] for pair in found)
    regular = resampled(replace(axis, own=None), len(reads), scale=scale, first=first, last=last)
    if even and axis.own is None:
        return regular
    inside = ([unit for unit in units if 0 <= unit < axis.count] for units in reads)
    nothing = (axis.lo, axis.lo)
    return replace(regular, own=tuple(hull(nothing, *map(axis.alone, units)) for units in inside))


def collapsed(axis: Axis) -> Axis:
    """Return the axis of a layer whose every unit depends on all units of `axis`."""
    lo, hi = axis.span  # holds `everywhere`
    return Axis(lo=lo, hi=hi, jump=0.0, count=1)


def beside(axis: Axis, seen: Interval) -> Axis:
    """Return the axis whose units see `seen` as well."""
    return replace(axis, everywhere=seen if axis.everywhere is None else hull(axis.everywhere, seen))


def united(a: Axis, b: Axis) -> Axis:
    """Return the axis of units that depend on the unit of the same index in `a` and in `b`."""
    uneven = a.own is not None or b.own is not None
    # with unlike jumps no one lo + i jump holds both; where units have no fields of their own either, each gets all
    # that `b` sees
    if (a.jump != b.jump and not uneven) or a.count != b.count:
        return beside(a, b.span)
    lo, hi = hull((a.lo, a.hi), (b.lo, b.hi))
    own = tuple(hull(a.alone(i), b.alone(i)) for i in range(a.count)) if uneven else None
    both = replace(a, lo=lo, hi=hi, own=own)
    return both if b.everywhere is None else beside(both, b.everywhere)
