"""What an evaluation's page shows beyond the part as it is: the score per slice, and on disturbed images."""

from collections.abc import Sequence
from typing import NamedTuple

from fovea.evaluation.robustness import Curve, Robustness
from fovea.evaluation.scored import UNDEFINED, ScoredWithin
from fovea.evaluation.slices import Slices
from fovea.report.charts import Axis, Chart, Line
from fovea.tasks.score import Metric
from fovea.tasks.task import Task
from fovea.texts import percent


class Row(NamedTuple):
    """A slice as it stands in the table."""

    value: str
    score: str
    bar: float | None
    """How long the bar is, as 0..1: for a share the share, for an error as a part of the largest."""
    interval: str
    images: int


class Further(NamedTuple):
    """What `further.html` shows; empty where nothing was asked for."""

    metric: Metric
    note: str
    """What numbers are in, and which are good, where that is not plain."""
    column: str
    rows: Sequence[Row]
    """The worst slice first."""
    images: int
    undisturbed: str
    charts: Sequence[Chart]
    """Score over level, one per disturbance."""


def further_values(target: Task, *, slices: Slices | None, robustness: Robustness | None) -> Further:
    """Return what the page shows of a network with this target."""
    metric = target.metric
    unit = "" if metric.share or target.has_classes else "In the unit of the labels. "
    return Further(
        metric=metric,
        note="" if metric.higher_is_better else f"{unit}The lower, the better.",
        column=slices.column if slices else "",
        rows=_rows(slices, metric) if slices else [],
        images=robustness.images if robustness else 0,
        undisturbed=shown(metric, robustness.score) if robustness else "",
        charts=robustness_charts(robustness) if robustness else [],
    )


def shown(metric: Metric, value: float | None, *, digits: int = 1) -> str:
    """Return a value as it stands in a page, shares with so many digits."""
    if value is None:
        return UNDEFINED
    return percent(value, digits) if metric.share else f"{value:.4g}"


def robustness_charts(robustness: Robustness) -> list[Chart]:
    """Return the score over the level of each disturbance, with its intervals; all have one y axis."""
    metric, points = robustness.metric, [point for curve in robustness.curves for point in curve.points]
    ends = [end for point in points for end in (point.score, *(point.interval or ()))]
    y = Axis.percent("") if metric.share else Axis.over("", ends, zero=True)
    return [_chart(curve, metric, y) for curve in robustness.curves]


def _rows(slices: Slices, metric: Metric) -> list[Row]:
    worst = sorted(slices.values, key=lambda entry: entry.rank)
    largest = 1.0 if metric.share else max([entry.score for entry in worst if entry.score], default=1.0)
    return [
        Row(
            value=entry.value,
            score=shown(metric, entry.score),
            bar=None if entry.score is None else entry.score / largest,
            interval=_between(entry),
            images=entry.images,
        )
        for entry in worst
    ]


def _between(entry: ScoredWithin, *, digits: int = 1) -> str:
    if entry.interval is None:
        return UNDEFINED
    return " to ".join(shown(entry.metric, end, digits=digits) for end in entry.interval)


def _chart(curve: Curve, metric: Metric, y: Axis) -> Chart:
    name = curve.disturbance
    places = [(point.level, metric.scale * point.score) for point in curve.points]
    notes = [
        f"{name} {point.level:g}: {shown(metric, point.score, digits=2)}"
        + (f" (95 % interval {_between(point, digits=2)})" if point.interval else "")
        for point in curve.points
    ]
    ends = [point.interval or (point.score, point.score) for point in curve.points]
    spread = [(metric.scale * low, metric.scale * high) for low, high in ends]
    x = Axis.over(curve.unit, [level for level, _ in places])
    title = f"{name[:1].upper()}{name[1:]}: {metric.axis[:1].lower()}{metric.axis[1:]}"
    return Chart(title=title, lines=[Line(metric.title, places, notes, spread=spread)], x=x, y=y)
