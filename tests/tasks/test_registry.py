"""The registry of kinds of target: what is known, and what may become so."""

import subprocess
import sys
from dataclasses import fields
from typing import ClassVar

import pytest

from fovea import tasks
from fovea.errors import UsageError
from fovea.tasks.classes import Classes
from fovea.tasks.number import Number


@pytest.fixture
def ranks():
    """Return a third kind, a number with a loss of its own, known while the test runs."""

    class Ranks(Number):
        name: ClassVar[str] = "ranks"
        noun: ClassVar[str] = "a rank"
        losses: ClassVar[tuple[str, ...]] = ("hinge",)

    yield tasks.register(Ranks)
    tasks.unregister("ranks")


def test_the_kinds_by_name_and_by_loss():
    assert tasks.names() == ("classes", "number")
    assert tasks.losses() == ("cross-entropy", "binary", "mse")
    assert (tasks.kind("classes"), tasks.kind("number")) == (Classes, Number)
    assert (tasks.kind_of_loss("binary"), tasks.kind_of_loss("mse")) == (Classes, Number)


def test_the_order_of_kinds_is_not_that_of_imports():
    code = "import sys, fovea.tasks.number; from fovea import tasks; sys.exit(tasks.names() != ('classes', 'number'))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_unknown_names_are_refused():
    with pytest.raises(UsageError, match=r"^`--task boxes` is none of classes, number\.$"):
        tasks.kind("boxes")
    with pytest.raises(
        UsageError, match=r"^Unknown loss `binry`; did you mean `binary`\? Known: binary, cross-entropy"
    ):
        tasks.kind_of_loss("binry")


def test_a_loss_of_another_kind_is_refused():
    tasks.check_loss("binary", "classes")
    tasks.check_loss("mse", "number")
    for loss, task in (("mse", "classes"), ("binary", "number")):
        with pytest.raises(
            UsageError,
            match=rf"^`loss` \(={loss}\) does not fit the task: mse is for --task number, the others for classes\.$",
        ):
            tasks.check_loss(loss, task)


def test_a_new_kind_is_known_everywhere(ranks):
    assert tasks.names() == ("classes", "number", "ranks")
    assert tasks.kind("ranks") is tasks.kind_of_loss("hinge") is ranks
    with pytest.raises(UsageError, match="mse is for --task number, hinge is for --task ranks, the others for classes"):
        tasks.check_loss("hinge", "classes")


def test_a_name_or_loss_belongs_to_one_kind(ranks):
    for twin in (
        type("Twin", (Number,), {"name": "ranks", "losses": ("other",)}),
        type("Twin", (Number,), {"name": "twin", "losses": ("hinge",)}),
    ):
        with pytest.raises(UsageError, match=r"its name or a loss is that of `ranks`; choose another\.$"):
            tasks.register(twin)
    assert "twin" not in tasks.names()


@pytest.mark.parametrize("name", tasks.names())
def test_every_kind_says_which_figures_it_finds(name):
    kind = tasks.kind(name)
    assert kind.losses and kind.noun and kind.sections
    assert len(set(kind.figure_names)) == len(kind.figure_names) > 0
    assert kind.metric.name in kind.figure_names
    assert "loss" in [f.name for f in fields(kind)]
