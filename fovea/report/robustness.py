"""The parts of an evaluation's page on disturbed images."""

from collections.abc import Mapping
from typing import Any

from fovea.report.charts import Axis, Chart, Line
from fovea.report.results import percent


def robustness_charts(robustness: Mapping[str, Any]) -> list[Chart]:
    """Return accuracy over level for each of the `curves`: `disturbance`, `unit`, and `points` with an `interval`."""
    return [_chart(curve["disturbance"], curve["unit"], curve["points"]) for curve in robustness["curves"]]


def _chart(name: str, unit: str, points: list[Mapping[str, Any]]) -> Chart:
    places = [(point["level"], 100 * point["accuracy"]) for point in points]
    notes = [
        f"{name} {point['level']:g}: {percent(point['accuracy'])} (95 % interval {' to '.join(map(percent, ends))})"
        for point, ends in ((point, point["interval"]) for point in points)
    ]
    x = Axis.over(unit, [level for level, _ in places])
    y = Axis(label="", low=0.0, high=100.0)
    return Chart(title=f"{name[:1].upper()}{name[1:]}: accuracy, %", lines=[Line("accuracy", places, notes)], x=x, y=y)
