"""What a live picture is made of, and the table of their kinds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from fovea.errors import UsageError
from fovea.report.charts import Chart
from fovea.report.page import render

Settings = Mapping[str, str]


class Cell(NamedTuple):
    """A cell of a small grid."""

    text: str
    shade: float = 0.0
    """From -1 to 1: how blue or red it is."""
    group: int = 0
    """Cells of one group, counted from 1, have one colour; 0 is none."""


class Row(NamedTuple):
    """A row of a table."""

    cells: Sequence[str]
    share: float = 0.0
    """Of the bar at its end, 0..1."""


class Stack(NamedTuple):
    """Layers of units over one axis, and which units of a layer one reads."""

    units: Sequence[Sequence[tuple[float, bool]]]
    """Of each layer, input first: (place, whether the unit counts)."""
    edges: Sequence[tuple[int, float, float]]
    """(layer, place of the unit, place of a unit in the layer before that it reads)."""
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A picture with what it says in words; one of its parts is given, or several."""

    words: str
    """For those who do not see it, and below it for those who do."""
    chart: Chart | None = None
    grids: Sequence[tuple[str, Sequence[Sequence[Cell]]]] = ()
    """(title, rows of cells)."""
    head: Sequence[str] = ()
    """The columns of the table; the first is text, the last has a bar beside it."""
    rows: Sequence[Row] = ()
    stack: Stack | None = None
    photographs: Sequence[tuple[str, str]] = field(default=())
    """(title, address that holds the picture)."""

    def html(self) -> str:
        """Return it as HTML, with SVG inside; texts are escaped."""
        return render("lesson.html", drawn=self)


Kind = TypeVar("Kind", bound=Callable[[Settings], Drawn])
_KINDS: dict[str, Callable[[Settings], Drawn]] = {}


def kind(name: str) -> Callable[[Kind], Kind]:
    """Return a decorator that makes a function of settings known as a kind of picture."""

    def add(function: Kind) -> Kind:
        _KINDS[name] = function
        return function

    return add


def drawn(name: str, settings: Settings) -> Drawn:
    """Return a picture of a kind.

    Raises:
        UsageError: there is no such kind, or a setting that it does not know.
    """
    if name not in _KINDS:
        raise UsageError(f"There is no kind of picture `{name}`; the kinds are {', '.join(sorted(_KINDS))}.")
    try:
        return _KINDS[name](settings)
    except (KeyError, ValueError) as error:
        raise UsageError(f"The picture `{name}` cannot show {dict(settings)}: {error}") from None
