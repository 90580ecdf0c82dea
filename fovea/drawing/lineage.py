"""The picture of `fovea models --tree --plot`: families by year, and from which others they descend."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from matplotlib.patheffects import withStroke

from fovea.drawing.style import BLUE, INK, LINE, SOFT
from fovea.zoo.families import Line

YEARS_BEFORE, DENSE = 0.16, 2012
"""Width of a year before the years in which many families came, and the first of these; each of them is 1 wide."""
STEP = 0.28
"""How far right of its parent a family of the same year stands."""
ROW_INCHES, YEAR_INCHES = 0.25, 0.78
TEXT_YEARS = 4.4
"""Room for the text behind the last point."""

Places = Mapping[str, tuple[float, float]]


def lineage_figure(lines: Sequence[Line]) -> Figure:
    """Return the tree: a row for each family, its point at its year; thin lines come from further parents."""
    places = _places(lines)
    xs = [x for x, _ in places.values()]
    low, high = min(xs) - 0.4, max(xs) + TEXT_YEARS
    figure = Figure(figsize=(max(6.0, (high - low) * YEAR_INCHES), len(lines) * ROW_INCHES + 0.6), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(low, high), ylim=(len(lines) + 0.2, -2.0))
    axes.set_axis_off()
    _draw_years(axes, {line.year for line in lines}, rows=len(lines))
    for line in lines:
        _draw_family(axes, line, places)
    return figure


def _across(year: int) -> float:
    """Return where a year lies, the years before `DENSE` closer together."""
    return float(year - DENSE) if year >= DENSE else (year - DENSE) * YEARS_BEFORE


def _places(lines: Sequence[Line]) -> Places:
    """Return the point of each family; of the same year, a child is right of its parent."""
    places: dict[str, tuple[float, float]] = {}
    for row, line in enumerate(lines):
        x = _across(line.year)
        if line.descends_from:
            x = max(x, places[line.descends_from[0]][0] + STEP)
        places[line.name] = (x, float(row))
    return places


def _draw_years(axes: Axes, years: set[int], *, rows: int) -> None:
    for year in sorted(years):
        x = _across(year)
        axes.plot([x, x], [-0.9, rows], color=LINE, linewidth=0.4, zorder=0)
        axes.text(x, -1.2, str(year), size=7, color=SOFT, ha="center", va="center", rotation=45)


def _draw_family(axes: Axes, line: Line, places: Places) -> None:
    x, y = places[line.name]
    for index, parent in enumerate(line.descends_from):
        above, row = places[parent]
        if index == 0:
            axes.plot([above, above, x], [row, y, y], color=INK, linewidth=0.9, solid_joinstyle="round", zorder=1)
            continue
        bend = f"arc3,rad={0.12 if row < y else -0.12}"
        axes.add_patch(
            FancyArrowPatch(
                *((above, row), (x, y)),
                arrowstyle="-",
                connectionstyle=bend,
                color=BLUE,
                linewidth=0.6,
                alpha=0.5,
                zorder=1,
            )
        )
    axes.plot(x, y, "o", markersize=5, color=BLUE if line.networks else "white", markeredgecolor=BLUE, zorder=3)
    title = axes.annotate(
        line.title, (x, y), (7, 0), textcoords="offset points", size=8, color=INK, weight="bold", va="center"
    )
    adds = axes.annotate(
        line.adds, (1, 0), (5, 0), xycoords=title, textcoords="offset points", size=7, color=SOFT, va="bottom"
    )
    # not the title: drawn so, it is wider than what `adds` is placed behind
    adds.set_path_effects([withStroke(linewidth=2, foreground="white")])
