"""The picture of a sweep of learning rates that `fovea train --find-lr` writes."""

from pathlib import Path

from matplotlib.figure import Figure

from fovea.drawing.saving import save_figure
from fovea.drawing.style import BLUE, INK, ORANGE, finish
from fovea.training.tuning import Sweep

DPI = 150


def sweep_figure(sweep: Sweep) -> Figure:
    """Return the smoothed losses over the learning rates, with the suggested rate as a dashed line."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="learning rate", ylabel="training loss, smoothed", xscale="log")
    axes.plot(sweep.rates, sweep.losses, color=BLUE)
    top = sweep.losses[0]  # what comes after the explosion would flatten all before it
    axes.set_ylim(top=top + 0.5 * (top - min(sweep.losses)))
    axes.axvline(sweep.suggested, linestyle="--", color=ORANGE, label=f"suggested: {sweep.suggested:.2g}")
    axes.legend(frameon=False, labelcolor=INK)
    finish(axes, "Loss over the learning rate")
    return figure


def sweep_picture(sweep: Sweep, path: Path) -> Path:
    """Write the figure of `sweep`, whole or not at all, and return `path`; StorageError where it cannot be written."""
    return save_figure(sweep_figure(sweep), path, dpi=DPI)
