"""What each kind of target says to those who explain a network: whether an answer is given, and which are explained."""

import numpy as np
import torch

from fovea.tasks.classes import Classes
from fovea.tasks.grade import Grade
from fovea.tasks.labels import SeveralLabels
from fovea.tasks.number import Number

NAN = float("nan")
ABC = Classes(names=("a", "b", "c"))
BINARY = Classes(names=("cat", "dog"), loss="binary")
AB = SeveralLabels(names=("a", "b"), thresholds=(0.5, 0.25))
SML = Grade(names=("small", "medium", "large"))


def logits(*rows):
    """Return outputs whose sigmoids are these rows."""
    p = torch.tensor(rows, dtype=torch.float64)
    return p.log() - (1 - p).log()


def test_a_class_is_decided_for_where_it_is_answered():
    outputs = torch.tensor([[1.0, 3.0, 2.0], [4.0, 3.0, 2.0]])
    assert ABC.decided(outputs, torch.tensor([1, 1])).tolist() == [True, False]
    one = torch.tensor([[0.5], [-0.5], [0.0]])
    assert BINARY.decided(one, torch.tensor([1, 1, 1])).tolist() == [True, False, False]
    assert BINARY.decided(one, torch.tensor([0, 0, 0])).tolist() == [False, True, True]


def test_the_answer_is_explained_and_of_a_mistake_the_truth_too():
    outputs = torch.tensor([[1.0, 3.0, 2.0]])
    assert (ABC.asked(outputs), ABC.asked(outputs, np.int64(2)), ABC.asked(outputs, 1)) == ([1], [1, 2], [1])
    assert BINARY.asked(torch.tensor([[-1.0]]), 1) == [0, 1]


def test_a_label_is_decided_for_where_it_is_above_its_threshold():
    outputs = logits([0.6, 0.2], [0.4, 0.3])
    assert AB.decided(outputs, torch.tensor([0, 0])).tolist() == [True, False]
    assert AB.decided(outputs, torch.tensor([1, 1])).tolist() == [False, True]
    assert AB.at_temperature(4.0).decided(outputs, torch.tensor([1, 1])).tolist() == [True, True]


def test_each_label_that_is_given_is_explained_and_of_a_mistake_each_that_is_wrong():
    assert AB.asked(logits([0.6, 0.9])) == [1, 0]
    assert AB.asked(logits([0.3, 0.2])) == [0]  # none is given: the most probable
    assert AB.asked(logits([0.6, 0.9]), np.array([0.0, 1.0])) == [0]
    assert AB.asked(logits([0.6, 0.1]), np.array([0.0, 1.0])) == [1, 0]
    assert AB.asked(logits([0.6, 0.1]), np.array([0.0, NAN])) == [0]


def test_a_grade_is_decided_for_where_it_is_answered():
    outputs = torch.tensor([[-2.0, -2.0], [2.0, 2.0], [2.0, -2.0]])
    assert SML.answers(outputs).tolist() == [0, 2, 1]
    assert SML.decided(outputs, torch.tensor([0, 0, 1])).tolist() == [True, False, True]
    assert SML.asked(outputs[:1], 2) == [0, 2]


def test_a_number_decides_nothing_and_is_itself_explained():
    outputs = torch.tensor([[2.0]])
    assert Number().decided(outputs, torch.tensor([0])) is None
    assert Number().asked(outputs, 3.5) == [0]
