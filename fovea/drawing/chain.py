"""A chain of steps as a picture: what each left of the file, and what it cost of the score."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from fovea.compression.table import Row
from fovea.drawing.saving import save_figure
from fovea.drawing.style import BLUE, INK, LINE, finish
from fovea.tasks.score import Metric
from fovea.texts import shown

NEAR = 0.04
"""Share of either axis within which the names of two points would cover each other."""


def draw_chain(rows: Sequence[Row], metric: Metric, path: Path) -> None:
    """Write a picture of the score of each row, with its interval, against the bytes of its file."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    sizes = [row.file_bytes / 1000 for row in rows]
    scores = [metric.scale * row.score for row in rows]
    axes.plot(sizes, scores, color=LINE, zorder=1)
    for row, size, score in zip(rows, sizes, scores, strict=True):
        if row.interval is not None:
            axes.plot([size, size], [metric.scale * end for end in row.interval], color=BLUE, linewidth=1)
        axes.plot([size], [score], "o", color=BLUE)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.15)
    axes.invert_xaxis()
    axes.set_xlabel("file, kB (smaller to the right)")
    low = axes.get_ylim()[0]
    axes.set_ylabel(
        f"{metric.axis} (the axis begins at {low:.4g})" if metric.higher_is_better and low > 0 else metric.axis
    )
    finish(axes, f"What each step costs, on {rows[0].split}")
    if not metric.higher_is_better:
        axes.invert_yaxis()
    for names, size, score in _labels(rows, sizes, scores):
        at_the_edge = size == min(sizes) < max(sizes)
        axes.annotate(
            names, (size, score), xytext=(-6 if at_the_edge else 6, 6), textcoords="offset points", color=INK,
            fontsize=9, ha="right" if at_the_edge else "left",
        )  # fmt: skip
    save_figure(figure, path)


def _labels(rows: Sequence[Row], sizes: Sequence[float], scores: Sequence[float]) -> list[tuple[str, float, float]]:
    """Return names and place of each point; steps whose points lie upon each other share one."""
    across = max(sizes) / min(sizes)
    height = max(scores) - min(scores)
    found: list[tuple[str, float, float]] = []
    for row, size, score in zip(rows, sizes, scores, strict=True):
        for index, (names, x, y) in enumerate(found):
            if max(x / size, size / x) <= across**NEAR and abs(y - score) <= NEAR * height:
                found[index] = (f"{names}, {shown(row.step)}", x, y)
                break
        else:
            found.append((shown(row.step), size, score))
    return found
