"""What a network says of an image, as a label that a person accepts or corrects."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from fovea.data.annotating.covered import label_of
from fovea.data.annotating.kinds import MOST_OBJECTS, VISIBLE, Size, kind_named
from fovea.data.annotating.outlines import outer_ring
from fovea.instances import measures
from fovea.preprocess import VOID
from fovea.tasks.box_prediction import BoxPrediction
from fovea.tasks.mask_objects import Singling
from fovea.tasks.mask_prediction import MaskPrediction
from fovea.tasks.number import Number
from fovea.tasks.point_prediction import PointPrediction
from fovea.tasks.prediction import Prediction

SMALLEST_AREA = 9
"""Pixels: smaller objects of a mask are not proposed as polygons."""


def proposed(kind: str, prediction: Prediction, classes: Sequence[str], size: Size) -> Any:
    """Return the label of a kind that a prediction on an image of a size amounts to; None if it says none.

    What the network calls by a name that is not one of the classes is left out.
    """
    found = _PROPOSED[kind](prediction, classes)
    return None if found is None else kind_named(kind).checked(found, classes, size)


def _class(prediction: Prediction, classes: Sequence[str]) -> Any:
    return prediction.label if prediction.label in classes else None


def _labels(prediction: Prediction, classes: Sequence[str]) -> Any:
    return None if prediction.present is None else [name for name, _ in prediction.present if name in classes]


def _number(prediction: Prediction, _: Sequence[str]) -> Any:
    return prediction.value


def _boxes(prediction: Prediction, classes: Sequence[str]) -> Any:
    said = cast(BoxPrediction, prediction)
    rows = zip(said.scores, said.found, strict=True)
    return [{"label": name, "box": row[1:5].tolist()} for (name, _), row in rows if name in classes]


def _covered(prediction: Prediction, classes: Sequence[str]) -> Any:
    said = cast(MaskPrediction, prediction)
    index = np.full(256, VOID, np.uint8)
    for number, name in enumerate(said.classes):
        if name in classes:
            index[number] = classes.index(name)
    return label_of(index[said.mask], classes)


def _polygons(prediction: Prediction, classes: Sequence[str]) -> Any:
    said = cast(MaskPrediction, prediction)
    found = Singling(way="connected", least_area=SMALLEST_AREA).objects(said.mask, said.classes)
    proposals = []
    for number, (x0, y0, x1, y1) in enumerate(measures(found.objects).boxes.tolist(), start=1):
        name = said.classes[int(found.classes[number - 1])]
        if name in classes:
            ring = outer_ring(found.objects[y0:y1, x0:x1] == number)
            moved = [value + (y0 if index % 2 else x0) for index, value in enumerate(ring)]
            proposals.append({"label": name, "rings": [moved]})
    return proposals[:MOST_OBJECTS]


def _points(prediction: Prediction, classes: Sequence[str]) -> Any:
    said = cast(PointPrediction, prediction)
    places = {name: [x, y, VISIBLE] for name, (x, y, _) in zip(said.names, said.points.tolist(), strict=True)}
    return [places.get(name, [0, 0, 0]) for name in classes]


_PROPOSED: Mapping[str, Callable[[Prediction, Sequence[str]], Any]] = {
    "classes": _class,
    "labels": _labels,
    "grade": _class,
    Number.name: _number,
    "boxes": _boxes,
    "polygons": _polygons,
    "brush": _covered,
    "points": _points,
}
"""By kind of label."""
