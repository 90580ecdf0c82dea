"""Line charts as plain numbers; `figures.html` makes SVG of them, in the colours of the page, light or dark."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

WIDTH, HEIGHT = 480, 270
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 12, 40
"""Room around the plot, in the units of the view box."""
RADIUS = 2.6
DOTS = 60
"""Points of a longer line are not marked one by one."""
TABLED = 200
"""Rows of a chart's table; of more, so many are shown, evenly spaced."""
HEADROOM = 0.04
"""What an axis of per cent leaves free above 100, as a share of its length."""

Point = tuple[float, float]


class Line(NamedTuple):
    """A named line through points (x, y)."""

    name: str
    points: Sequence[Point]
    notes: Sequence[str] = ()
    """What to show when a point is pointed at; its coordinates where not given."""
    sizes: Sequence[float] = ()
    """Radius of each point, where they differ."""
    spread: Sequence[tuple[float, float]] = ()
    """The lowest and the highest y of each point, drawn as a band behind the line."""


class Tick(NamedTuple):
    """A mark on an axis: where, and what it says."""

    at: float
    label: str


class Dot(NamedTuple):
    """A point that shows its note when pointed at."""

    x: float
    y: float
    note: str
    radius: float


class DrawnLine(NamedTuple):
    """A line in the units of the view box."""

    name: str
    path: str
    dots: list[Dot]
    band: str
    """The outline of its spread, empty without one."""


