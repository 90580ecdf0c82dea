"""The picture of what a network loses when channels or blocks are taken away, group by group, before any training."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fovea.compression.pruning.sensitivity import Curve, Sensitivity
from fovea.drawing.saving import save_figure
from fovea.drawing.style import BLUE, INK, LINE, ORANGE, SOFT

NAMED = 4
"""So many of the most sensitive groups are named."""
DPI = 110


def sensitivity_figure(found: Sensitivity) -> Figure:
    """Return the loss of each group by the share of its channels that is gone, beside that of each block as a bar."""
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
    worst = sorted(found.curves, key=_steepness, reverse=True)[:NAMED]
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
    axes.set(xlabel="channels of one group that are gone (%)", ylabel="loss", yscale="log")
    _finish(axes, "Channels, from the first group (dark) to the last (bright)")


def _draw_blocks(axes: Axes, found: Sensitivity) -> None:
    names = [name for name, _ in found.blocks]
    axes.barh(names, [loss for _, loss in found.blocks], color=BLUE, height=0.6)
    axes.axvline(found.base, color=ORANGE, linestyle="--", linewidth=1)
    axes.invert_yaxis()
    axes.tick_params("y", labelsize=7)
    axes.set(xlabel="loss", xscale="log")
    _finish(axes, "Whole blocks")


def _finish(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", color=INK, fontsize=10)
    axes.grid(color=LINE, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=SOFT)


def _steepness(curve: Curve) -> float:
    """How far the loss rises until half of the channels are gone, or as near to that as was measured."""
    return min((abs(kept - curve.channels / 2), loss) for kept, loss in curve.points)[1]
