"""The page of `fovea compare`: groups of runs in a table, what differs, and their curves over each other."""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from fovea.report.charts import Axis, Chart, Line, Point
from fovea.report.page import render
from fovea.tasks.score import ACCURACY, Metric
from fovea.tasks.task import Task

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
    kind: type[Task],
) -> str:
    """Return the page of a report, as `Comparison.to_dict` gives it.

    `tables` are those of the groups and of their settings, `sentences` say the differences, and `histories` holds the
    metrics of each run of each group; `kind` is what was learned.
    """
    names = [group["name"] for group in report["groups"]]
    return render(
        "compare.html",
        report=report,
        groups=tables[0],
        settings=tables[1],
        sentences=sentences,
        charts=[
            *curves(names[:DRAWN], histories[:DRAWN], followed=kind.followed),
            *costs(report["groups"][:DRAWN], metric=kind.metric),
        ],
        drawn=DRAWN,
    )


def curves(names: Sequence[str], histories: Sequence[Sequence[History]], *, followed: Metric = ACCURACY) -> list[Chart]:
    """Return loss and `followed` score in training and on validation over the epochs; a group's line is their mean."""
    title = followed.axis[:1].lower() + followed.axis[1:]
    wanted: dict[str, Callable[[Mapping[str, Any]], float | None]] = {
        "Training loss": lambda line: line["loss"],
        f"Training {title}": lambda line: _scaled(line.get(followed.name), followed),
        "Validation loss": lambda line: (line["val"] or {}).get("loss"),
        f"Validation {title}": lambda line: _scaled((line["val"] or {}).get(followed.name), followed),
    }
    drawn = (
        _chart(
            title,
            [Line(name, _mean(runs, value)) for name, runs in zip(names, histories, strict=True)],
            share=followed.share and not title.endswith("loss"),
        )
        for title, value in wanted.items()
    )
    return [chart for chart in drawn if chart.drawn]


def costs(groups: Sequence[Mapping[str, Any]], *, metric: Metric = ACCURACY) -> list[Chart]:
    """Return the result over the arithmetic of the training, a point per group; nothing where that is the same."""
    split = next((s for s in ("test", "val") if sum(s in group["results"] for group in groups) > 1), None)
    if split is None:
        return []
    scale, title = metric.scale, f"{metric.axis}," if metric.share else metric.axis
    lines = [
        Line(group["name"], [(group["pflop"]["mean"], scale * group["results"][split]["mean"])], sizes=[5.0])
        for group in groups
        if split in group["results"]
    ]
    x, y = ([line.points[0][axis] for line in lines] for axis in (0, 1))
    if len(set(x)) == 1:
        return []
    axes = Axis.over("PFLOP", x, log=True), _upwards(y, share=metric.share)
    return [Chart(title=f"{title} on {split}, over arithmetic", lines=lines, x=axes[0], y=axes[1])]


def _mean(runs: Sequence[History], value: Callable[[Mapping[str, Any]], float | None]) -> list[Point]:
    """Return the mean over the runs at each epoch (from 1) that all of them have."""
    found = [{line["epoch"]: v for line in run if (v := value(line)) is not None} for run in runs]
    common = sorted(set.intersection(*(set(values) for values in found)))
    return [(epoch + 1.0, fmean(values[epoch] for values in found)) for epoch in common]


def _scaled(value: float | None, metric: Metric) -> float | None:
    return None if value is None else metric.scale * value


def _chart(title: str, lines: Sequence[Line], *, share: bool) -> Chart:
    x, y = ([point[axis] for line in lines for point in line.points] for axis in (0, 1))
    return Chart(title=title, lines=lines, x=Axis.over("epoch", x), y=_upwards(y, share=share))


def _upwards(values: Sequence[float], *, share: bool) -> Axis:
    """Return the y axis of values: from 0, or cut where all are shares above a half, so that they stand apart."""
    if share and min(values, default=0.0) > 50:
        return Axis.over("", values).from_mark()
    return Axis.percent("") if share else Axis.over("", values, zero=True)
