"""A network small enough to be exported in a second, as a loaded model file."""

import pytest
import torch
from torch import nn

from fovea.card import Card
from fovea.model.bundle import Bundle
from fovea.preprocess import Preprocess
from fovea.tasks.classes import Classes

NAMES = ("cat", "dog", "owl")
PREPROCESS = Preprocess(size=(12, 16), channels=3, mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3))


def small_network(c_in=3, classes=3):
    """Return convolutions, norm, pooling and a dense layer: (N, c_in, H, W) of any size -> (N, classes)."""
    torch.manual_seed(0)
    layers = (
        nn.Conv2d(c_in, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1),
        nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, classes),
    )
    network = nn.Sequential(*layers).eval()
    with torch.no_grad():
        network[1].running_mean.uniform_(-1, 1)
        network[1].weight.uniform_(0.5, 1.5)
        network[8].weight.mul_(8)
    return network


@pytest.fixture(scope="session")
def make_loaded():
    """Return a function of a network, target and preprocessing that gives them as a loaded model file."""

    def make(model=None, *, target=None, preprocess=PREPROCESS):
        target = target or Classes(names=NAMES, temperature=1.5)
        card = Card(architecture="custom", arguments={}, target=target, preprocess=preprocess, fovea="0")
        model = model or small_network(preprocess.channels, target.outputs)
        placed = model.to(memory_format=torch.channels_last)
        return Bundle(model=placed.eval(), card=card, device=torch.device("cpu"))

    return make


@pytest.fixture(scope="session")
def loaded(make_loaded):
    """Return the small network with three classes."""
    return make_loaded()
