"""One thing in an image, and what speaks for it."""

import numpy as np
import pytest
import torch

from fovea.errors import UsageError
from fovea.tasks.box_forms import BOX_FORMS, BOX_LOSSES
from fovea.tasks.boxes import Boxes
from fovea.tasks.focus import Wanted
from fovea.tasks.masks import Masks
from fovea.tasks.points import Points

SIZE = (64, 64)


def test_the_evidence_for_a_region_is_the_mean_logit_of_its_own_pixels():
    """Two squares of one class, apart: only that under the place counts."""
    outputs = torch.zeros(1, 2, 8, 8)
    outputs[0, 1, 1:3, 1:3], outputs[0, 1, 5:8, 5:8] = 3.0, 5.0
    focus = Masks(names=("ground", "cell"), loss="mask").focus(outputs, Wanted(at=(6.5, 7.0), size=(8, 8)))
    assert (focus.answer, focus.text) == (1, "cell, a region of 9 pixels")
    assert focus.evidence(outputs).tolist() == [5.0]
    changed = torch.cat([outputs, outputs + 1])
    assert focus.evidence(changed).tolist() == [5.0, 6.0]


def test_maps_of_valid_convolutions_lie_in_the_middle():
    outputs = torch.zeros(1, 2, 4, 4)
    outputs[0, 1, 0, 0] = 1
    task = Masks(names=("ground", "cell"), loss="mask")
    assert task.focus(outputs, Wanted(at=(2.5, 2.5), size=(8, 8))).answer == 1
    with pytest.raises(UsageError, match="predicts no class for that pixel"):
        task.focus(outputs, Wanted(at=(1.5, 2.5), size=(8, 8)))


@pytest.mark.parametrize("name", BOX_FORMS)
def test_the_evidence_for_a_box_is_what_its_score_comes_of(name):
    """What speaks for the box that is told is, as a score, the score that is told; its gradient reaches the outputs."""
    task = Boxes(names=("a", "b", "c"), loss=BOX_LOSSES[name], least=0.02).for_input(SIZE)
    C = task.output_shape[0]
    shape = {"centres": (C, 16, 16), "anchors": task.output_shape, "yolo": (C, 2, 2), "yolo2": (C, 2, 2), "one": (C,)}
    outputs = torch.from_numpy(np.random.default_rng(0).normal(0, 0.7, (1, *shape[name])).astype(np.float32))
    outputs = outputs.abs() if name == "yolo" else outputs
    outputs.requires_grad_()
    told = task.prediction(task.rows_of(outputs.detach().numpy())[0])
    for number in {1, len(told.scores)}:
        focus = task.focus(outputs, Wanted(number=number, size=SIZE))
        assert focus.text.startswith(f"{told.scores[number - 1].label} ")
        value = focus.evidence(outputs)
        each = task.form.score_of(task.form.class_logits(outputs))[0, focus.answer]
        score = told.scores[number - 1].probability
        assert (each - score).abs().min() < 1e-5
        (gradient,) = torch.autograd.grad(value.sum(), outputs)
        assert gradient.abs().sum() > 0


def test_objects_are_found_by_number_or_place_and_others_are_refused_in_one_line():
    task = Boxes(names=("a", "b"), loss="centres", least=0.3).for_input(SIZE)
    outputs = torch.full((1, 6, 16, 16), -5.0)
    outputs[0, 1, 4, 4], outputs[0, 0, 12, 12] = 2.0, 1.0
    outputs[0, 2:] = 0.0  # boxes of two cells a side
    assert task.focus(outputs, Wanted(number=1, size=SIZE)).answer == 1
    assert task.focus(outputs, Wanted(at=(50.0, 50.0), size=SIZE)).text == "a 73 %, object 2 of 2 (8 x 8 pixels)"
    with pytest.raises(UsageError, match=r"`object` \(=3\) must be from 1 to 2"):
        task.focus(outputs, Wanted(number=3, size=SIZE))
    with pytest.raises(UsageError, match="No object is found at that pixel"):
        task.focus(outputs, Wanted(at=(1.0, 60.0), size=SIZE))
    with pytest.raises(UsageError, match="no object is found"):
        task.focus(outputs - 20, Wanted(number=1, size=SIZE))


def test_the_nearest_point_is_meant_or_that_with_a_number():
    task = Points(names=("eye", "nose"), loss="heat-maps").for_input(SIZE)
    outputs = torch.zeros(1, 2, 16, 16)
    outputs[0, 0, 2, 2], outputs[0, 1, 10, 10] = 1.0, 2.0
    assert task.focus(outputs, Wanted(at=(40.0, 40.0), size=SIZE)).text == "nose"
    focus = task.focus(outputs, Wanted(number=1, size=SIZE))
    assert focus.text == "eye" and focus.evidence(outputs).tolist() == [1.0]
    with pytest.raises(UsageError, match="must be from 1 to 2"):
        task.focus(outputs, Wanted(number=3, size=SIZE))
