"""The sections of a page on what a network says of images, by the names that tasks give them."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.evaluation.outcome import Outcome
from fovea.metrics import calibration_bins
from fovea.report.charts import Axis, Chart, Line
from fovea.report.page import picture
from fovea.report.rasters import confusion_picture
from fovea.tasks.class_figures import ClassFigures
from fovea.tasks.classes import Classes

WRITTEN_OUT = 20
"""Classes up to which a confusion matrix has numbers and names."""
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


def percent(share: float) -> str:
    """Return a fraction with two digits, as `98.89 %`."""
    return f"{100 * share:.2f} %"


def _mistakes(outcome: Outcome) -> dict[str, Any]:
    """Return the worst answers, each with the name of its image and its picture."""
    shown = [
        (mistake, outcome.names[mistake.image], outcome.picture and picture(outcome.picture(mistake.image)))
        for mistake in outcome.mistakes
    ]
    return {"mistakes": shown}


def _classes(outcome: Outcome) -> dict[str, Any]:
    rows = _class_figures(outcome).rows
    few = min(EXTREMES, len(rows) // 2)
    return {
        "rows": rows,
        "listed": len(outcome.target.classes) <= LISTED,
        "worst": [row for row in rows[:few] if row.recall < 1],
        "best": rows[len(rows) - few :][::-1],
    }


def _confusion(outcome: Outcome) -> dict[str, Any]:
    figures, classes = _class_figures(outcome), len(outcome.target.classes)
    counts = np.array(figures.confusion)
    large = classes > WRITTEN_OUT
    return {
        "confusion": None if large else _cells(counts),
        "confusion_picture": picture(confusion_picture(counts), side=classes) if large else None,
        "confusions": figures.confusions(CONFUSIONS),
    }


def _calibration(outcome: Outcome) -> dict[str, Any]:
    figures = _class_figures(outcome)
    before = figures.ece if figures.ece_unscaled is None else figures.ece_unscaled
    return {
        "calibration": calibration_chart(outcome),
        "temperature": figures.temperature,
        "ece_before": before,
        "ece_after": figures.ece,
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
    "confusion": _confusion,
    "mistakes": _mistakes,
    "calibration": _calibration,
    "scatter": _scatter,
}
"""What each section needs; the macro of the same name in `results.html` shows it."""


def calibration_chart(outcome: Outcome) -> Chart:
    """Return accuracy over confidence, before and after temperature scaling, and how many images have which."""
    target = outcome.target
    if not isinstance(target, Classes):
        raise TypeError("only probabilities of classes are calibrated by a temperature")
    plain = target.at_temperature(1.0)
    found = {f"at temperature {task.temperature:.3g}": task.decode(outcome.outputs) for task in (plain, target)}
    lines = []
    for name, probabilities in found.items():
        confidence, accuracy, images = calibration_bins(probabilities, outcome.labels)
        bins = [(c, a, n) for c, a, n in zip(confidence, accuracy, images, strict=True) if n]
        notes = [f"{name}: of {n:,} images at confidence {percent(c)}, {percent(a)} are right" for c, a, n in bins]
        sizes = [SMALLEST + GROWTH * float(np.sqrt(n / len(outcome))) for _, _, n in bins]
        lines.append(Line(name, [(float(c), float(a)) for c, a, _ in bins], notes, sizes))
    share = images / len(outcome)
    edges = np.linspace(0, 1, len(share) + 1).tolist()
    bars = [(a, b, float(s)) for (a, b), s in zip(pairwise(edges), share, strict=True) if s]
    axes = (Axis(label=label, low=0.0, high=1.0) for label in ("confidence", "accuracy; share of images"))
    x, y = axes
    return Chart(title="Accuracy over confidence", lines=lines, x=x, y=y, diagonal=True, bars=bars)


def _class_figures(outcome: Outcome) -> ClassFigures:
    if not isinstance(outcome.figures, ClassFigures):
        raise TypeError(f"the figures of `{outcome.target.name}` are not those of classes")
    return outcome.figures


def _cells(counts: NDArray[np.int64]) -> Sequence[Sequence[tuple[int, float]]]:
    """Return (count, share of the true class) by row and column."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    pairs = zip(counts.tolist(), shares.tolist(), strict=True)
    return [list(zip(row, share, strict=True)) for row, share in pairs]
