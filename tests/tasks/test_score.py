"""Scores: which is better, and how metrics are written."""

import math

import pytest

from fovea.tasks.score import ACCURACY, Metric, Score

NAN = math.nan
ERROR = Metric("mae", "mean absolute error", higher_is_better=False)


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


def test_of_errors_the_lower_is_better():
    assert Score(2.0, 0.1, ERROR).better_than(Score(1.0, 0.2, ERROR))
    assert not Score(1.0, 0.2, ERROR).better_than(Score(2.0, 0.1, ERROR))


@pytest.mark.parametrize("score", [Score(0.25, 0.75), Score(0.25, None), Score(0.5, 1.5, ERROR)])
def test_a_score_comes_back_from_json(score):
    assert Score.from_dict(score.to_dict(), score.metric) == score


def test_the_value_stands_under_the_name_of_its_metric():
    assert Score(0.25, 0.75).to_dict() == {"loss": 0.25, "accuracy": 0.75}
    assert Score(0.25, None).to_dict() == {"loss": 0.25, "accuracy": None}
    assert Score(0.5, 1.5, ERROR).to_dict() == {"loss": 0.5, "mae": 1.5}


def test_a_person_reads_the_metric_where_there_is_one():
    assert Score(0.25, 0.7512).text("  val ") == "  val accuracy 75.12 %"
    assert Score(0.25, None).text("  val ") == ""
    assert Score(0.5, 1.23456, ERROR).text("") == "mean absolute error 1.235"


def test_shares_are_read_in_percent_and_other_figures_as_they_are():
    assert (ACCURACY.text(0.98886), ACCURACY.difference(0.0123), ACCURACY.axis) == (
        "98.89 %",
        "+1.23 points",
        "Accuracy, %",
    )
    assert (ERROR.text(2.34567), ERROR.difference(-0.5), ERROR.axis) == ("2.346", "-0.5", "Mean absolute error")
    assert (ACCURACY.scale, ACCURACY.unit, ERROR.scale, ERROR.unit) == (100, " %", 1, "")
