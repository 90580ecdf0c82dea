"""The picture of what a network loses when channels or blocks are taken away, group by group, before any training."""

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from fovea.compression.pruning.sensitivity import Curve, Sensitivity
from fovea.drawing.saving import save_figure
from fovea.drawing.style import BLUE, INK, ORANGE, finish

NAMED, CLOSE = 4, 0.04
"""So many of the most sensitive groups are named, those at least this share of the height apart."""
LEAST = 1e-9
"""Stands for a loss of zero."""
DPI = 110


def sensitivity_figure(found: Sensitivity) -> Figure:
    """Return the loss of each group by the share of channels removed, beside that of each block as a bar."""
    beside = bool(found.blocks)
    height = max(4.5, 0.2 * len(found.blocks) + 1.2)
    figure = Figure(figsize=(11 if beside else 7.5, height), layout="constrained")
    panels = figure.subplots(1, 1 + beside, squeeze=False, width_ratios=(3, 2)[: 1 + beside])[0]
    _draw_curves(panels[0], found)
    if beside:
        _draw_blocks(panels[1], found)
    return figure


def sensitivity_picture(found: Sensitivity, path: Path) -> Path:
    """Write the figure of `found`, whole or not at all, and return `path`; StorageError where it cannot be written."""
    return save_figure(sensitivity_figure(found), path, dpi=DPI)


def _draw_curves(axes: Axes, found: Sensitivity) -> None:
    worst = _apart(sorted(found.curves, key=_steepness, reverse=True)[:NAMED], found)
    colours = mpl.colormaps["viridis"]
    for place, curve in enumerate(found.curves):
        colour = colours(0.9 * place / max(1, len(found.curves) - 1))
        shares = [100 * (1 - kept / curve.channels) for kept, _ in curve.points]
        losses = [loss for _, loss in curve.points]
        axes.plot(shares, losses, color=colour, linewidth=1.1, marker="o", markersize=2.5)
        if curve in worst:
            axes.annotate(
                curve.name,
                (shares[-1], losses[-1]),
                xytext=(5, 0),
                textcoords="offset points",
                fontsize=7,
                color=INK,
                va="center",
                annotation_clip=False,
            )
    axes.axhline(found.base, color=ORANGE, linestyle="--", linewidth=1)
    axes.annotate("as it is", (0, found.base), xytext=(2, 3), textcoords="offset points", fontsize=7, color=ORANGE)
    axes.set(xlabel="channels of one group that are removed (%)", ylabel="loss", yscale="log")
    _plain_numbers(axes.yaxis)
    finish(axes, "Channels, from the first group (dark) to the last (bright)")


def _draw_blocks(axes: Axes, found: Sensitivity) -> None:
    names = [name for name, _ in found.blocks]
    axes.barh(names, [loss for _, loss in found.blocks], color=BLUE, height=0.6)
    axes.axvline(found.base, color=ORANGE, linestyle="--", linewidth=1)
    axes.invert_yaxis()
    axes.tick_params("y", labelsize=7)
    axes.set(xlabel="loss", xscale="log")
    _plain_numbers(axes.xaxis)
    finish(axes, "Whole blocks")


def _plain_numbers(axis: Axis) -> None:
    """Write a logarithmic axis as 0.4 and 2, not as powers."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def _apart(curves: Sequence[Curve], found: Sensitivity) -> list[Curve]:
    """Return those of the curves, the first first, whose names hit none of the others' where they end."""
    losses = [loss for curve in found.curves for _, loss in curve.points]
    height = math.log(max(*losses, LEAST) / max(min(losses), LEAST)) + LEAST
    apart: list[Curve] = []
    for curve in curves:
        ends = [math.log(_positive(curve) / _positive(other)) / height for other in apart]
        if all(abs(end) > CLOSE for end in ends):
            apart.append(curve)
    return apart


def _steepness(curve: Curve) -> float:
    """How far the loss rises until half of the channels are removed, or as near to that as was measured."""
    return min((abs(kept - curve.channels / 2), loss) for kept, loss in curve.points)[1]


def _positive(curve: Curve) -> float:
    """Return where a curve ends, on a logarithmic axis."""
    return max(curve.points[-1][1], LEAST)
