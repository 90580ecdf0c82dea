"""The part of a page on what a network says of images: classes, confusions, mistakes, calibration, errors."""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.report.charts import Axis, Chart, Line
from fovea.report.outcome import Outcome
from fovea.report.page import picture
from fovea.report.rasters import confusion_picture
from fovea.training.metrics import (
    calibration_bins,
    calibration_error,
    negative_log_likelihood,
    number_scores,
    top_k_accuracy,
)

WRITTEN_OUT = 20
"""Classes up to which a confusion matrix has numbers and names."""
LISTED = 30
"""Classes up to which all are listed at once."""
EXTREMES = 3
DRAWN_NUMBERS = 2000
SMALLEST, GROWTH = 2.0, 6.0
"""Radius of a dot for no images of a bin, and how much it grows for all: its area goes with their share."""


def result_values(outcome: Outcome) -> dict[str, Any]:
    """Return what `results.html` shows of an outcome."""
    worst = [
        (mistake, None if outcome.picture is None else picture(outcome.picture(mistake.image)))
        for mistake in outcome.mistakes
    ]
    figures = _class_values(outcome) if outcome.classes else _number_values(outcome)
    return {"outcome": outcome, "mistakes": worst, **figures}


def percent(share: float) -> str:
    """Return a fraction with two digits, as `98.89 %`."""
    return f"{100 * share:.2f} %"


def _class_values(outcome: Outcome) -> dict[str, Any]:
    rows, labels, classes = outcome.rows, outcome.labels, len(outcome.classes)
    few = min(EXTREMES, len(rows) // 2)
    large = classes > WRITTEN_OUT
    before, after = (calibration_error(p, labels) for p in (outcome.unscaled, outcome.probabilities))
    low, high = outcome.interval
    nll = negative_log_likelihood(outcome.probabilities, labels)
    return {
        "tiles": [
            ("accuracy", percent(outcome.accuracy), f"95 % interval {100 * low:.2f} to {percent(high)}"),
            *_top5(outcome),
            ("negative log-likelihood", f"{nll:.4f}", "nats an image"),
            ("calibration error", percent(after), "confidence against accuracy"),
        ],
        "rows": rows,
        "listed": classes <= LISTED,
        "worst": [row for row in rows[:few] if row.recall < 1],
        "best": rows[len(rows) - few :][::-1],
        "confusion": None if large else _cells(outcome.confusion),
        "confusion_picture": picture(confusion_picture(outcome.confusion), side=classes) if large else None,
        "confusions": outcome.confusions,
        "calibration": calibration_chart(outcome),
        "ece_before": before,
        "ece_after": after,
    }


def _top5(outcome: Outcome) -> list[tuple[str, str, str]]:
    if len(outcome.classes) <= 5:
        return []
    share = top_k_accuracy(outcome.unscaled, outcome.labels, k=5)
    return [("top-5 accuracy", percent(share), "the class is among the five most probable")]


def _cells(counts: NDArray[np.int64]) -> list[list[tuple[int, float]]]:
    """Return (count, share of the true class) by row and column."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    pairs = zip(counts.tolist(), shares.tolist(), strict=True)
    return [list(zip(row, share, strict=True)) for row, share in pairs]


def calibration_chart(outcome: Outcome) -> Chart:
    """Return accuracy over confidence, before and after temperature scaling, and how many images have which."""
    scaled = outcome.temperature != 1
    found = {"at temperature 1": outcome.unscaled} if scaled else {}
    found[f"at temperature {outcome.temperature:.3g}"] = outcome.probabilities
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


def _number_values(outcome: Outcome) -> dict[str, Any]:
    values = outcome.outputs[:, 0].double().numpy()
    scores = number_scores(values, outcome.labels)
    chosen = np.linspace(0, len(outcome) - 1, min(DRAWN_NUMBERS, len(outcome))).astype(int)
    points = [(float(outcome.labels[i]), float(values[i])) for i in chosen]
    both = [number for point in points for number in point]
    x, y = (Axis.over(label, both) for label in ("true", "predicted"))
    r2 = [] if scores.r2 is None else [("R²", f"{scores.r2:.4f}", "1 is perfect, 0 the mean itself")]
    return {
        "tiles": [
            ("mean absolute error", f"{scores.mae:.4g}", "in the unit of the labels"),
            ("root mean squared error", f"{scores.rmse:.4g}", "in the unit of the labels"),
            *r2,
        ],
        "scatter": Chart(title="Predicted over true", lines=[], x=x, y=y, diagonal=True),
        "points": points,
    }
