"""Receptive fields, one axis of the input at a time: which pixels a unit depends on, as size, jump and start."""

from dataclasses import dataclass
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
        lo, hi = self.lo + index * self.jump, self.hi + index * self.jump
        return (lo, hi) if self.everywhere is None else (min(lo, self.everywhere[0]), max(hi, self.everywhere[1]))

    @property
    def size(self) -> float:
        """Pixels that the unit in the middle sees."""
        lo, hi = self.unit(self.count // 2)
        return hi - lo

    @property
    def start(self) -> float:
        """Centre of what unit 0 sees; the first pixel of the input has the centre 0.5."""
        return (self.lo + self.hi) / 2

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"size": self.size, "jump": self.jump, "start": self.start, "count": self.count}
