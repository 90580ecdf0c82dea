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


def dataset(images, *, native_size=None, task="classes"):
    part = Part(labels=np.arange(images) % 5, names=tuple(map(str, range(images))), files=())
    kinds = {"classes": tuple("abcde"), "channels": 3, "native_size": native_size, "task": task}
    return Dataset(name="made", parts={"train": part}, **kinds)


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


def test_candidates_are_timed_on_noise(monkeypatch):
    """Of empty images the gradients are too small for fast arithmetic, so that a step would seem too slow."""
    seen = []

    def timed(model, images, labels, **_):
        seen.append(images)
        return [Setting(threads=1, precision="float32", step_s=1.0)]

    monkeypatch.setattr(budget, "time_settings", timed)
    budget_plan(dataset(300), 60.0, device=CPU)
    assert len(seen) == 1
    assert abs(seen[0].mean().item()) < 0.1 and abs(seen[0].std().item() - 1) < 0.1


@pytest.mark.parametrize("photographs", [True, False])
def test_small_images_are_to_be_seen_more_often_than_photographs(machine, photographs):
    data = dataset(1_000, native_size=None if photographs else (32, 32))
    first = PHOTOGRAPHS[1].width ** 2 * PHOTOGRAPHS[1].size ** 2 if photographs else 0.5**2 * 32**2
    sees_s = 300.0 * USED_FOR_STEPS
    machine(first * 70_000 / sees_s)  # the second candidate sees 70,000 images
    assert budget_plan(data, 300.0, device=CPU).arguments["width"] == (0.5 if photographs else 0.25)


@pytest.mark.parametrize(
    ("image_s", "native", "images", "found"),
    [
        (1.0, (512, 512), 24, (256, 4)),
        (0.15, (512, 512), 24, (384, 2)),
        (0.1, (512, 512), 24, (512, 1)),
        (0.01, (300, 380), 24, (384, 2)),  # no larger than the images
        (0.01, (200, 200), 24, (192, 4)),
        (0.01, None, 24, (512, 1)),
        (0.1, (512, 512), 400, (256, 8)),  # so many images want more
        (0.02, (512, 512), 400, (512, 2)),  # as many pixels as eight images of 256 pixels have
    ],
)
def test_masks_are_learned_at_the_largest_input_for_which_there_is_time(monkeypatch, image_s, native, images, found):
    def timed(plan, data, device, *, seconds):
        return Setting(threads=1, precision="float32", step_s=image_s * plan.recipe.batch)

    monkeypatch.setattr(budget, "_timed_plan", timed)
    plan = budget_plan(dataset(images, native_size=native, task="masks"), 600.0, device=CPU)
    assert (plan.size, plan.recipe.batch) == found
    norm = "batch_norm" if plan.size <= 256 else "instance_norm"  # of an image or two by their own statistics
    assert [name for name, value in plan.arguments.items() if value is True] == [norm]
    assert (plan.size <= 256) != any(f"at {plan.size} px it sees about" in reason for reason in plan.reasons)


def test_the_network_that_is_asked_for_is_timed_and_keeps_its_norm(monkeypatch):
    widths = []

    def timed(plan, data, device, *, seconds):
        widths.append(plan.arguments["width"])
        return Setting(threads=1, precision="float32", step_s=0.001 * plan.arguments["width"] ** 2 * plan.recipe.batch)

    monkeypatch.setattr(budget, "_timed_plan", timed)
    data = dataset(24, native_size=(512, 512), task="masks")
    sizes = [budget_plan(data, 600.0, device=CPU, changes={"width": width}).size for width in ("4", 16)]
    assert sizes == [512, 256] and widths == [4, 16]
    plan = budget_plan(data, 600.0, device=CPU, changes={"width": 4, "batch_norm": True, "epochs": 3})
    assert plan.size == 512 and plan.arguments["batch_norm"] and "instance_norm" not in plan.arguments


def test_a_size_that_is_asked_for_is_not_timed(monkeypatch):
    monkeypatch.setattr(budget, "_timed_plan", None)
    assert budget_plan(dataset(24, task="masks"), 600.0, device=CPU, size=128).size == 128
    assert budget_plan(dataset(24, task="boxes"), 600.0, device=CPU).recipe.budget_s == 600.0  # it has one size


def test_a_network_for_masks_is_really_timed():
    plan = budget_plan(dataset(24, native_size=(512, 512), task="masks"), 1e6, device=CPU, recipe=Recipe(threads=1))
    assert plan.size == 512
