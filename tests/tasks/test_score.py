"""Scores: which is better, how they are written, and what classes and numbers make of outputs."""

import math

import pytest
import torch

from fovea.tasks.classes import Classes
from fovea.tasks.number import Number
from fovea.tasks.score import ACCURACY, Metric, Score

NAN = math.nan
ERROR = Metric("error", "mean error", higher_is_better=False)


@pytest.mark.parametrize(
    ("one", "other", "better"),
    [
        (Score(1.0, 0.5), None, True),
        (Score(1.0, 0.6), Score(0.1, 0.5), True),
        (Score(1.0, 0.5), Score(1.1, 0.5), True),
        (Score(1.0, 0.5), Score(1.0, 0.5), False),
        (Score(1.0, None), Score(1.1, None), True),
        (Score(NAN, None), Score(1.0, None), False),
        (Score(1.0, None), Score(NAN, None), True),
        (Score(NAN, 0.9), None, False),
    ],
)
def test_higher_accuracy_then_lower_loss_is_better_and_nan_never(one, other, better):
    assert one.better_than(other) is better


def test_where_a_lower_value_is_better_it_comes_first():
    assert Score(2.0, 1.0, ERROR).better_than(Score(1.0, 2.0, ERROR))
    assert not Score(1.0, 2.0, ERROR).better_than(Score(2.0, 1.0, ERROR))


def test_json_has_the_value_under_the_name_of_its_metric():
    assert Score(1.5, 0.5).to_dict() == {"loss": 1.5, "accuracy": 0.5}
    assert Score(1.5).to_dict() == {"loss": 1.5, "accuracy": None}
    for score in (Score(1.5, 3.0, ERROR), Score(0.5, 0.25)):
        assert Score.from_dict(score.to_dict(), score.metric) == score


def test_people_read_shares_in_percent_and_other_figures_as_they_are():
    assert (ACCURACY.text(0.98891), ACCURACY.difference(-0.0123), ACCURACY.axis) == (
        "98.89 %",
        "-1.23 points",
        "Accuracy, %",
    )
    assert (ERROR.text(2.34567), ERROR.difference(0.5), ERROR.axis) == ("2.346", "+0.5", "Mean error")
    assert (Score(1.0, 0.5).text("  val "), Score(1.0).text("  val ")) == ("  val accuracy 50.00 %", "")


def test_score_of_classes_has_accuracy_and_loss():
    target = Classes(names=("a", "b"))
    outputs = torch.tensor([[math.log(3), 0.0], [math.log(3), 0.0]])
    result = target.score(outputs, torch.tensor([0, 1]), target.criterion())
    assert result.value == 0.5
    assert result.loss == pytest.approx(-(math.log(0.75) + math.log(0.25)) / 2)


def test_score_of_numbers_has_a_loss_alone():
    result = Number().score(torch.tensor([[1.0], [2.0]]), torch.tensor([1.0, 4.0]), Number().criterion())
    assert result == Score(2.0, None)
