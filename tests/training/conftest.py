"""A tiny network on tiny images, whose training a test can follow step by step."""

import numpy as np
import pytest
import torch
from torch import nn

from fovea.data.augment.recipes import compose
from fovea.data.dataset import Part
from fovea.preprocess import Preprocess
from fovea.tasks.classes import Classes
from fovea.tasks.number import Number
from fovea.training.engine import Trainer
from fovea.training.recipe import Recipe

SIZE = 8


def bright_halves(count, *, seed=0):
    """Return grey images of noise whose upper (class 0) or lower (class 1) half is brighter, in turn."""
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 120, (count, SIZE, SIZE, 1), np.uint8)
    labels = np.arange(count) % 2
    for image, label in zip(pixels, labels, strict=True):
        image[4 * label : 4 * label + 4] += 100
    return Part(labels=labels.astype(np.int64), names=tuple(map(str, range(count))), pixels=pixels)


def target_of(part, recipe):
    """Return what is learned from the labels of a part: numbers, or classes."""
    if part.labels.dtype.kind == "f":
        return Number(loss=recipe.loss)
    return Classes(names=tuple(map(str, range(max(2, int(part.labels.max()) + 1)))), loss=recipe.loss)


def tiny_net(outputs=2, *, norm=True):
    layers = [nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8) if norm else nn.Identity(), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Dropout(0.1 * norm), nn.Flatten(), nn.Linear(32, outputs))


@pytest.fixture
def images():
    """Return a function of (count, seed) that gives a part of two separable classes."""
    return bright_halves


@pytest.fixture
def net():
    """Return a function that gives the tiny network, the same weights each time."""

    def make(outputs=2, **options):
        torch.manual_seed(0)
        return tiny_net(outputs, **options)

    return make


@pytest.fixture
def make_trainer(net):
    """Return a function of recipe fields that gives a trainer of the tiny network on 32 images."""

    def make(*, model=None, train=None, val=None, device="cpu", **fields):
        recipe = Recipe(**{"epochs": 3, "batch": 8, "lr": 0.05, "schedule": "constant", "threads": 1, **fields})
        train = train or bright_halves(32)
        return Trainer(
            model or net(),
            train,
            recipe,
            val=val,
            target=target_of(train, recipe),
            preprocess=Preprocess(size=(SIZE, SIZE), channels=1, mean=(0.4,), std=(0.2,)),
            augmentation=compose(recipe.augment, size=SIZE),
            device=torch.device(device),
        )

    return make


@pytest.fixture
def fit():
    """Return a function that runs a trainer and gives its epoch results; it stops after `steps` steps."""

    def run(trainer, *, steps=None):
        done, results = [], []
        trainer.fit(
            on_step=done.append,
            on_epoch=lambda _, result: results.append(result),
            stopped=lambda: steps is not None and len(done) >= steps,
        )
        return results

    return run
