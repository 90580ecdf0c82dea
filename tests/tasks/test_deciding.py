"""What each kind of target decides, and how far outputs are from deciding otherwise."""

import numpy as np
import pytest
import torch

from fovea.tasks.classes import Classes
from fovea.tasks.grade import Grade
from fovea.tasks.labels import SeveralLabels
from fovea.tasks.number import Number

TARGETS = {
    "classes": Classes(names=("a", "b", "c"), temperature=0.4),
    "binary": Classes(names=("a", "b"), loss="binary", temperature=3.0),
    "labels": SeveralLabels(names=("a", "b"), loss="bce", thresholds=(0.3, 0.9), temperature=1.7),
    "grade": Grade(names=("1", "2", "3", "4"), temperature=0.8),
}


def decided(target, outputs):
    return target.decisions(target.decode(outputs))


@pytest.fixture
def outputs(request):
    generator = torch.Generator().manual_seed(0)
    return 3 * torch.randn(400, TARGETS[request.param].outputs, generator=generator)


@pytest.mark.parametrize(
    ("name", "rows", "decisions"),
    [
        ("classes", [[0.2, 0.5, 0.3]], [[1]]),
        ("labels", [[0.31, 0.89], [0.3, 0.91]], [[True, False], [False, True]]),
        ("grade", [[0.4, 0.2, 0.2, 0.2], [0.1, 0.1, 0.1, 0.7]], [[1], [3]]),
    ],
)
def test_decisions_follow_from_rows(name, rows, decisions):
    assert TARGETS[name].decisions(np.array(rows)).tolist() == decisions


@pytest.mark.parametrize(
    ("target", "outputs", "margins"),
    [
        (Classes(names=("a", "b", "c")), [[1.0, 3.5, 3.0]], [[0.5]]),
        (Classes(names=("a", "b"), loss="binary"), [[-0.25], [2.0]], [[0.25], [2.0]]),
        (SeveralLabels(names=("a", "b"), loss="bce", thresholds=(0.5, 0.75)), [[1.5, 0.0]], [[1.5, np.log(3)]]),
        (Grade(names=("1", "2")), [[0.75]], [[0.75]]),
    ],
    ids=["classes", "binary", "labels", "grade"],
)
def test_margins_by_hand(target, outputs, margins):
    np.testing.assert_allclose(target.margins(torch.tensor(outputs)), margins, rtol=1e-6)


@pytest.mark.parametrize(("name", "outputs"), [(name, name) for name in TARGETS], indirect=["outputs"])
def test_outputs_that_move_by_less_than_half_the_margin_decide_alike(name, outputs):
    target = TARGETS[name]
    margins = target.margins(outputs)
    assert margins.shape == decided(target, outputs).shape and (margins >= 0).all()
    signs = torch.randint(0, 2, outputs.shape, generator=torch.Generator().manual_seed(1)) * 2 - 1
    for share in (-0.49, 0.49):
        # of several labels each moves by its own margin
        moved = outputs.double() + share * torch.from_numpy(margins) * signs / (
            outputs.shape[1] if name == "grade" else 1
        )
        assert (decided(target, moved) == decided(target, outputs)).all()


@pytest.mark.parametrize(
    ("name", "outputs"), [(name, name) for name in TARGETS if name != "classes"], indirect=["outputs"]
)
def test_outputs_that_all_move_by_the_margin_decide_otherwise_in_one_direction(name, outputs):
    target = TARGETS[name]
    step, before = torch.from_numpy(target.margins(outputs)) + 1e-6, decided(target, outputs)
    up, down = (decided(target, outputs.double() + sign * step) != before for sign in (1, -1))
    assert (up | down).all()


@pytest.mark.parametrize(("name", "outputs"), [("classes", "classes")], indirect=["outputs"])
def test_a_best_class_that_falls_by_the_margin_is_no_more_the_best(name, outputs):
    target = TARGETS[name]
    step, before = torch.from_numpy(target.margins(outputs)) + 1e-6, decided(target, outputs)
    moved = outputs.double().scatter_add(1, torch.from_numpy(before), -step)
    assert (decided(target, moved) != before).all()


def test_a_number_decides_nothing():
    target = Number(mean=30.0, std=5.0)
    outputs = torch.tensor([[0.5], [1.0]])
    assert decided(target, outputs).shape == target.margins(outputs).shape == (2, 0)
