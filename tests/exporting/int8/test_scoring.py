import numpy as np
import pytest

from fovea.errors import UsageError
from fovea.exporting.int8.samples import Samples
from fovea.exporting.int8.scoring import cost, distance
from fovea.preprocess import Preprocess
from fovea.tasks.classes import Classes
from fovea.tasks.number import Number

PREPROCESS = Preprocess(size=(1, 1), channels=1, mean=(0.5,), std=(0.5,))
CLASSES = Classes(names=("a", "b"))


def samples(labels):
    return Samples(np.zeros((len(labels), 1, 1, 1), np.uint8), PREPROCESS, np.asarray(labels), "4 images of x")


def logits(*answers):
    return np.eye(2, dtype=np.float32)[list(answers)]


def test_one_more_mistake_of_four_is_25_points():
    found = cost(CLASSES, logits(0, 0, 1, 1), logits(0, 1, 1, 1), samples([0, 0, 1, 1]))
    assert (found.before, found.after, found.drop, found.changed) == (1.0, 0.75, 25.0, 1)
    assert found.interval[0] < 25 < found.interval[1]


def test_an_answer_that_becomes_right_lowers_the_drop():
    found = cost(CLASSES, logits(0, 1, 1, 0), logits(0, 0, 1, 1), samples([0, 0, 1, 0]))
    assert (found.drop, found.changed) == (0.0, 2)


def test_the_error_of_a_number_may_grow_by_percent():
    before = np.array([[0.1], [1.1], [2.1], [3.1]], np.float32)
    found = cost(Number(), before, before + 0.01, samples(np.arange(4, dtype=np.float32)))
    assert found.drop == pytest.approx(10, abs=0.1)
    assert found.interval is None


def test_logits_that_do_not_move_have_no_distance():
    values = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    assert distance(values, values) == 0
    assert distance(values, values + values.std(axis=0)) == pytest.approx(1)


def test_samples_without_labels_cannot_judge():
    unlabelled = Samples(np.zeros((2, 1, 1, 1), np.uint8), PREPROCESS)
    with pytest.raises(UsageError, match="accepted by the score on validation"):
        cost(CLASSES, logits(0, 1), logits(0, 1), unlabelled)


def test_the_facts_of_a_proof_are_json_values():
    found = cost(CLASSES, logits(0, 0, 1, 1), logits(0, 1, 1, 1), samples([0, 0, 1, 1])).to_dict()
    assert found["metric"] == "accuracy"
    assert (found["float"], found["int8"], found["images"], found["changed_decisions"]) == (1.0, 0.75, 4, 1)
