"""The sections of a page on objects: average precision by class, precision over recall, the worst images."""

from typing import Any, NamedTuple, cast

import numpy as np

from fovea.evaluation.outcome import Outcome
from fovea.metrics.boxes import RECALLS, precision_at_recalls
from fovea.report.charts import Axis, Chart, Line
from fovea.report.confusion import confusion_values
from fovea.report.page import picture
from fovea.tasks.box_figures import BoxFigures
from fovea.tasks.box_scoring import CLASS, SCORE
from fovea.tasks.boxes import Boxes
from fovea.tasks.drawn import boxed, colour_of, pointed
from fovea.tasks.point_figures import PointFigures

BACKGROUND = "background"
NO_CONFUSION = {"confusion": None, "confusion_picture": None}
CURVES = 6
"""Classes whose curve is drawn, those with most objects."""
SHOWN = 12
SIDE = 480
"""Pixels of the longer side of a picture."""


class ObjectRow(NamedTuple):
    """A class of objects as the page shows it."""

    name: str
    ap: float
    ap50: float
    objects: int
    colour: str
    """As CSS writes it."""


def box_classes(outcome: Outcome) -> dict[str, Any]:
    """Return the classes, precision over recall, and what costs AP50."""
    figures, names = cast(BoxFigures, outcome.figures), outcome.target.classes
    rows = [ObjectRow(*row, "#{:02x}{:02x}{:02x}".format(*colour_of(names.index(row.name)))) for row in figures.rows]
    counts = figures.error_counts or {}
    errors = sorted((figures.errors or {}).items(), key=lambda one: -one[1])
    return {
        "box_rows": rows,
        "precision_recall": _curves(outcome),
        "box_errors": [(name, counts.get(name), cost) for name, cost in errors],
        "box_sizes": _sizes(figures),
        "box_least": figures.least_score,
        "box_names": [*names, BACKGROUND],
        **(confusion_values(np.array(figures.confusion)) if figures.confusion else NO_CONFUSION),
    }


def point_rows(outcome: Outcome) -> dict[str, Any]:
    """Return the points, the worst first."""
    return {"point_rows": cast(PointFigures, outcome.figures).rows}


def found_points(outcome: Outcome) -> dict[str, Any]:
    """Return the worst images, each with its true points and with those that were found."""
    shown = []
    for mistake in outcome.mistakes[:SHOWN]:
        images = []
        if outcome.picture is not None:
            image, truth = outcome.picture(mistake.image), np.asarray(outcome.labels[mistake.image])
            found = outcome.outputs[mistake.image].numpy()
            images = [
                ("truth", picture(pointed(image, truth[truth[:, 2] > 0]), side=SIDE)),
                ("found", picture(pointed(image, found), side=SIDE)),
            ]
        shown.append((mistake, outcome.names[mistake.image], images))
    return {"found_boxes": shown}


def _curves(outcome: Outcome) -> Chart:
    target, figures = cast(Boxes, outcome.target), cast(BoxFigures, outcome.figures)
    chosen = sorted(figures.rows, key=lambda row: -row.objects)[:CURVES]
    matches = target.matches(outcome.outputs, outcome.labels)
    lines = []
    for row in chosen:
        precision = precision_at_recalls(matches[target.names.index(row.name)], 0)[0]
        lines.append(Line(row.name, list(zip((100 * RECALLS).tolist(), (100 * precision).tolist(), strict=True))))
    x = Axis(label="recall, %", low=0.0, high=100.0)
    return Chart(title="Precision over recall at an overlap of 0.5, %", lines=lines, x=x, y=Axis.percent("precision"))


def _sizes(figures: BoxFigures) -> Chart | None:
    """Return how many objects have which size, and how many of these are found; None where there are none."""
    if not figures.sizes:
        return None
    total = sum(each["objects"] for each in figures.sizes)
    bars = [(each["low"], each["high"], 100 * each["objects"] / total) for each in figures.sizes if each["objects"]]
    own = [each for each in figures.sizes if each["objects"]]
    points = [((each["low"] * each["high"]) ** 0.5, 100 * each["found"] / each["objects"]) for each in own]
    notes = [
        f"{each['low']:.0f} to {each['high']:.0f} pixels: {each['found']:,} of {each['objects']:,} found"
        for each in own
    ]
    x = Axis.over(
        "side of a square of the same area, pixels of the image", [end for bar in bars for end in bar[:2]], log=True
    )
    y = Axis.percent("share")
    return Chart(
        title="Objects by size, and the share that is found, %",
        lines=[Line("found", points, notes)],
        x=x,
        y=y,
        bars=bars,
    )


def found_boxes(outcome: Outcome) -> dict[str, Any]:
    """Return the worst images, each with its true boxes and with those that were found."""
    shown = []
    for mistake in outcome.mistakes[:SHOWN]:
        images = []
        if outcome.picture is not None:
            image, names = outcome.picture(mistake.image), outcome.target.classes
            truth = np.array(outcome.labels[mistake.image][:, : SCORE + 1], np.float64)
            found = outcome.outputs[mistake.image].numpy()
            truth[:, SCORE] = np.nan
            told = found[found[:, SCORE] >= cast(Boxes, outcome.target).least]
            images = [
                ("truth", picture(boxed(image, truth[truth[:, CLASS] >= 0], names), side=SIDE)),
                ("found", picture(boxed(image, told[told[:, CLASS] >= 0], names), side=SIDE)),
            ]
        shown.append((mistake, outcome.names[mistake.image], images))
    return {"found_boxes": shown}
