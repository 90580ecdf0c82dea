"""The page of `fovea compare`: groups of runs in a table, what differs, and their curves over each other."""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from fovea.report.charts import Axis, Chart, Line, Point
from fovea.report.page import render

DRAWN = 10
"""Groups that have a line of their own."""

History = Sequence[Mapping[str, Any]]
"""The lines of a run's metrics.jsonl."""


class Table(NamedTuple):
    """Text in columns."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def compare_page(
    report: Mapping[str, Any],
    *,
    tables: Sequence[Table],
    sentences: Sequence[str],
    histories: Sequence[Sequence[History]],
) -> str:
    """Return the page of a report, as `Comparison.to_dict` gives it.

    `tables` are those of the groups and of their settings, `sentences` say the differences, and `histories` holds the
    metrics of each run of each group.
    """
    names = [group["name"] for group in report["groups"]]
    return render(
        "compare.html",
        report=report,
        groups=tables[0],
        settings=tables[1],
        sentences=sentences,
        charts=[*curves(names[:DRAWN], histories[:DRAWN]), *costs(report["groups"][:DRAWN])],
        drawn=DRAWN,
    )


def curves(names: Sequence[str], histories: Sequence[Sequence[History]]) -> list[Chart]:
    """Return loss and accuracy in training and on validation over the epochs; a group's line is the mean of runs."""
    wanted: dict[str, Callable[[Mapping[str, Any]], float | None]] = {
        "Training loss": lambda line: line["loss"],
        "Training accuracy, %": lambda line: _percent(line["accuracy"]),
        "Validation loss": lambda line: (line["val"] or {}).get("loss"),
        "Validation accuracy, %": lambda line: _percent((line["val"] or {}).get("accuracy")),
    }
    drawn = (
        _chart(title, [Line(name, _mean(runs, value)) for name, runs in zip(names, histories, strict=True)])
        for title, value in wanted.items()
    )
    return [chart for chart in drawn if chart.drawn]


def costs(groups: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """Return the result over the arithmetic of the training, a point per group; nothing where that is the same."""
    split = next((s for s in ("test", "val") if sum(s in group["results"] for group in groups) > 1), None)
    if split is None:
        return []
    scale, metric = (100, "Accuracy, %,") if groups[0]["metric"] == "accuracy" else (1, "Mean absolute error")
    lines = [
        Line(group["name"], [(group["pflop"]["mean"], scale * group["results"][split]["mean"])], sizes=[5.0])
        for group in groups
        if split in group["results"]
    ]
    x, y = ([line.points[0][axis] for line in lines] for axis in (0, 1))
    if len(set(x)) == 1:
        return []
    axes = Axis.over("PFLOP", x, log=True), Axis.over("", y)
    return [Chart(title=f"{metric} on {split} over arithmetic", lines=lines, x=axes[0], y=axes[1])]


def _mean(runs: Sequence[History], value: Callable[[Mapping[str, Any]], float | None]) -> list[Point]:
    """Return the mean over the runs at each epoch (from 1) that all of them have."""
    found = [{line["epoch"]: v for line in run if (v := value(line)) is not None} for run in runs]
    common = sorted(set.intersection(*(set(values) for values in found)))
    return [(epoch + 1.0, fmean(values[epoch] for values in found)) for epoch in common]


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _chart(title: str, lines: Sequence[Line]) -> Chart:
    x, y = ([point[axis] for line in lines for point in line.points] for axis in (0, 1))
    return Chart(title=title, lines=lines, x=Axis.over("epoch", x), y=Axis.over("", y))
