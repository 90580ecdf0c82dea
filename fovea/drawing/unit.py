"""The picture of what one unit sees, and of where its gradient falls, that `fovea measure --unit` writes.

Images are (H, W, C) uint8 0..255.
"""

import math
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle as Frame
from matplotlib.ticker import MaxNLocator

from fovea.drawing.style import INK, LINE, ORANGE, SOFT
from fovea.measurement.effective import Effective, Rectangle, Unit
from fovea.preprocess import Pixels

SEEN, MOST, PAPER, OUTSIDE = ORANGE, "#8ce99a", "#f4f5f7", "#e4e7eb"
BEYOND = 0.75
"""So much of the image's sides is shown around it at the most, however far the rectangle reaches."""
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

    `rectangle` is the unclipped one.
    """
    figure = Figure(figsize=(2 * INCHES + 0.6, INCHES + 0.8), facecolor="white")
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.1)
    left, right = figure.subplots(1, 2)
    _draw_input(left, pixels, size)
    _draw_rectangles(left, rectangle, size)
    _show(
        left,
        _around(rectangle, size, whole=True),
        f"{unit.layer}: {unit.row},{unit.column}",
        f"sees {_text(rectangle)}",
    )
    H, W = size
    right.imshow(np.sqrt(effective.mass.numpy()), cmap="magma", extent=(0, W, H, 0), vmin=0, interpolation="nearest")
    _draw_rectangles(right, rectangle, size)
    _frame(right, effective.rectangle, color=MOST, linestyle="--")
    inside = f"95 % of it in {_text(effective.rectangle)}"
    _show(right, _around(rectangle, size, whole=False), f"gradient, {effective.size:.0f} across", inside)
    return figure


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


def _around(rectangle: Rectangle, size: tuple[int, int], *, whole: bool) -> View:
    """Return a square view of what can be shown of the rectangle, and of the `whole` image, with some room."""
    spans = [
        (min(max(low, -BEYOND * side), 0 if whole else side), max(min(high, (1 + BEYOND) * side), side if whole else 0))
        for (low, high), side in zip(rectangle, size, strict=True)
    ]
    half = (0.5 + ROOM) * max(high - low for low, high in spans)
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
