"""The picture that `fovea evaluate --robust --out` writes, of one network or of several."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fovea.drawing.saving import save_figure
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
        for name, robustness in found.items():
            _draw(axes, robustness.curves[index], name=name)
        axes.set(xlabel=f"{first.curves[index].disturbance}: {first.curves[index].unit}")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        if index % COLUMNS == 0:
            axes.set_ylabel(f"{metric.title}, %" if metric.share else metric.title)
    axes.set_ylim(0, 100 if metric.share else None)  # all panels share it: once all is drawn
    if len(found) > 1:
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=len(found), frameon=False)
    return figure


def robustness_picture(found: Mapping[str, Robustness], path: Path) -> Path:
    """Write the figure of `found`, whole or not at all, and return `path`; StorageError where it cannot be written."""
    return save_figure(robustness_figure(found), path, dpi=DPI)


def _draw(axes: Axes, curve: Curve, *, name: str) -> None:
    levels, scale = [point.level for point in curve.points], curve.points[0].metric.scale
    (line,) = axes.plot(levels, [scale * point.score for point in curve.points], marker="o", markersize=3, label=name)
    bands = [point.interval or (point.score, point.score) for point in curve.points]
    low, high = ([scale * ends[side] for ends in bands] for side in (0, 1))
    axes.fill_between(levels, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
