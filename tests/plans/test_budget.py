"""Plans for a time: by what the machine manages."""

import numpy as np
import pytest
import torch

import fovea.zoo  # noqa: F401 (registers the networks)
from fovea.data.dataset import Dataset, Part
from fovea.plans import budget
from fovea.plans.budget import FEWEST_SHARE, PHOTOGRAPHS, USED_FOR_STEPS, budget_plan, expected_training_s
from fovea.training.recipe import Recipe
from fovea.training.tuning import Setting

CPU = torch.device("cpu")


def dataset(images, *, native_size=None):
    part = Part(labels=np.arange(images) % 5, names=tuple(map(str, range(images))), files=())
    return Dataset(name="made", parts={"train": part}, classes=tuple("abcde"), channels=3, native_size=native_size)


@pytest.fixture
def machine(monkeypatch):
    """Return a function that sets how many million multiply-adds this machine does in a second."""

    def works_at(rate):
        def timed(candidate, data, recipe, device, *, seconds):
            macs = candidate.width**2 * candidate.size**2  # in units of its own
            return Setting(threads=2, precision="float32", step_s=recipe.batch * macs / rate)

        monkeypatch.setattr(budget, "_timed", timed)

    return works_at


def test_a_faster_machine_gets_a_larger_network(machine):
    chosen = []
    for rate in (1e3, 1e6, 3e6, 1e9):
        machine(rate)
        plan = budget_plan(dataset(4_000), 300.0, device=CPU)
        chosen.append((plan.arguments["width"], plan.size))
    assert chosen == sorted(chosen) and len(set(chosen)) > 2
    assert chosen[0] == tuple(PHOTOGRAPHS[0]) and chosen[-1] == tuple(PHOTOGRAPHS[-1])


def test_the_budget_and_the_reasons_are_in_the_plan(machine):
    machine(1e6)
    plan = budget_plan(dataset(4_000), 300.0, device=CPU)
    assert (plan.recipe.budget_s, plan.recipe.epochs) == (300.0, 0)
    seen = 300 * USED_FOR_STEPS * 1e6 / (0.25**2 * 64**2)
    assert (
        plan.reasons[0]
        == f"foveola of width 0.25 at 64 px sees about {budget._rounded(seen)} images in the time, enough"
    )
    assert plan.reasons[-1].startswith("chosen: width ")


def test_threads_and_precision_are_left_to_the_timing_of_the_whole_training(machine):
    machine(1e6)
    recipe = budget_plan(dataset(4_000), 300.0, device=CPU).recipe
    assert (recipe.threads, recipe.precision) == (0, "auto")


def test_networks_are_timed_with_the_threads_and_the_precision_asked_for(monkeypatch):
    asked = []

    def timed(_candidate, _data, recipe, _device, *, seconds):
        asked.append((recipe.threads, recipe.precision, seconds))
        return Setting(threads=1, precision="float32", step_s=1e9)

    monkeypatch.setattr(budget, "_timed", timed)
    budget_plan(dataset(400), 20.0, device=CPU, recipe=Recipe(threads=1, precision="float32"))
    assert asked == [(1, "float32", 0.4)]


@pytest.mark.parametrize(("waited", "left"), [(4, 100), (60, 44), (110, FEWEST_SHARE * 120)])
def test_training_is_expected_to_get_what_the_rest_leaves(waited, left):
    assert expected_training_s(120, waited_s=waited) == left


def test_timing_networks_tells_how_far_it_is(machine):
    machine(600_000)
    shown = []
    budget_plan(dataset(4_000), 300.0, device=CPU, progress=lambda done, total: shown.append((done, total)))
    total = len(PHOTOGRAPHS)
    assert shown[0] == (0, total) and shown[-1] == (total, total) and len(shown) > 2


def test_with_a_size_only_the_width_is_chosen(machine):
    machine(1e9)
    assert budget_plan(dataset(4_000), 300.0, device=CPU, size=64).size == 64


def test_candidates_are_really_timed():
    plan = budget_plan(dataset(300, native_size=(16, 16)), 0.1, device=CPU)
    assert plan.model == "foveola" and plan.size == 16
