"""The picture of `fovea models --plot`: what accuracy costs, and how the error fell."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator, NullFormatter, StrMethodFormatter
from matplotlib.transforms import Bbox

from fovea.drawing.style import BLUE, INK, LINE, finish
from fovea.registry import Entry

AREA_PER_MILLION = 3.0
"""Square points of a circle per million parameters."""
LEGEND_MILLIONS = (5, 35, 65, 95, 125, 155)
"""As on the slide "Comparing complexity"."""
MIDDLE = 2
"""Pixels around the middle of a circle that stay free of names."""

Place = tuple[tuple[float, float], str, str]
SIDES: tuple[Place, ...] = (
    ((1, 0), "left", "center"),
    ((-1, 0), "right", "center"),
    ((0, 1), "center", "bottom"),
    ((0, -1), "center", "top"),
)
CORNERS: tuple[Place, ...] = (
    ((0.7, 0.7), "left", "bottom"),
    ((0.7, -0.7), "left", "top"),
    ((-0.7, 0.7), "right", "bottom"),
    ((-0.7, -0.7), "right", "top"),
)
"""Where a name may stand: beside its circle or, after all others, at its corners. Direction and alignments."""

Bends = Sequence[tuple[float, float]]
"""Where a line begins, bends and ends; all of it lies along the axes."""


class Mark(NamedTuple):
    """A network as a circle; `radius` in points."""

    name: str
    x: float
    y: float
    radius: float


def complexity_figure(entries: Sequence[Entry]) -> Figure:
    """Return published top-1 accuracy against MACs, circles sized by parameters, above the error by year."""
    figure = Figure(figsize=(10, 12), layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=(3, 2))
    marks = _draw_complexity(upper, entries)
    errors, best = _draw_errors(lower, entries)
    figure.draw_without_rendering()  # settles the layout, so that places on the page are final
    _name(upper, marks)
    _name(lower, errors, best)
    return figure


def _draw_complexity(axes: Axes, entries: Sequence[Entry]) -> list[Mark]:
    marks = [
        Mark(
            entry.name, entry.macs / 1e9, entry.top1, radius=math.sqrt(entry.params / 1e6 * AREA_PER_MILLION / math.pi)
        )
        for entry in entries
        if entry.top1 is not None
    ]
    for mark in marks:
        _draw(axes, mark)
    circles = [axes.scatter([], [], s=m * AREA_PER_MILLION, color=LINE, label=f"{m} M") for m in LEGEND_MILLIONS]
    axes.legend(handles=circles, title="parameters", loc="lower right", frameon=False, labelspacing=1.6, ncols=2)
    axes.set(xscale="log", xlabel="multiply-adds for one image (billions)", ylabel="top-1 accuracy on ImageNet (%)")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    low, high = axes.get_xlim()
    axes.xaxis.set_minor_formatter(StrMethodFormatter("{x:g}") if high < 20 * low else NullFormatter())
    finish(axes, "What accuracy costs, as published")
    return marks


def _draw_errors(axes: Axes, entries: Sequence[Entry]) -> tuple[list[Mark], Bends]:
    """Draw the errors and the line of the best so far; return both."""
    marks = [Mark(entry.name, entry.year, 100 - entry.top5, radius=2.5) for entry in entries if entry.top5 is not None]
    for mark in marks:
        _draw(axes, mark)
    years = sorted({mark.x for mark in marks})
    lowest = [min(mark.y for mark in marks if mark.x <= year) for year in years]
    axes.step(years, lowest, where="post", color=INK, linewidth=1)
    bends = zip(years[1:], lowest, lowest[1:], strict=False)
    corners = [*zip(years[:1], lowest, strict=False), *((x, y) for x, *ys in bends for y in ys)]
    axes.set(xlabel="year of the paper", ylabel="top-5 error on ImageNet (%)", ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    finish(axes, "How the error fell; the line is the best so far")
    return marks, corners


def _draw(axes: Axes, mark: Mark) -> None:
    axes.scatter(mark.x, mark.y, s=math.pi * mark.radius**2, color=BLUE, alpha=0.35, edgecolors=BLUE)


def _name(axes: Axes, marks: Sequence[Mark], line: Bends = ()) -> None:
    """Write each name beside its circle, where it hits no middle, name, edge or `line`; the rest stay unnamed."""
    middles = [axes.transData.transform((mark.x, mark.y)) for mark in marks]
    taken = [Bbox.from_extents(x - MIDDLE, y - MIDDLE, x + MIDDLE, y + MIDDLE) for x, y in middles]
    places = [axes.transData.transform(bend) for bend in line]
    taken += _along([(float(x), float(y)) for x, y in places])
    unnamed = marks
    for around in (SIDES, CORNERS):
        unnamed = [mark for mark in unnamed if not _named(axes, mark, around, taken)]


def _named(axes: Axes, mark: Mark, places: Sequence[Place], taken: list[Bbox]) -> bool:
    """Write the name of a mark at the first of the places where it hits nothing; return whether there is one."""
    for (right, up), ha, va in places:
        offset = ((mark.radius + 2) * right, (mark.radius + 2) * up)
        text = axes.annotate(mark.name, (mark.x, mark.y), offset, textcoords="offset points", ha=ha, va=va)
        text.set(fontsize=6.5, color=INK, path_effects=[withStroke(linewidth=2, foreground="white")])
        box = text.get_window_extent()
        if _inside(box, axes.bbox) and not any(box.overlaps(other) for other in taken):
            taken.append(box)
            return True
        text.remove()
    return False


def _along(corners: Bends) -> list[Bbox]:
    """Return what a line covers, in pixels."""
    ends = [(sorted((x0, x1)), sorted((y0, y1))) for (x0, y0), (x1, y1) in pairwise(corners)]
    return [Bbox.from_extents(xs[0] - 1, ys[0] - 1, xs[1] + 1, ys[1] + 1) for xs, ys in ends]


def _inside(box: Bbox, frame: Bbox) -> bool:
    return bool(frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1)
