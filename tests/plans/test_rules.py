"""Plans for data that comes without one: by rule, and under a budget by what the machine manages."""

import numpy as np
import pytest
import torch

import fovea.zoo  # noqa: F401 (registers the networks)
from fovea import registry
from fovea.data.augment.recipes import compose
from fovea.data.dataset import Dataset, Part
from fovea.plans import rules
from fovea.plans.rules import PHOTOGRAPHS, TIMED_BATCH, USED_FOR_STEPS, budget_plan, default_plan
from fovea.training.tuning import Setting

CPU = torch.device("cpu")


def dataset(images, *, native_size=None, directional=False, channels=3):
    part = Part(labels=np.arange(images) % 5, names=tuple(map(str, range(images))), files=())
    return Dataset(
        name="made",
        parts={"train": part},
        classes=tuple("abcde"),
        channels=channels,
        native_size=native_size,
        directional=directional,
    )


@pytest.fixture
def machine(monkeypatch):
    """Return a function that sets how many million multiply-adds this machine does in a second."""

    def works_at(rate):
        def timed(candidate, data, device):
            macs = candidate.width**2 * candidate.size**2  # in units of its own
            return Setting(threads=2, precision="float32", step_s=TIMED_BATCH * macs / rate)

        monkeypatch.setattr(rules, "_timed", timed)

    return works_at


def test_small_images_are_taken_as_they_are_and_photographs_are_cropped_from():
    small = default_plan(dataset(50_000, native_size=(28, 28), channels=1))
    assert (small.model, small.size, dict(small.arguments)) == ("foveola", 28, {})
    assert small.recipe.augment == ("flip", "shift 2") and small.room == 1.0
    photo = default_plan(dataset(4_000))
    assert (photo.model, photo.size, dict(photo.arguments)) == ("foveola", 96, {"stride": 2})
    assert any(spec.startswith("crop") for spec in photo.recipe.augment) and photo.room > 1


def test_images_too_small_for_three_poolings_are_enlarged():
    plan = default_plan(dataset(1_000, native_size=(8, 8), channels=1))
    assert plan.size == 16
    registry.build(plan.model, classes=5, c_in=1, size=plan.size, **plan.arguments)


def test_labels_that_a_mirror_changes_are_never_mirrored():
    plan = default_plan(dataset(1_000, native_size=(32, 32), directional=True))
    assert "flip" not in plan.recipe.augment and not plan.recipe.test_flip


@pytest.mark.parametrize(("images", "batch"), [(40, 16), (1_500, 16), (4_000, 64), (60_000, 512)])
def test_larger_data_gets_larger_batches_and_fewer_epochs(images, batch):
    plan = default_plan(dataset(images, native_size=(32, 32)))
    assert plan.recipe.batch == batch
    assert 10 <= plan.recipe.epochs <= 100


def test_an_asked_for_network_and_size_are_kept():
    plan = default_plan(dataset(1_000), model="resnet18", size=128)
    assert (plan.model, plan.size, plan.recipe.optimiser) == ("resnet18", 128, "adamw")


@pytest.mark.parametrize("plan", [default_plan(dataset(500)), default_plan(dataset(500, native_size=(28, 28)))])
def test_the_planned_network_and_augmentation_can_be_built(plan):
    network = registry.build(plan.model, classes=5, c_in=3, size=plan.size, **plan.arguments)
    assert network(torch.zeros(2, 3, plan.size, plan.size)).shape == (2, 5)
    compose(plan.recipe.augment, size=plan.size)


def test_a_faster_machine_gets_a_larger_network(machine):
    chosen = []
    for rate in (1e3, 1e6, 3e6, 1e9):
        machine(rate)
        plan = budget_plan(dataset(4_000), 300.0, device=CPU)
        chosen.append((plan.arguments["width"], plan.size))
    assert chosen == sorted(chosen) and len(set(chosen)) > 2
    assert chosen[0] == tuple(PHOTOGRAPHS[0]) and chosen[-1] == tuple(PHOTOGRAPHS[-1])


def test_the_budget_the_timed_setting_and_the_reasons_are_in_the_plan(machine):
    machine(1e6)
    plan = budget_plan(dataset(4_000), 300.0, device=CPU)
    assert (plan.recipe.budget_s, plan.recipe.epochs) == (300.0, 0)
    assert (plan.recipe.threads, plan.recipe.precision) == (2, "float32")
    macs = 0.25**2 * 64**2
    seen = 300 * USED_FOR_STEPS * 1e6 / macs
    assert plan.reasons[0] == (
        f"foveola of width 0.25 at 64 px: about {seen:,.0f} images in the time, {seen / 4000:.0f} epochs, enough"
    )
    assert plan.reasons[-1].startswith("chosen: width ")


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
    assert plan.model == "foveola" and plan.size == 16 and plan.recipe.threads >= 1
