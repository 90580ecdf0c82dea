"""Drawings of blocks of layers: boxes one below the other, branches, and what they meet in."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch

INK, SOFT, PLAIN = "#1f2933", "#52606d", "#eef1f4"
FILLS = (
    ("pool", "#fbe3cd"),
    ("subsampling", "#fbe3cd"),
    ("dense", "#d9eee4"),
    ("depthwise", "#c4dcf2"),
    ("×", "#e0ecf8"),
    ("steps", "#e0ecf8"),
)
"""The colour of a box: that of the first word in its first line that has one."""
WIDTH, LINE, GAP, STUB, APART = 2.3, 0.3, 0.3, 0.2, 0.35
"""Of a box, of a line of text, between boxes, before branches, between neighbours."""
INCHES = 0.62
"""Of one unit on the page."""


class Maps(NamedTuple):
    """What flows: text without a box."""

    text: str


class Split(NamedTuple):
    """Branches, each a sequence of parts, that meet in `join`; the first stays on the trunk if it is `straight`."""

    join: str
    branches: tuple[Sequence["Part"], ...]
    straight: bool = False


Part = str | Maps | Split
"""A box, a text, or branches."""
Panel = tuple[str, Sequence[Part]]


def plus(main: Sequence[Part], *side: Part) -> Split:
    """Return `main` with a shortcut beside it, added up."""
    return Split("+", (main, side), straight=True)


def side_by_side(*branches: Sequence[Part]) -> Split:
    """Return branches whose maps are concatenated."""
    return Split("concat", branches)


def reach(parts: Sequence[Part]) -> tuple[float, float]:
    """Return how far the parts reach to the left and to the right of the trunk."""
    both = [_reach(part) for part in parts] or [(0.3, 0.3)]
    return max(left for left, _ in both), max(right for _, right in both)


def _reach(part: Part) -> tuple[float, float]:
    if not isinstance(part, Split):
        return WIDTH / 2, WIDTH / 2
    places = _places(part)
    reaches = [reach(branch) for branch in part.branches]
    return (
        max(left - place for place, (left, _) in zip(places, reaches, strict=True)),
        max(right + place for place, (_, right) in zip(places, reaches, strict=True)),
    )


def _places(split: Split) -> list[float]:
    """Return where each branch stands, relative to the trunk."""
    places, at = [], 0.0
    for left, right in map(reach, split.branches):
        places.append(at + left)
        at += left + right + APART
    origin = places[0] if split.straight else (at - APART) / 2
    return [place - origin for place in places]


def draw(axes: Axes, parts: Sequence[Part], x: float, y: float) -> float:
    """Draw the parts one below the other from (x, y) on, and return where they end."""
    for part in parts:
        if isinstance(part, Split):
            y = _draw_split(axes, part, x, y)
        elif isinstance(part, Maps):
            axes.text(x, y - LINE / 2, part.text, size=8, color=SOFT, ha="center", va="center")
            y -= LINE
        else:
            y = _draw_box(axes, part, x, y)
    return y


def _draw_box(axes: Axes, text: str, x: float, y: float) -> float:
    _arrow(axes, (x, y), (x, y - GAP))
    lines = text.split("\n")
    height = LINE * len(lines) + 0.14
    fill = next((fill for line in lines for word, fill in FILLS if word in line), PLAIN)
    style = "round,pad=0,rounding_size=0.08"
    box = FancyBboxPatch(
        (x - WIDTH / 2, y - GAP - height), WIDTH, height, boxstyle=style, facecolor=fill, edgecolor=INK, linewidth=0.8
    )
    axes.add_patch(box)
    axes.text(x, y - GAP - height / 2, text, size=8, color=INK, ha="center", va="center", linespacing=1.35)
    return y - GAP - height


def _draw_split(axes: Axes, split: Split, x: float, y: float) -> float:
    _line(axes, (x, y), (x, y - STUB))
    places = [x + place for place in _places(split)]
    ends = []
    for place, branch in zip(places, split.branches, strict=True):
        _line(axes, (x, y - STUB), (place, y - STUB))
        ends.append(draw(axes, branch, place, y - STUB))
    low = min(ends)
    if split.straight:
        return _draw_sum(axes, split.join, (places[0], ends[0]), (places[1], ends[1]))
    for place, end in zip(places, ends, strict=True):
        _line(axes, (place, end), (place, low - STUB), (x, low - STUB))
    return _draw_box(axes, split.join, x, low - STUB)


def _draw_sum(axes: Axes, sign: str, main: tuple[float, float], side: tuple[float, float]) -> float:
    """Draw the node in which the trunk meets the branch at its side."""
    radius, (x, end) = 0.19, main
    middle = min(end, side[1]) - GAP - radius
    _arrow(axes, (x, end), (x, middle + radius))
    _line(axes, side, (side[0], middle))
    if sign in "+×":
        axes.add_patch(Circle((x, middle), radius, facecolor="white", edgecolor=INK, linewidth=0.8))
        axes.text(x, middle - 0.015, sign, size=11, color=INK, ha="center", va="center")
        _arrow(axes, (side[0], middle), (x + radius, middle))
        return middle - radius
    bottom = _draw_box(axes, sign, x, middle + radius + GAP)
    _arrow(axes, (side[0], middle), (x + WIDTH / 2, middle))
    return bottom


def _line(axes: Axes, *points: tuple[float, float]) -> None:
    axes.plot(*zip(*points, strict=True), color=INK, linewidth=0.8, solid_capstyle="round")


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    style = {"arrowstyle": "-|>", "color": INK, "linewidth": 0.8, "mutation_scale": 7, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, start, arrowprops=style)


def figure_of(panels: Sequence[Panel]) -> Figure:
    """Return the panels beside each other."""
    figure = Figure(facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    x, low = 0.2, 0.0
    for title, parts in panels:
        left, right = reach(parts)
        room = max(left + right, 0.125 * len(title))  # a letter of the title is that wide
        middle = x + (room - left - right) / 2 + left
        axes.text(x + room / 2, 0.35, title, size=9, color=INK, weight="bold", ha="center", va="center")
        end = draw(axes, parts, middle, 0)
        if not isinstance(parts[-1], Maps):
            _arrow(axes, (middle, end), (middle, end - GAP))
        low, x = min(low, end - GAP), x + room + 0.9
    width, height = x - 0.9 + 0.2, 0.7 - low + 0.1
    axes.set(xlim=(0, width), ylim=(low - 0.1, 0.7))
    axes.set_axis_off()
    figure.set_size_inches(width * INCHES, height * INCHES)
    return figure
