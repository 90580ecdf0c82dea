"""What an evaluation says of itself: lines for a person, and the figures of its task as attributes."""

import numpy as np
import pytest

from fovea.evaluation.result import Evaluation
from fovea.tasks.class_figures import ClassFigures
from fovea.tasks.classes import Classes
from fovea.tasks.number import Number, NumberFigures


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


def of_numbers(**min_scores):
    return of(NumberFigures(mae=1.0, rmse=2.0, r2=None), scores=Number.scores, min_scores=min_scores)


def test_an_error_passes_up_to_what_was_asked_for_and_a_score_from_it_on():
    assert of_numbers(mae=1.0).passed and of_numbers(rmse=2.0).passed
    assert of_numbers(mae=0.99).shortfalls == ["mae 1.0000 is worse than --min-score mae=0.99"]
    classes = {"scores": Classes.scores, "min_scores": {"accuracy": 0.5, "nll": 1.0, "ece": 0.1}}
    assert of(class_figures(), **classes).passed
    below = of(class_figures(), **{**classes, "min_scores": {"accuracy": 0.51, "nll": 0.5}})
    assert below.shortfalls == [
        "accuracy 0.5000 is worse than --min-score accuracy=0.51",
        "nll 1.0000 is worse than --min-score nll=0.5",
    ]
    assert not below.passed


def test_a_score_that_is_not_defined_fails_with_a_line_of_its_own():
    assert of_numbers(r2=0.5).shortfalls == ["r2 is undefined for these images, so --min-score r2=0.5 fails"]


def test_a_score_that_is_not_a_number_fails():
    found = of(NumberFigures(mae=float("nan"), rmse=2.0, r2=None), scores=Number.scores, min_scores={"mae": 1.0})
    assert found.shortfalls == ["mae nan is worse than --min-score mae=1"]


def test_a_shortfall_that_rounding_would_hide_is_shown_in_full():
    found = of(NumberFigures(mae=0.50001, rmse=2.0, r2=None), scores=Number.scores, min_scores={"mae": 0.5})
    assert found.shortfalls == ["mae 0.50001 is worse than --min-score mae=0.5"]


def test_all_that_was_asked_for_must_be_reached():
    asked = {"scores": Classes.scores, "min_accuracy": 0.6, "min_scores": {"nll": 0.5}}
    assert of(class_figures(), **asked).shortfalls == [
        "accuracy 0.5000 is below --min-accuracy 0.6",
        "nll 1.0000 is worse than --min-score nll=0.5",
    ]
    assert not of(class_figures(), **{**asked, "min_scores": {}}).passed
    assert not of(class_figures(), **{**asked, "min_accuracy": None}).passed


def test_json_names_the_scores_that_were_asked_for_where_there_are_any():
    assert of_numbers(mae=2.0).to_dict()["min_scores"] == {"mae": 2.0}
    assert "min_scores" not in of_numbers().to_dict() and "scores" not in of_numbers().to_dict()
