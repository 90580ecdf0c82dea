"""How far gradients reach: their norm in every layer of a deep network of sigmoids, and of ReLUs.

Lectures 001 and 004: the sigmoid's derivative is at most 1/4, so that gradients shrink from layer to layer on their way
back and the first layers of a deep network hardly learn; ReLU passes them on. Plain stacks of 3x3 convolutions of equal
width on Fashion-MNIST, each activation with the initial weights made for it (sigmoid: Xavier, ReLU: He); then the
accuracy after a short training against the depth.
"""

import json
from collections import OrderedDict
from functools import partial
from statistics import fmean

import numpy as np
import torch
from torch import nn

from experiments.figures import COLOURS, axes, save
from experiments.harness import Data, experiment, load, started, train
from fovea.training.diagnosis import look_inside
from fovea.training.inference import as_evaluated
from fovea.training.initialisation import initialise
from fovea.training.losses import make_loss
from fovea.training.recipe import Recipe

WIDTH = 16
ACTIVATIONS = {"sigmoid": (nn.Sigmoid, "xavier"), "ReLU": (nn.ReLU, "he")}
DEPTHS = (2, 4, 6, 8, 12)
DRAWN = 12
IMAGES = 256
"""Training images over which gradients are taken, before the first step."""


def network(depth: int, activation: str) -> nn.Sequential:
    """`depth` 3x3 convolutions, each with its activation, 2x2 max pooling after the first two; then dense logits."""
    kind, weights = ACTIVATIONS[activation]
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for i in range(depth):
        layers[f"conv{i + 1}"] = nn.Conv2d(WIDTH if i else 1, WIDTH, 3, padding=1)
        layers[f"act{i + 1}"] = kind()
        if i < 2:
            layers[f"pool{i + 1}"] = nn.MaxPool2d(2)
    layers |= {"flatten": nn.Flatten(), "logits": nn.Linear(WIDTH * 7 * 7, 10)}
    model = nn.Sequential(layers)
    initialise(model, weights, torch.default_generator)
    return model


def gradients(data: Data, activation: str) -> list[float]:
    """Return the norm of the loss's gradient by the weights of each convolution, first layer first, untrained."""
    images = next(as_evaluated(data.train, data.preprocess, torch.device("cpu"), rows=range(IMAGES), batch=IMAGES))
    labels = torch.from_numpy(np.array(data.train.labels[:IMAGES]))
    model = network(DRAWN, activation)
    _, norms = look_inside(model, images, labels, loss=make_loss(data.target, Recipe()), layer="act1")
    return [norms[f"conv{i + 1}"] or float("nan") for i in range(DRAWN)]


def accuracy(data: Data, depth: int, activation: str, *, epochs: int, seed: int) -> float:
    """Return the test accuracy of a network after a short training with SGD, which takes gradients as they are."""
    recipe = Recipe(epochs=epochs, batch=64, optimiser="sgd", lr=0.05, weight_decay=0.0, keep_best=False, seed=seed)
    return 1 - train(partial(network, depth, activation), data, recipe)[-1].test_error


def main() -> None:
    given = started(experiment(__doc__, images=10_000, epochs=3, seeds=(0,), picture="vanishing.png"))
    data = load("fashion-mnist", train=given.images, test=given.images // 5)
    figure, (left, right) = axes(2)
    for colour, activation in zip(COLOURS, ACTIVATIONS, strict=False):
        norms = gradients(data, activation)
        print(f"{activation}, {DRAWN} layers: gradient of the first {norms[0]:.2g}, of the last {norms[-1]:.2g}")
        left.semilogy(range(1, DRAWN + 1), norms, color=colour, marker="o", ms=3, label=activation)
        reached = [
            fmean(accuracy(data, depth, activation, epochs=given.epochs, seed=seed) for seed in given.seeds)
            for depth in DEPTHS
        ]
        print(json.dumps({"activation": activation, "accuracy by depth": dict(zip(DEPTHS, reached, strict=True))}))
        right.plot(DEPTHS, [100 * a for a in reached], color=colour, marker="o", ms=3, label=activation)
    left.set(xlabel="convolution, first to last", ylabel="norm of its gradient, untrained")
    right.set(xlabel="convolutions", ylabel=f"test accuracy in % after {given.epochs} epochs", ylim=(0, 100))
    left.legend(frameon=False)
    right.legend(frameon=False)
    save(figure, given.out)


if __name__ == "__main__":
    main()
