"""The sections of a page on objects: average precision by class, precision over recall, the worst images."""

from typing import Any, NamedTuple, cast

import numpy as np

from fovea.evaluation.outcome import Outcome
from fovea.metrics.boxes import RECALLS, precision_at_recalls
from fovea.report.charts import Axis, Chart, Line
from fovea.report.page import picture
from fovea.tasks.box_figures import BoxFigures
from fovea.tasks.box_scoring import CLASS, SCORE
from fovea.tasks.boxes import Boxes
from fovea.tasks.drawn import boxed, colour_of, pointed
from fovea.tasks.point_figures import PointFigures

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
    errors = sorted((figures.errors or {}).items(), key=lambda one: -one[1])
    return {"box_rows": rows, "precision_recall": _curves(outcome), "box_errors": errors}


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
        lines.append(Line(row.name, list(zip(RECALLS.tolist(), precision.tolist(), strict=True))))
    x, y = (Axis(label=label, low=0.0, high=1.0) for label in ("recall", "precision"))
    return Chart(title="Precision over recall, at an overlap of 0.5", lines=lines, x=x, y=y)


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
