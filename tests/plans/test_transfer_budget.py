"""How trained weights are used in a time, by work that takes a time that is known."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import fovea.zoo  # noqa: F401 (registers the networks)
from fovea import registry
from fovea.data.dataset import Dataset, Part
from fovea.layers import Classifier
from fovea.plans import transfer_budget
from fovea.plans.transfer_budget import BOTH, Body, Terms, Timing, Way, _passes

PARTS = ["stem", "stage1", "stage2", "stage3"]
BODY = Body(PARTS, [0.01, 0.01, 0.005, 0.005], [torch.zeros(1)] * 5)
IMAGES = 100
"""Forward they take 3 s."""


class Known:
    """A timing by which each step takes as long for an image as is said."""

    def __init__(self, step_s):
        self.step_s = step_s

    def image_s(self, work):
        return self.step_s(len(work.args[1]) - 1)  # but the head


@pytest.fixture(scope="module")
def model():
    return registry.build("cifar_resnet20", classes=2)


def best(model, *, training_s, step_s=lambda parts: 0.02 * parts + 0.001):
    return transfer_budget._best_way(model, BODY, Known(step_s), Terms(IMAGES, training_s, head_s=12.0), None)


def test_with_time_enough_all_parts_learn_and_the_head_is_paid_for(model):
    assert best(model, training_s=120.0) == Way("none", 0, pytest.approx((120.0 - 12.0) / 8.1))


def test_with_less_time_fewer_parts_learn_behind_versions_that_pass_once(model):
    found = best(model, training_s=50.0)
    assert found.freeze == "stem" and found.views == 4
    assert found.epochs == pytest.approx((50.0 - 4 * 1) / 6.1)


def test_where_no_part_learns_often_enough_the_head_does_alone(model):
    found = best(model, training_s=40.0, step_s=lambda parts: 0.1 if parts else 0.01)
    assert found == Way("all", 4, (40.0 - 4 * 3) / 1)


def test_versions_that_would_take_most_of_the_time_are_made_at_each_step(model):
    def way(first, training_s):
        timing = Known(lambda parts: 0.02 * parts + 0.001)
        return transfer_budget._way(model, BODY, first, timing, Terms(IMAGES, training_s, head_s=1.0))

    assert way(1, 5.0).views == 2 and way(1, 4.0) == Way("stem", 0, pytest.approx((4.0 - 1) / 7.1))


def test_a_head_that_learns_alone_is_fitted_to_versions_that_take_most_of_the_time(model):
    found = best(model, training_s=13.0, step_s=lambda parts: 0.1 if parts else 0.001)
    assert found == Way("all", 2, pytest.approx((13.0 - 2 * 3) / 0.1))


def test_work_is_timed_in_the_precisions_that_a_training_may_be_given(model, monkeypatch):
    images = torch.rand(4, 3, 32, 32)
    assert isinstance(model, Classifier)
    assert transfer_budget._precisions(model, images, "float32") == ("float32",)
    monkeypatch.setattr(Timing, "image_s", lambda timing, _: 1.0 if timing.precisions == BOTH[:1] else 9.0)
    assert transfer_budget._precisions(model, images, "auto") == BOTH[:1]
    monkeypatch.setattr(Timing, "image_s", lambda *_: 1.0)
    assert transfer_budget._precisions(model, images, "auto") == BOTH


def test_the_faster_precision_counts():
    seen = []

    def work():
        seen.append(torch.is_autocast_enabled("cpu"))
        return torch.zeros(8)

    assert 0 < Timing(torch.device("cpu"), BOTH).image_s(work) < 1
    assert seen == [False, False, True, True]


def test_what_is_evaluated_in_the_end_counts_the_validation_part_twice():
    parts = {"train": range(100), "test": range(30)}
    assert transfer_budget._evaluated(SimpleNamespace(parts=parts), 0.2) == 2 * 20 + 30
    assert transfer_budget._evaluated(SimpleNamespace(parts={**parts, "val": range(7)}), 0.2) == 2 * 7 + 30


@pytest.mark.parametrize(
    ("epochs", "words"),
    [(-1.2, "less than one epoch"), (0.9, "less than one epoch"), (1.2, "about 1 epoch"), (7.6, "about 8 epochs")],
)
def test_the_epochs_that_a_budget_affords_are_said_in_words(epochs, words):
    assert _passes(epochs) == words


def test_the_size_is_the_largest_whose_features_fit_into_the_time():
    sizes = [
        transfer_budget._affordable(224, needed, 10.0, most=math.inf) for needed in (4.0, 5.9, 7.0, 9.9, 10.1, 1000.0)
    ]
    assert sizes == [320, 288, 256, 224, 192, 128]


def test_the_size_depends_on_how_large_images_are(tmp_path):
    sides = [transfer_budget._affordable(224, 0.1, 10.0, most=most) for most in (math.inf, 320, 300, 224)]
    assert sides == [320, 320, 288, 224]
    files = tuple(tmp_path / f"{number}.png" for number in range(100))
    for number, file in enumerate(files):
        Image.new("L", (200, 100 + number)).save(file)
    part = Part(labels=np.zeros(100, np.int64), names=tuple(map(str, files)), files=files)
    found = Dataset(name="made", parts={"train": part}, classes=("a", "b"), channels=3)
    assert transfer_budget.side_of_images(found) == 149.5
    assert transfer_budget.side_of_images(replace(found, native_size=(40, 30))) == 30
    gone = replace(found, parts={"train": replace(part, files=(tmp_path / "gone.png",) * 100)})
    assert transfer_budget.side_of_images(gone) == math.inf
