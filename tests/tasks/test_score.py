"""Scores and the metrics they are of, by hand."""

import json
import math

import pytest

from fovea.tasks.score import ACCURACY, Metric, Score

NAN = math.nan
MAE = Metric("mae", "mean absolute error", higher_is_better=False)


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


@pytest.mark.parametrize(
    ("one", "other", "better"),
    [((1.0, 2.0), (0.1, 3.0), True), ((0.1, 3.0), (1.0, 2.0), False), ((1.0, 2.0), (1.1, 2.0), True)],
)
def test_a_lower_error_then_a_lower_loss_is_better(one, other, better):
    assert Score(*one, MAE).better_than(Score(*other, MAE)) is better


@pytest.mark.parametrize(
    ("score", "values"),
    [
        (Score(0.25, 0.75), {"loss": 0.25, "accuracy": 0.75}),
        (Score(0.25), {"loss": 0.25, "accuracy": None}),
        (Score(0.25, 2.0, MAE), {"loss": 0.25, "mae": 2.0}),
    ],
)
def test_a_score_survives_json_under_the_name_of_its_metric(score, values):
    assert score.to_dict() == values and list(score.to_dict()) == list(values)
    assert Score.from_dict(json.loads(json.dumps(values)), score.metric) == score


def test_a_share_is_read_in_percent_and_another_figure_as_it_is():
    assert (ACCURACY.text(0.98889), MAE.text(2.34567)) == ("98.89 %", "2.346")
    assert (ACCURACY.difference(0.0123), MAE.difference(-0.5)) == ("+1.23 points", "-0.5")
    assert (ACCURACY.scale, ACCURACY.unit, ACCURACY.axis) == (100, " %", "Accuracy, %")
    assert (MAE.scale, MAE.unit, MAE.axis) == (1, "", "Mean absolute error")


def test_a_score_is_read_with_the_title_of_its_metric():
    assert Score(0.25, 0.75).text(", validation ") == ", validation accuracy 75.00 %"
    assert Score(0.25, 2.0, MAE).text("") == "mean absolute error 2"
    assert Score(0.25).text(", validation ") == ""