class Values(NamedTuple):
    """The points of a chart as a table."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    left_out: int
    """Rows that are not shown, since there are too many."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """The range of an axis and how it is divided."""

    label: str
    low: float
    high: float
    log: bool = False
    headroom: float = 0.0
    """Room above `high`, as a share of the length below it."""

    @classmethod
    def percent(cls, label: str) -> "Axis":
        """Return the axis from 0 to 100 %, with room above 100."""
        return cls(label=label, low=0.0, high=100.0, headroom=HEADROOM)

    @classmethod
    def over(cls, label: str, values: Iterable[float], *, log: bool = False, zero: bool = False) -> "Axis":
        """Return the axis that holds all `values`, and 0 with `zero`; with `log` whole powers of ten."""
        found = [value for value in values if math.isfinite(value) and (value > 0 or not log)] or [1.0]
        low, high = min(found), max(found)
        if log:
            low, high = 10.0 ** math.floor(math.log10(low)), 10.0 ** math.ceil(math.log10(high))
            return cls(label=label, low=low, high=high if high > low else 10 * low, log=True)
        low, high = (min(low, 0.0), max(high, 0.0)) if zero else (low, high)
        return cls(label=label, low=low, high=high if high > low else low + (abs(low) or 1.0))

    def from_mark(self) -> "Axis":
        """Return the axis that begins at the mark at its low end or below it."""
        return replace(self, low=math.floor(self.low / self.step + 1e-9) * self.step)

    def share(self, value: float) -> float:
        """Return where `value` lies between the ends, as 0..1."""
        if self.log:
            low, high, value = math.log10(self.low), math.log10(self.high), math.log10(max(value, self.low))
            return (value - low) / (high - low)
        return (value - self.low) / (self.high - self.low) / (1 + self.headroom)

    @property
    def step(self) -> float:
        """The distance of the marks of a linear axis: 1, 2 or 5 times a power of ten."""
        rough = (self.high - self.low) / 5
        unit = 10.0 ** math.floor(math.log10(rough))
        return next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough * (1 - 1e-9))

    @property
    def marks(self) -> list[float]:
        """Round values between the ends: powers of ten, or multiples of 1, 2 or 5 times one."""
        if self.log:
            low, high = round(math.log10(self.low)), round(math.log10(self.high))
            return [10.0**power for power in range(low, high + 1, math.ceil((high - low) / 6))]
        step = self.step
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Lines over two axes, and between the first and the last of them a band where `banded`."""

    title: str
    lines: Sequence[Line]
    x: Axis
    y: Axis
    banded: bool = False
    mark: float | None = None
    """An x to be marked with a vertical line."""
    levels: Sequence[float] = ()
    """Values of y to be marked with horizontal lines."""
    diagonal: bool = False
    """Whether a line from corner to corner is drawn."""
    bars: Sequence[tuple[float, float, float]] = ()
    """(from x, to x, height) of bars behind the lines."""

    @property
    def cut(self) -> bool:
        """Whether y begins above 0, so that heights cannot be compared."""
        return not self.y.log and not self.diagonal and self.y.low > 0

    @property
    def drawn(self) -> list[DrawnLine]:
        """The lines that have points."""
        return [self._drawn(line) for line in self.lines if line.points]

    @property
    def band(self) -> str:
        """The outline of the band."""
        around = [*self.lines[0].points, *reversed(self.lines[-1].points)]
        return _path([self.place(point) for point in around]) + "Z"

    @property
    def boxes(self) -> list[tuple[float, float, float, float]]:
        """The bars as (x, y, width, height)."""
        corners = [(self.place((a, h)), self.place((b, self.y.low))) for a, b, h in self.bars]
        return [(x, y, round(x2 - x, 1), round(y2 - y, 1)) for (x, y), (x2, y2) in corners]

    @property
    def marked_levels(self) -> list[float]:
        """Where the levels lie in the view box."""
        return [self.place((self.x.low, level))[1] for level in self.levels]

    @property
    def x_ticks(self) -> list[Tick]:
        """The marks of the x axis."""
        return [Tick(self.place((value, self.y.low))[0], f"{value:g}") for value in self.x.marks]

    @property
    def y_ticks(self) -> list[Tick]:
        """The marks of the y axis."""
        return [Tick(self.place((self.x.low, value))[1], f"{value:g}") for value in self.y.marks]

    def values(self, points: Sequence[Point] = ()) -> Values:
        """Return all points as a table, a row for each x and a column for each line; `points` are those of no line."""
        lines = [line for line in self.lines if line.points]
        found: dict[float, list[str]] = {}
        for index, line in enumerate(lines):
            notes = line.notes or [f"{y:.4g}" for _, y in line.points]
            for (x, _), note in zip(line.points, notes, strict=True):
                found.setdefault(x, [""] * len(lines))[index] = note
        rows = [[f"{x:.4g}", *found[x]] for x in sorted(found)] + [[f"{x:.4g}", f"{y:.4g}"] for x, y in points]
        step = -(-len(rows) // TABLED) or 1
        columns = [line.name for line in lines] or [self.y.label or self.title]
        return Values([self.x.label or "x", *columns], rows[::step], len(rows) - len(rows[::step]))

    def place(self, point: Point) -> Point:
        """Return where a point lies in the view box."""
        x = LEFT + self.x.share(point[0]) * (WIDTH - LEFT - RIGHT)
        y = HEIGHT - BOTTOM - self.y.share(point[1]) * (HEIGHT - TOP - BOTTOM)
        return round(x, 1), round(min(max(y, 0.0), HEIGHT), 1)

    def _drawn(self, line: Line) -> DrawnLine:
        places = [self.place(point) for point in line.points]
        dots = self._dots(line, places) if len(places) <= DOTS else []
        return DrawnLine(line.name, _path(places), dots, self._band(line))

    def _dots(self, line: Line, places: Sequence[Point]) -> list[Dot]:
        notes = line.notes or [f"{line.name}: {y:.4g} at {x:.4g}" for x, y in line.points]
        sizes = line.sizes or [RADIUS] * len(places)
        return [Dot(*place, note, round(size, 1)) for place, note, size in zip(places, notes, sizes, strict=True)]

    def _band(self, line: Line) -> str:
        if not line.spread:
            return ""
        xs = [x for x, _ in line.points]
        low, high = ([(x, ends[side]) for x, ends in zip(xs, line.spread, strict=True)] for side in (0, 1))
        return _path([self.place(point) for point in [*low, *reversed(high)]]) + "Z"


def _path(places: Iterable[Point]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in places)
