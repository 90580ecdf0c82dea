"""The picture of what one unit sees, and of where its gradient falls, that `fovea measure --unit` writes.

Images are (H, W, C) uint8 0..255.
"""

import math
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle as Frame
from matplotlib.ticker import MaxNLocator

from fovea.drawing.style import INK, LINE, SOFT
from fovea.measurement.effective import Effective, Rectangle, Unit
from fovea.preprocess import Pixels

SEEN, MOST, PAPER, OUTSIDE = "#e8590c", "#8ce99a", "#f4f5f7", "#e4e7eb"
BEYOND = 0.75
"""So much of the image's sides is shown around it at the most, however far the rectangle reaches."""
SMALL, AROUND = 1 / 8, 4
"""A rectangle of less than this share of the image is shown in a window so many times its size."""
ROOM = 0.04
"""Of the longer side that is shown, beyond it on every side."""
INCHES = 4.6


class View(NamedTuple):
    """The part of the plane that is shown: first and last row, first and last column."""

    top: float
    bottom: float
    left: float
    right: float


def unit_figure(
    unit: Unit, rectangle: Rectangle, effective: Effective, *, pixels: Pixels | None, size: tuple[int, int]
) -> Figure:
    """Return the picture: left the image, (H, W, C) or a grid of `size`, right the gradient, both with the rectangles.

    Both panels show the same window at the same scale. `rectangle` is the unclipped one.
    """
    figure = Figure(figsize=(2 * INCHES + 1.2, INCHES + 1.1), facecolor="white")
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.1)
    left, right = figure.subplots(1, 2)
    _draw_input(left, pixels, size)
    _draw_rectangles(left, rectangle, size)
    view = _around(rectangle, size)
    _show(left, view, f"{unit.layer}: {unit.row},{unit.column}", f"sees {_text(rectangle)}")
    H, W = size
    mass = effective.mass.numpy()
    shares = 100 * mass / max(float(mass.max()), 1e-30)
    drawn = right.imshow(
        shares, cmap="magma", norm=PowerNorm(0.5, 0, 100), extent=(0, W, H, 0), interpolation="nearest"
    )
    _draw_rectangles(right, rectangle, size)
    _frame(right, effective.rectangle, color=MOST, linestyle="--")
    inside = f"95 % of it in {_text(effective.rectangle)}"
    _show(right, view, f"gradient, {effective.size:.0f} pixels across", inside)
    bar = figure.colorbar(drawn, ax=right, fraction=0.046, pad=0.03, ticks=[0, 10, 25, 50, 100])
    bar.set_label("gradient, % of the largest", color=INK, size=8.5)
    bar.ax.tick_params(colors=SOFT, labelsize=8, length=2)
    figure.legend(handles=_key(), loc="outside lower center", ncols=3, frameon=False, fontsize=8.5, labelcolor=INK)
    return figure


def _key() -> list[Line2D]:
    """Return what the legend shows: the lines of the rectangles."""
    return [
        Line2D([], [], color=SEEN, linestyle="-", linewidth=1.8, label="receptive field in the image"),
        Line2D([], [], color=SEEN, linestyle=":", linewidth=1.8, label="receptive field in the padding"),
        Line2D([], [], color="#2b9348", linestyle="--", linewidth=1.8, label="95 % of the gradient (light green)"),
    ]


def _draw_input(axes: Axes, pixels: Pixels | None, size: tuple[int, int]) -> None:
    H, W = size
    axes.set_facecolor(OUTSIDE)
    if pixels is not None:
        shown = pixels if pixels.shape[2] == 3 else pixels[:, :, 0]
        axes.imshow(shown, cmap="gray", vmin=0, vmax=255, extent=(0, W, H, 0))
        return
    axes.add_patch(Frame((0, 0), W, H, facecolor=PAPER, edgecolor=LINE))
    step = 2 ** max(0, math.ceil(math.log2(max(H, W) / 32)))
    axes.hlines(range(0, H + 1, step), 0, W, color=LINE, linewidth=0.5)
    axes.vlines(range(0, W + 1, step), 0, H, color=LINE, linewidth=0.5)


def _draw_rectangles(axes: Axes, rectangle: Rectangle, size: tuple[int, int]) -> None:
    """Draw the rectangle dashed where it is in the padding, and its part in the image solid."""
    _frame(axes, rectangle, color=SEEN, linestyle=":")
    if inside := rectangle.clipped(*size):
        _frame(axes, inside, color=SEEN, linestyle="-")


def _frame(axes: Axes, rectangle: Rectangle, *, color: str, linestyle: str) -> None:
    (top, bottom), (left, right) = rectangle
    frame = Frame((left, top), right - left, bottom - top, fill=False, ec=color, ls=linestyle, lw=1.8)
    axes.add_patch(frame)


def _around(rectangle: Rectangle, size: tuple[int, int]) -> View:
    """Return a square view of the image and what can be shown of the rectangle; of a small one, of its surroundings."""
    across = max(high - low for low, high in rectangle)
    spans = [
        (min(max(low, -BEYOND * side), 0), max(min(high, (1 + BEYOND) * side), side))
        for (low, high), side in zip(rectangle, size, strict=True)
    ]
    half = (0.5 + ROOM) * max(high - low for low, high in spans)
    if across < SMALL * max(size):
        spans, half = list(rectangle), AROUND / 2 * across
    (row, column) = ((low + high) / 2 for low, high in spans)
    return View(row - half, row + half, column - half, column + half)


def _show(axes: Axes, view: View, title: str, detail: str) -> None:
    axes.set_xlim(view.left, view.right)
    axes.set_ylim(view.bottom, view.top)
    axes.set_aspect("equal")
    axes.set_facecolor(OUTSIDE)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6, integer=True))
    axes.tick_params(colors=SOFT, labelsize=8, length=2)
    axes.spines[:].set_color(LINE)
    axes.set_title(title, loc="left", color=INK, size=11, weight="bold", pad=18, parse_math=False)
    axes.text(0, 1.015, detail, transform=axes.transAxes, color=SOFT, size=8.5)


def _text(rectangle: Rectangle) -> str:
    return rectangle.text.rpartition(" (")[0]
