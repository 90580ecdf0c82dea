"""What an evaluation says of itself: lines for a person, and the figures of its task as attributes."""

import numpy as np
import pytest

from fovea.evaluation.result import Evaluation
from fovea.tasks.class_figures import ClassFigures
from fovea.tasks.number import NumberFigures


def of(figures, **fields):
    return Evaluation(**{"data": "d", "split": "test", "images": 15, "figures": figures, **fields})


def class_figures(**fields):
    given = {"accuracy": 0.5, "interval": (0.4, 0.6), "nll": 1.0, "ece": 0.1, "per_class": {}, "confusion": []}
    return ClassFigures(**{**given, **fields})


def test_the_summary_shows_the_twenty_worst_classes_and_no_empty_ones():
    names = [f"c{index}" for index in range(30)]
    scores = {name: {"precision": 1.0, "recall": i / 30, "f1": 1.0, "support": i % 2} for i, name in enumerate(names)}
    lines = of(class_figures(per_class=scores, confusion=np.eye(30, dtype=int).tolist())).summary()
    assert [line.split()[0] for line in lines[4:]] == names[1::2]


def test_the_figures_of_the_task_are_attributes_and_those_of_another_are_none():
    classes = of(class_figures())
    assert (classes.accuracy, classes.interval, classes.top5, classes.mae, classes.r2) == (
        0.5,
        (0.4, 0.6),
        None,
        None,
        None,
    )
    number = of(NumberFigures(mae=1.0, rmse=2.0, r2=None))
    assert (number.mae, number.rmse, number.r2, number.accuracy, number.per_class) == (1.0, 2.0, None, None, None)
    with pytest.raises(AttributeError, match="an evaluation has no `accurracy`"):
        _ = number.accurracy


def test_the_accuracy_passes_from_what_was_asked_for():
    assert of(class_figures()).passed and of(class_figures(), min_accuracy=0.5).passed
    assert not of(class_figures(), min_accuracy=0.51).passed


def test_json_holds_the_figures_that_apply_in_order():
    found = of(NumberFigures(mae=1.0, rmse=2.0, r2=None), min_accuracy=None).to_dict()
    assert list(found) == ["data", "split", "images", "mae", "rmse", "protocol", "notes", "bad_files", "passed"]
