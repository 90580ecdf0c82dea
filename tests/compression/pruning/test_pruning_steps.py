"""Pruning as steps of a chain, on training as it is."""

import numpy as np
import pytest
import torch
from torch import nn

from fovea.compression.changes import changed
from fovea.compression.pruning.sparsify import sparsity
from fovea.compression.pruning.steps import prune_step, sparsify_step
from fovea.compression.refit import Refit, refit_recipe
from fovea.compression.step import Work
from fovea.data.augment.recipes import compose
from fovea.data.dataset import Part
from fovea.preprocess import Preprocess
from fovea.tasks.classes import Classes
from fovea.training.inference import as_evaluated
from fovea.training.recipe import Recipe

SIZE = 8
PREPROCESS = Preprocess(size=(SIZE, SIZE), channels=1, mean=(0.4,), std=(0.2,))


def net():
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 2)).eval()


@pytest.fixture
def work():
    """Return what steps may use: training on noise of which one half is brighter."""
    pixels = np.random.default_rng(0).integers(0, 120, (64, SIZE, SIZE, 1), np.uint8)
    labels = np.arange(64) % 2
    for image, label in zip(pixels, labels, strict=True):
        image[4 * label : 4 * label + 4] += 100
    part = Part(labels=labels.astype(np.int64), names=tuple(map(str, range(64))), pixels=pixels)
    refit = Refit(
        train=part,
        recipe=refit_recipe(Recipe(batch=8, threads=1, precision="float32", label_smoothing=0.2), seed=0),
        target=Classes(names=("up", "down")),
        preprocess=PREPROCESS,
        augmentation=compose((), size=SIZE),
        device=torch.device("cpu"),
    )

    def batches(count):
        rows = range(min(count, 64))
        for first, inputs in enumerate(as_evaluated(part, PREPROCESS, torch.device("cpu"), rows=rows, batch=16)):
            yield inputs, torch.from_numpy(labels[16 * first : 16 * first + 16])

    return Work(input_shape=PREPROCESS.shape, refit=refit, batches=batches, score=lambda model: 0.0)


def test_pruning_gives_the_changes_and_what_it_has_measured(work):
    model = net()
    work.refit(model, epochs=2, lr=0.01)
    done = prune_step(model, work, (0.5, "macs"))
    assert done.after <= 0.51 * done.before
    assert done.sensitivity.samples == 64
    twin = changed(net(), done.changes)
    twin.load_state_dict(done.model.state_dict())
    x = torch.randn(2, *PREPROCESS.shape)
    assert torch.equal(twin(x), done.model(x))


def test_sparsifying_reaches_its_share_and_leaves_a_plain_network(work):
    model, names = net(), list(net().state_dict())
    done = sparsify_step(model, work, (0.75, 2.0))
    assert sparsity(done.model) == pytest.approx(0.75, abs=0.01)
    assert list(done.model.state_dict()) == names
    assert not done.changes
    assert done.notes == ("75.0 % of the weights are zero",)
