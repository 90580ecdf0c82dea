"""Slices of every kind of target, by hand."""

import json

import numpy as np
import pytest
import torch

from fovea.evaluation.outcome import Outcome
from fovea.evaluation.slices import sliced
from fovea.metrics import error_interval, wilson_interval
from fovea.tasks.grade import Grade
from fovea.tasks.labels import SeveralLabels
from fovea.tasks.number import Number

CAMERA = dict(zip("abcdef", ["old", "old", "old", "new", "new", ""], strict=True))


def outcome(target, outputs, labels):
    outputs, labels = torch.tensor(outputs, dtype=torch.float32), np.array(labels)
    return Outcome(data="d", split="test", target=target, outputs=outputs, labels=labels, names=tuple("abcdef"))


def by_value(slices):
    return {entry.value: entry for entry in slices.values}


def test_classes_are_counted_with_wilson_intervals(make_outcome):
    found = by_value(sliced(make_outcome(), "camera", CAMERA))  # b and f are wrong
    assert {value: entry.accuracy for value, entry in found.items()} == {"": 0, "new": 1, "old": pytest.approx(2 / 3)}
    assert found["old"].interval == wilson_interval(2, 3)


def test_json_of_classes_keeps_its_keys_and_their_order(make_outcome):
    found = json.loads(json.dumps(sliced(make_outcome(), "camera", CAMERA).to_dict()))
    assert list(found) == ["column", "values"]
    assert [list(entry) for entry in found["values"]] == [["value", "images", "accuracy", "interval"]] * 3


def test_text_of_classes(make_outcome):
    assert sliced(make_outcome(), "camera", CAMERA).summary() == [
        "",
        "camera  accuracy      95 % interval   images",
        "           0.0 %    0.0 % to  79.3 %       1",
        "old       66.7 %   20.8 % to  93.9 %       3",
        "new      100.0 %   34.2 % to 100.0 %       2",
    ]


def test_numbers_have_their_mean_absolute_error_the_largest_first():
    numbers = outcome(Number(mean=0.0, std=1.0), [[0]] * 6, [1.0, 2.0, 3.0, 5.0, 7.0, 4.0])
    slices = sliced(numbers, "camera", CAMERA)
    found = by_value(slices)
    assert {value: entry.score for value, entry in found.items()} == {"": 4.0, "new": 6.0, "old": 2.0}
    assert found["new"].accuracy is None and found["old"].interval == error_interval(np.array([1.0, 2.0, 3.0]))
    assert list(slices.to_dict()["values"][1]) == ["value", "images", "mae", "interval"]
    assert slices.summary()[1:] == [
        "camera  mean absolute error    95 % interval   images",
        "new                       6       0 to  18.71       2",
        "                          4                 -       1",
        "old                       2       0 to  4.484       3",
    ]


def test_one_number_has_no_interval():
    (alone,) = sliced(
        outcome(Number(mean=0.0, std=1.0), [[0]] * 6, [1.0] * 6), "camera", dict.fromkeys("abcdef", "x") | {"f": "f"}
    ).values[:1]
    assert (alone.value, alone.images, alone.score, alone.interval) == ("f", 1, 1.0, None)


def test_grades_are_so_many_grades_off():
    sure = [[-9, -9], [9, -9], [9, 9]]  # the lowest, the middle and the highest grade
    answers = [sure[grade] for grade in (0, 1, 2, 0, 0, 2)]
    slices = sliced(outcome(Grade(names=("s", "m", "l")), answers, [0, 1, 1, 2, 1, 2]), "camera", CAMERA)
    assert {value: entry.score for value, entry in by_value(slices).items()} == {
        "": 0.0,
        "new": 1.5,
        "old": pytest.approx(1 / 3),
    }
    assert slices.summary()[1].startswith("camera  mean absolute error in grades")
    assert [line.split()[0] for line in slices.summary()[2:4]] == ["new", "old"]


def test_labels_have_mean_average_precision_where_an_image_has_one():
    target = SeveralLabels(names=("x", "y"), thresholds=(0.5, 0.5))
    outputs = [[3, 0], [2, 0], [1, 0], [1, 0], [2, 0], [0, 0]]
    labels = np.zeros((6, 2), np.float32)
    labels[[0, 2], 0] = 1  # of the old ones ranked first and third: (1 + 2/3) / 2
    labels[3, 0] = 1  # of the new ones ranked second: 1/2
    slices = sliced(outcome(target, outputs, labels), "camera", CAMERA)
    found = by_value(slices)
    assert {value: entry.score for value, entry in found.items()} == {"": None, "new": 0.5, "old": pytest.approx(5 / 6)}
    assert found[""].interval is None and found["old"].interval[0] < 5 / 6 <= found["old"].interval[1]
    lines = slices.summary()
    assert lines[1].startswith("camera  mean average precision      95 % interval")
    assert [line.split()[0] for line in lines[2:4]] == ["new", "old"] and lines[4].split() == ["-", "-", "1"]
    assert json.loads(json.dumps(slices.to_dict()))["values"][0] == {
        "value": "",
        "images": 1,
        "map": None,
        "interval": None,
    }
