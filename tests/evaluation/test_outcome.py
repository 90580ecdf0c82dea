"""What a page says of a part, by hand: six images, two of them wrong."""

import numpy as np
import pytest
import torch

from fovea.evaluation.outcome import WORST
from fovea.metrics import wilson_interval


def test_accuracy_classes_and_confusions_by_hand(make_outcome):
    figures = make_outcome().figures
    assert figures.accuracy == pytest.approx(4 / 6)
    assert figures.interval == wilson_interval(4, 6)
    assert [row.name for row in figures.rows] == ["owl", "dog", "cat"]  # recall 1/2, 2/3, 1
    cat = figures.rows[-1]
    assert (cat.precision, cat.recall, cat.images) == (pytest.approx(1 / 3), 1.0, 1)
    assert figures.confusion == [[1, 0, 0], [1, 2, 0], [1, 0, 1]]
    assert figures.confusions(10) == [(1, "dog", "cat"), (1, "owl", "cat")]


def test_the_surest_mistake_comes_first_with_both_probabilities(make_outcome):
    outcome = make_outcome()
    first, second = outcome.mistakes
    assert (first.image, outcome.names[first.image], first.truth, first.answer) == (1, "b", "dog", "cat")
    assert first.answer_probability == pytest.approx(np.exp(3) / (np.exp(3) + 2))
    assert first.truth_probability == pytest.approx(1 / (np.exp(3) + 2))
    assert (outcome.names[second.image], second.truth, second.answer) == ("f", "owl", "cat")


def test_temperature_changes_probabilities_and_no_answer(make_outcome):
    cool, warm = make_outcome(), make_outcome(temperature=3.0)
    assert warm.mistakes[0].answer_probability == pytest.approx(np.e / (np.e + 2))
    assert warm.figures.accuracy == cool.figures.accuracy and warm.figures.ece_unscaled == cool.figures.ece


def test_classes_without_images_are_left_out(make_outcome):
    assert [row.name for row in make_outcome(labels=np.array([0, 0, 1, 1, 1, 1])).figures.rows] == ["dog", "cat"]


def test_a_sigmoid_unit_speaks_of_two_classes(make_outcome):
    outcome = make_outcome(("no", "yes"), outputs=torch.tensor([[2.0], [-1], [3], [1], [-2], [-4]]),
                           labels=np.array([1, 0, 1, 0, 0, 1]))  # fmt: skip
    assert [outcome.names[mistake.image] for mistake in outcome.mistakes] == ["f", "d"]
    assert outcome.mistakes[0].answer == "no"


def test_numbers_that_are_furthest_off_come_first(make_outcome):
    outcome = make_outcome((), outputs=torch.arange(6.0)[:, None], labels=np.array([0, 1, 5, 3, 4, 6.5]))
    assert [(outcome.names[m.image], m.truth, m.answer) for m in outcome.mistakes[:2]] == [
        ("c", "5", "2"),
        ("f", "6.5", "5"),
    ]


def test_a_page_shows_so_many_mistakes_and_no_more(make_outcome):
    many = make_outcome(outputs=torch.eye(3).repeat(100, 1), labels=(np.arange(300) + 1) % 3, names=("x",) * 300)
    assert len(many.mistakes) == WORST
