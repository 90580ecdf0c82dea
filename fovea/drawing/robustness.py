"""The picture that `fovea evaluate --robust --out` writes, of one network or of several."""

from collections.abc import Mapping
from itertools import cycle
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fovea.drawing.saving import save_figure
from fovea.drawing.style import SEVERAL, finish
from fovea.evaluation.robustness import Curve, Robustness

COLUMNS = 3
DPI = 100


def robustness_figure(found: Mapping[str, Robustness]) -> Figure:
    """Return one panel per disturbance with a line for each network by its name, the 95 % intervals as bands.

    The networks are measured by one metric.
    """
    first = next(iter(found.values()))
    rows = -(-len(first.curves) // COLUMNS)
    figure = Figure(figsize=(3.6 * COLUMNS, 2.8 * rows), layout="constrained")
    metric = first.metric
    panels = figure.subplots(rows, COLUMNS, sharey=True, squeeze=False).flat
    for index, axes in enumerate(panels):
        for (name, robustness), colour in zip(found.items(), cycle(SEVERAL), strict=False):
            _draw(axes, robustness.curves[index], name=name, colour=colour)
        curve = first.curves[index]
        axes.set(xlabel=curve.unit)
        finish(axes, curve.disturbance[:1].upper() + curve.disturbance[1:])
        if index % COLUMNS == 0:
            axes.set_ylabel(f"{metric.title}, %" if metric.share else metric.title)
    axes.set_ylim(0, 104 if metric.share else None)  # all panels share it: once all is drawn
    if len(found) > 1:
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=len(found), frameon=False)
    return figure


def robustness_picture(found: Mapping[str, Robustness], path: Path) -> Path:
    """Write the figure of `found`, whole or not at all, and return `path`; StorageError where it cannot be written."""
    return save_figure(robustness_figure(found), path, dpi=DPI)


def _draw(axes: Axes, curve: Curve, *, name: str, colour: str) -> None:
    levels, scale = [point.level for point in curve.points], curve.points[0].metric.scale
    scores = [scale * point.score for point in curve.points]
    axes.plot(levels, scores, color=colour, marker="o", markersize=3, label=name)
    bands = [point.interval or (point.score, point.score) for point in curve.points]
    low, high = ([scale * ends[side] for ends in bands] for side in (0, 1))
    axes.fill_between(levels, low, high, color=colour, alpha=0.15, linewidth=0)
