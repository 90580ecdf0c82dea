"""How far a student is from its teacher, by hand and by the law that nothing is closer than the teacher itself."""

import math

import pytest
import torch

from fovea.tasks.classes import Classes
from fovea.tasks.grade import Grade
from fovea.tasks.labels import SeveralLabels
from fovea.tasks.number import Number

CLASSES = Classes(names=("a", "b", "c"))
KINDS = [
    CLASSES,
    Classes(names=("a", "b"), loss="binary"),
    Classes(names=("a", "b", "c"), loss="margin"),
    Grade(names=("1", "2", "3", "4")),
    SeveralLabels(names=("a", "b", "c"), thresholds=(0.5, 0.5, 0.5)),
    Number(),
]


def test_of_two_classes_it_is_the_divergence_by_hand():
    """Teacher 0.8 and 0.2, student 0.5 and 0.5, temperature 1: 0.8 ln 1.6 + 0.2 ln 0.4."""
    teacher, student = torch.tensor([[math.log(4.0), 0.0]]), torch.zeros(1, 2)
    found = Classes(names=("a", "b")).imitation(student, teacher, temperature=1.0)
    assert found.item() == pytest.approx(0.8 * math.log(1.6) + 0.2 * math.log(0.4))


def test_of_a_number_it_is_the_squared_difference():
    found = Number().imitation(torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [2.0]]), temperature=4.0)
    assert found.item() == pytest.approx(2.0)


@pytest.mark.parametrize("target", KINDS, ids=lambda kind: f"{kind.name}-{kind.loss}")
def test_it_is_zero_at_the_teacher_and_grows_from_there(target):
    generator = torch.Generator().manual_seed(0)
    teacher = torch.randn(5, target.outputs, generator=generator, dtype=torch.float64)
    student = teacher.clone().requires_grad_()
    loss = target.imitation(student, teacher, temperature=4.0)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12) and student.grad.abs().max() < 1e-12
    moved = target.imitation(teacher + torch.randn(teacher.shape, generator=generator), teacher, temperature=4.0)
    assert moved.item() > 1e-3


def test_the_gradient_keeps_its_size_at_high_temperature():
    """At high T it is that of half the squared difference of centred logits over K (equation 4 of the paper)."""
    generator = torch.Generator().manual_seed(0)
    teacher = torch.randn(1, 3, generator=generator, dtype=torch.float64)
    student = torch.randn(1, 3, generator=generator, dtype=torch.float64).requires_grad_()
    CLASSES.imitation(student, teacher, temperature=1e4).backward()
    difference = (student - teacher).detach()
    torch.testing.assert_close(student.grad, (difference - difference.mean()) / 3, rtol=1e-3, atol=1e-6)
