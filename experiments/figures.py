"""The look of the experiments' figures, and how they are saved."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fovea.drawing.saving import save_figure

COLOURS = ("#1b6ca8", "#d1495b", "#2e8b57", "#8a5fbf", "#e08e0b", "#555555")
"""Of the curves in one plot, in their order."""


def axes(columns: int, *, width: float = 4.2, height: float = 3.4) -> tuple[Figure, list[Axes]]:
    """Return a figure with `columns` plots side by side, each so large in inches, open at the top and on the right."""
    figure = Figure(figsize=(width * columns, height), layout="constrained")
    plots = list(figure.subplots(1, columns, squeeze=False)[0])
    for plot in plots:
        plot.spines[["top", "right"]].set_visible(False)
        plot.grid(alpha=0.25)
    return figure, plots


def save(figure: Figure, path: Path) -> None:
    """Write the figure in the format of the suffix, and print where it is."""
    print(save_figure(figure, path))
