"""Receptive fields, one axis of the input at a time: which pixels a unit depends on, as size, jump and start.

The book-keeping by hand of lecture 002: what one layer's units see of its input, put through what that input's
units see of the image.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
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

    def unit(self, index: int) -> Interval:
        """Return the pixels that unit `index` sees, unclipped."""
        own = (self.lo + index * self.jump, self.hi + index * self.jump)
        return own if self.everywhere is None else hull(own, self.everywhere)

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
        return hull(self.unit(0), self.unit(self.count - 1))

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"size": self.size, "jump": self.jump, "start": self.start, "everywhere": self.everywhere}


def pixels(count: int) -> Axis:
    """Return the axis of the input itself: each unit sees its own pixel."""
    return Axis(lo=0.0, hi=1.0, jump=1.0, count=count)


def hull(a: Interval, b: Interval) -> Interval:
    """Return the smallest interval that holds both."""
    return min(a[0], b[0]), max(a[1], b[1])


def resampled(axis: Axis, count: int, *, scale: float, first: float, last: float) -> Axis:
    """Return the axis of a layer whose unit i depends on the units from i scale + first to i scale + last of `axis`.

    A convolution has the scale `stride`, first = -padding and last = dilation (kernel - 1) - padding.
    """
    lo, hi = axis.lo + first * axis.jump, axis.hi + last * axis.jump
    return replace(axis, lo=lo, hi=hi, jump=axis.jump * scale, count=count)


def regridded(axis: Axis, reads: Sequence[tuple[int, int]], *, scale: float) -> Axis:
    """Return the axis of a layer whose unit i depends on the units `reads[i]`, first and last, of `axis`.

    They lie `scale` apart on average; where not exactly (resizing, adaptive pooling) every unit gets the widest of all.
    """
    # by the widest, so that no pixel is left out that some unit depends on
    first = min(low - i * scale for i, (low, _) in enumerate(reads))
    last = max(high - i * scale for i, (_, high) in enumerate(reads))
    return resampled(axis, len(reads), scale=scale, first=first, last=last)


def collapsed(axis: Axis) -> Axis:
    """Return the axis of a layer whose every unit depends on all units of `axis`."""
    lo, hi = axis.span  # holds `everywhere`
    return Axis(lo=lo, hi=hi, jump=0.0, count=1)


def beside(axis: Axis, seen: Interval) -> Axis:
    """Return the axis whose units see `seen` as well."""
    return replace(axis, everywhere=seen if axis.everywhere is None else hull(axis.everywhere, seen))


def united(a: Axis, b: Axis) -> Axis:
    """Return the axis of units that depend on the unit of the same index in `a` and in `b`."""
    # with unlike jumps no one lo + i jump holds both: then every unit gets all that `b` sees
    if a.jump != b.jump:
        return beside(a, b.span)
    lo, hi = hull((a.lo, a.hi), (b.lo, b.hi))
    both = replace(a, lo=lo, hi=hi)
    return both if b.everywhere is None else beside(both, b.everywhere)
