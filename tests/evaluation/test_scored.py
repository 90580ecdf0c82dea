"""A score of some images: how it is written, and which of two is worse."""

import pytest

from fovea.evaluation.scored import Scored, ScoredWithin, brief
from fovea.tasks.score import ACCURACY, Metric

ERROR = Metric("mae", "mean absolute error", higher_is_better=False)


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [(ACCURACY, 0.93742, "93.7 %"), (ERROR, 0.93742, "0.9374"), (ERROR, 12345.6, "1.235e+04"), (ACCURACY, None, "-")],
)
def test_shares_are_in_percent_and_errors_in_their_unit(metric, value, text):
    assert brief(metric, value) == Scored(metric=metric, score=value).text == text


def test_accuracy_is_an_attribute_where_it_is_what_is_measured():
    assert Scored(score=0.5).accuracy == 0.5
    assert Scored(metric=ERROR, score=0.5).accuracy is None


def test_the_worst_ranks_lowest_and_what_is_not_defined_last():
    def ranked(metric):
        return [one.score for one in sorted([Scored(metric=metric, score=s) for s in (1, None, 3, 2)], key=rank)]

    def rank(one):
        return one.rank

    assert ranked(ACCURACY) == [1, 2, 3, None]
    assert ranked(ERROR) == [3, 2, 1, None]


def test_json_has_the_name_of_the_metric():
    assert ScoredWithin(metric=ERROR, score=0.5, interval=(0.25, 0.75)).to_dict() == {
        "mae": 0.5,
        "interval": (0.25, 0.75),
    }
    assert ScoredWithin(score=None, interval=None).to_dict() == {"accuracy": None, "interval": None}


def test_an_interval_is_written_as_its_score_is():
    assert ScoredWithin(score=0.5, interval=(0.25, 1.0)).interval_text == " 25.0 % to 100.0 %"
    assert ScoredWithin(metric=ERROR, score=0.5, interval=(0.25, 0.75)).interval_text == "  0.25 to   0.75"
    assert ScoredWithin(score=0.5, interval=None).interval_text == "-"
