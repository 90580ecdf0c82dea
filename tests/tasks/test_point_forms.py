"""The forms in which networks answer points."""

import numpy as np
import pytest
import torch

from fovea import registry
from fovea.tasks import kind
from fovea.tasks.criteria.points import heat_maps
from fovea.tasks.point_forms import POINT_FORMS, POINT_LOSSES
from fovea.tasks.points import Points

SIZE = (32, 48)
POINTS = torch.tensor([[[10.0, 6.0, 2.0], [30.0, 22.0, 2.0]]])


def answers(name, points):
    """Return answers of this form, (1, ...) float32, for true points (1, P, 3)."""
    H, W = SIZE
    if name == "heat maps":
        return heat_maps(points, size=(H // 4, W // 4), stride=4)
    return (points[..., :2] / torch.tensor([W, H])).flatten(1)


def mirrored(points):
    """Return the points of a mirror image: each is where its partner was, counted from the other side."""
    found = points.flip(1).clone()
    found[..., 0] = SIZE[1] - found[..., 0]
    return found


forms = pytest.mark.parametrize("name", POINT_FORMS)


def test_the_forms_are_those_of_the_registry_and_each_has_a_loss_of_its_own():
    assert set(POINT_FORMS) == set(registry.FORMS["points"]) == set(POINT_LOSSES)
    assert kind("points").losses == tuple(POINT_LOSSES.values())


@forms
def test_what_is_answered_is_decoded(name):
    found = POINT_FORMS[name](points=2, size=SIZE).found(answers(name, POINTS).numpy())
    assert np.allclose(found[..., :2], POINTS[..., :2], atol=1.01 if name == "heat maps" else 1e-4)


@forms
def test_answers_for_a_mirror_image_are_those_for_the_image(name):
    form = POINT_FORMS[name](points=2, size=SIZE)
    back = form.unmirrored(answers(name, mirrored(POINTS)), [1, 0])
    assert torch.allclose(back, answers(name, POINTS), atol=1e-5)


@forms
def test_the_loss_is_least_where_answers_are_true(name):
    form = POINT_FORMS[name](points=2, size=SIZE)
    assert form.loss(answers(name, POINTS), POINTS) < 1e-6
    assert form.loss(answers(name, mirrored(POINTS)), POINTS) > 0.05


@forms
def test_what_speaks_for_a_point_can_be_followed_back(name):
    task = Points(names=("a", "b"), loss=POINT_LOSSES[name]).for_input(SIZE)
    out = answers(name, POINTS).requires_grad_()
    assert tuple(task.output_shape) in (tuple(out.shape[1:]), (2, None, None))
    task.evidence(out, torch.tensor([1])).sum().backward()
    assert out.grad.abs().sum() > 0


def test_coordinates_stay_inside_the_input():
    form = POINT_FORMS["coordinates"](points=1, size=SIZE)
    assert form.found(np.array([[-0.5, 1.5]])).tolist() == [[[0.0, 32.0, 1.0]]]
