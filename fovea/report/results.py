"""The sections of a page on what a network says of images, by the names that tasks give them."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, cast

import numpy as np

from fovea.evaluation.outcome import Outcome
from fovea.report.charts import Axis, Chart, Line
from fovea.report.confusion import confusion_values
from fovea.report.masks import mask_classes, overlays
from fovea.report.objects import box_classes, found_boxes, found_points, point_rows
from fovea.report.page import picture
from fovea.tasks.class_figures import Calibration, ClassFigures
from fovea.tasks.label_figures import LabelFigures
from fovea.texts import percent

LISTED = 30
"""Classes up to which all are listed at once."""
EXTREMES = 3
CONFUSIONS = 10
DRAWN_NUMBERS = 2000
SMALLEST, GROWTH = 2.0, 6.0
"""Radius of a dot for no images of a bin, and how much it grows for all: its area goes with their share."""


def result_values(outcome: Outcome) -> dict[str, Any]:
    """Return what `results.html` shows of an outcome: the sections that its task names, and what each of them needs."""
    figures = outcome.figures
    values: dict[str, Any] = {"outcome": outcome, "tiles": figures.tiles, "interval": figures.interval_text}
    for name in outcome.target.sections:
        values |= SECTIONS[name](outcome)
    return values


def _mistakes(outcome: Outcome) -> dict[str, Any]:
    """Return the worst answers, each with the name of its image and its picture."""
    shown = [
        (mistake, outcome.names[mistake.image], outcome.picture and picture(outcome.picture(mistake.image)))
        for mistake in outcome.mistakes
    ]
    return {"mistakes": shown}


def _classes(outcome: Outcome) -> dict[str, Any]:
    return _extremes(outcome, _class_figures(outcome).rows, "recall")


def _labels(outcome: Outcome) -> dict[str, Any]:
    if not isinstance(outcome.figures, LabelFigures):
        raise TypeError(f"the figures of `{outcome.target.name}` are not those of several labels")
    rows = outcome.figures.rows
    return {**_extremes(outcome, rows, "ap"), "unseen": len(outcome.target.classes) - len(rows)}


def _extremes(outcome: Outcome, rows: Sequence[Any], score: str) -> dict[str, Any]:
    """Return the rows of classes, the worst first, and a few of both ends by their `score`, a share."""
    few = min(EXTREMES, len(rows) // 2)
    return {
        "rows": rows,
        "listed": len(outcome.target.classes) <= LISTED,
        "worst": [row for row in rows[:few] if getattr(row, score) < 1],
        "best": rows[len(rows) - few :][::-1],
    }


def _confusion(outcome: Outcome) -> dict[str, Any]:
    figures = _class_figures(outcome)
    return {**confusion_values(np.array(figures.confusion)), "confusions": figures.confusions(CONFUSIONS)}


def _calibration(outcome: Outcome) -> dict[str, Any]:
    figures = _calibration_figures(outcome)
    before = figures.ece if figures.ece_unscaled is None else figures.ece_unscaled
    return {
        "calibration": calibration_chart(outcome),
        "temperature": figures.temperature,
        "ece_before": before,
        "ece_after": figures.ece,
        "uncalibrated": figures.uncalibrated,
    }


def _scatter(outcome: Outcome) -> dict[str, Any]:
    """Return the first column of what is predicted over the truth."""
    chosen = np.linspace(0, len(outcome) - 1, min(DRAWN_NUMBERS, len(outcome))).astype(int)
    points = [(float(outcome.labels[i]), float(outcome.rows[i, 0])) for i in chosen]
    both = [number for point in points for number in point]
    x, y = (Axis.over(label, both) for label in ("true", "predicted"))
    return {"scatter": Chart(title="Predicted over true", lines=[], x=x, y=y, diagonal=True), "points": points}


SECTIONS: Mapping[str, Callable[[Outcome], dict[str, Any]]] = {
    "classes": _classes,
    "labels": _labels,
    "confusion": _confusion,
    "mistakes": _mistakes,
    "calibration": _calibration,
    "scatter": _scatter,
    "masks": mask_classes,
    "overlays": overlays,
    "boxes": box_classes,
    "found_boxes": found_boxes,
    "points": point_rows,
    "found_points": found_points,
}
"""What each section needs; the macro of the same name in `results.html` shows it."""


class Sides(NamedTuple):
    """What the two sides of a calibration are called."""

    confidence: str
    accuracy: str
    answers: str
    right: str


ONE = Sides("confidence", "accuracy", "images", "correct")
"""An image has one class, and the most probable one is the answer."""
SEVERAL = Sides("probability", "frequency", "labels", "present")
"""Each label of each image is a question of its own."""


def calibration_chart(outcome: Outcome) -> Chart:
    """Return accuracy over confidence, before and after temperature scaling, and how many images have which."""
    target, said = outcome.target, SEVERAL if outcome.target.several else ONE
    scaled = _calibration_figures(outcome).temperature or 1.0
    tasks = {f"at temperature {of:.3g}": task for of, task in ((1.0, target.at_temperature(1.0)), (scaled, target))}
    lines = []
    for name, task in tasks.items():
        confidence, accuracy, answers = task.reliability(outcome.outputs, outcome.labels)
        shares = answers / max(answers.sum(), 1)
        bins = [place for place in zip(confidence, accuracy, answers, shares, strict=True) if place[2]]
        notes = [
            f"{name}: of {n:,} {said.answers} at {said.confidence} {percent(c, 2)}, {percent(a, 2)} are {said.right}"
            for c, a, n, _ in bins
        ]
        sizes = [SMALLEST + GROWTH * float(np.sqrt(share)) for *_, share in bins]
        lines.append(Line(name, [(100 * float(c), 100 * float(a)) for c, a, *_ in bins], notes, sizes))
    edges = np.linspace(0, 100, len(shares) + 1).tolist()
    bars = [(a, b, 100 * float(s)) for (a, b), s in zip(pairwise(edges), shares, strict=True) if s]
    x = Axis(label=f"{said.confidence}, %", low=0.0, high=100.0)
    y = Axis.percent(f"{said.accuracy}; share of {said.answers}")
    title = f"{said.accuracy.capitalize()} over {said.confidence}, %"
    return Chart(title=title, lines=lines, x=x, y=y, diagonal=True, bars=bars)


def _calibration_figures(outcome: Outcome) -> Calibration:
    """Return the figures, of a task that says probabilities."""
    return cast(Calibration, outcome.figures)


def _class_figures(outcome: Outcome) -> ClassFigures:
    if not isinstance(outcome.figures, ClassFigures):
        raise TypeError(f"the figures of `{outcome.target.name}` are not those of classes")
    return outcome.figures
