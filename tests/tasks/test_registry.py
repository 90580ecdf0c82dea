"""The registry of kinds of target: what is known, what is refused, and that a kind can be added and taken away."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from fovea import tasks
from fovea.errors import UsageError
from fovea.tasks.boxes import Boxes
from fovea.tasks.classes import Classes
from fovea.tasks.grade import Grade
from fovea.tasks.labels import SeveralLabels
from fovea.tasks.masks import Masks
from fovea.tasks.number import Number
from fovea.tasks.points import Points

OWN = ("classes", "number", "labels", "grade", "masks", "boxes", "points")
KINDS = [Classes, Number, SeveralLabels, Grade, Masks, Boxes, Points]
LOSSES = tuple(loss for kind in KINDS for loss in kind.losses)


@dataclass(frozen=True, kw_only=True)
class Angle(Number):
    """Stands for a further kind."""

    name: ClassVar[str] = "angle"
    losses: ClassVar[tuple[str, ...]] = ("cosine", "chord")


@pytest.fixture
def angle():
    """Make the kind known while a test runs."""
    yield tasks.register(Angle)
    tasks.unregister("angle")


def test_classes_come_first():
    assert tasks.names() == OWN
    assert [tasks.kind(name) for name in OWN] == KINDS


def test_the_losses_are_those_of_all_kinds_and_each_has_one():
    assert tasks.losses() == LOSSES
    assert len(set(LOSSES)) == len(LOSSES)
    assert {tasks.kind_of_loss(loss) for loss in LOSSES} == set(KINDS)
    assert tasks.kind_of_loss("corn") is Grade


def test_a_kind_is_known_from_its_registration_on(angle):
    assert tasks.names() == (*OWN, "angle")
    assert tasks.kind("angle") is tasks.kind_of_loss("chord") is angle
    assert tasks.losses() == (*LOSSES, "cosine", "chord")


def test_a_kind_is_forgotten():
    tasks.register(Angle)
    tasks.unregister("angle")
    assert tasks.names() == OWN


def test_an_unknown_kind_is_refused():
    with pytest.raises(UsageError) as caught:
        tasks.kind("regression")
    assert str(caught.value) == f"`--task regression` is not one of {', '.join(OWN)}."


def test_an_unknown_loss_lists_its_neighbours():
    with pytest.raises(UsageError) as caught:
        tasks.kind_of_loss("mes")
    known = ", ".join(sorted(LOSSES))
    assert str(caught.value) == f"Unknown loss `mes`; did you mean `mse`? Known: {known}."


@pytest.mark.parametrize("taken", [{"name": "number"}, {"losses": ("cosine", "mse")}])
def test_a_name_or_loss_belongs_to_one_kind(taken):
    tasks.names()
    kind = type("Other", (Angle,), taken)
    with pytest.raises(UsageError) as caught:
        tasks.register(kind)
    assert str(caught.value) == (
        f"Task `{kind.name}`: its name or one of its losses is already used by `number`; choose another."
    )
    assert tasks.names() == OWN


@pytest.mark.parametrize(
    ("loss", "task"),
    [("cross-entropy", "classes"), ("binary", "classes"), ("mse", "number"), ("bce", "labels"), ("corn", "grade")],
)
def test_a_loss_fits_its_own_kind(loss, task):
    tasks.check_loss(loss, task)


@pytest.mark.parametrize(("loss", "task"), [("mse", "classes"), ("cross-entropy", "number")])
def test_a_loss_of_another_kind_is_refused(loss, task):
    with pytest.raises(UsageError) as caught:
        tasks.check_loss(loss, task)
    known = {"classes": "cross-entropy or binary or margin", "number": "mse"}[task]
    assert str(caught.value) == f"`loss` (={loss}) cannot be used with --task {task}; use {known}."


def test_the_rule_names_the_losses_of_further_kinds(angle):
    with pytest.raises(UsageError) as caught:
        tasks.check_loss("mse", "angle")
    assert str(caught.value) == "`loss` (=mse) cannot be used with --task angle; use cosine or chord."
