"""Plans for data that comes without one, by rule."""

import numpy as np
import pytest
import torch

import fovea.zoo  # noqa: F401 (registers the networks)
from fovea import registry
from fovea.data.augment.recipes import compose
from fovea.data.dataset import Dataset, Part
from fovea.plans.rules import default_plan

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
