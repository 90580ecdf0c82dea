"""Unsupervised layer-wise pre-training before a training with few labels: accuracy over the steps, with and without it.

Hinton et al. 2006 and Bengio et al. 2007 (lecture 004, "Revival of CNNs"): deep networks of sigmoids learn from labels
once their layers have learned to describe their inputs. All images of Fashion-MNIST's first `--images` are pre-trained
on, labels are read of the first `--labelled` only. The same network with sigmoids (Xavier) and with batch norm and ReLU
(He): dense layers of 100 units; SGD with momentum. Means over the seeds.
"""

import json
import time
from collections import OrderedDict
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from experiments.figures import COLOURS, axes, save
from experiments.harness import Data, Point, experiment, first, load, started, train
from fovea.display import Display
from fovea.runs.pretraining import pretrain_layers
from fovea.training.initialisation import initialise
from fovea.training.recipe import Recipe

UNITS, DEPTH = 100, 5
KINDS = {"sigmoid": "xavier", "batch norm, ReLU": "he"}


def network(kind: str) -> nn.Sequential:
    """Return `DEPTH` dense layers, each with its activation, then dense logits: (N, 1, 28, 28) -> (N, 10)."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for i in range(DEPTH):
        layers[f"dense{i + 1}"] = nn.Linear(UNITS if i else 28 * 28, UNITS)
        if kind == "sigmoid":
            layers[f"act{i + 1}"] = nn.Sigmoid()
        else:
            layers |= {f"bn{i + 1}": nn.BatchNorm1d(UNITS), f"act{i + 1}": nn.ReLU()}
    layers["logits"] = nn.Linear(UNITS, 10)
    model = nn.Sequential(layers)
    initialise(model, KINDS[kind], torch.default_generator)
    return model


def contest(data: Data, kind: str, recipe: Recipe, *, labelled: int) -> list[Point]:
    """Return the points of one training on the `labelled` first images, after pre-training on all where so asked."""
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(1)
    model = network(kind)
    if recipe.pretrain:
        settings = recipe.replace(batch=64)
        with Display(quiet=True) as display:
            pretrain_layers(model, data.train, settings, preprocess=data.preprocess, display=display)
    return train(lambda: model, replace(data, train=first(data.train, labelled)), recipe)


def main() -> None:
    parser = experiment(__doc__, images=2_000, epochs=150, seeds=(0, 1), picture="pretraining.png")
    parser.add_argument("--labelled", type=int, default=300, help="images with labels")
    parser.add_argument("--pretrain", type=int, default=10, help="epochs per layer")
    given = started(parser, pretrain=1)
    labelled = min(given.labelled, given.images)
    data, began = load("fashion-mnist", train=given.images, test=1_000), time.monotonic()
    recipe = Recipe(
        epochs=given.epochs, batch=30, lr=0.02, weight_decay=0.0, schedule="constant", keep_best=False, threads=1
    )
    begins = {"random weights": 0, "pre-trained": given.pretrain}
    figure, plots = axes(2)
    for plot, kind in zip(plots, KINDS, strict=True):
        for colour, (name, passes) in zip(COLOURS, begins.items(), strict=False):
            recipes = [recipe.replace(pretrain=passes, seed=seed) for seed in given.seeds]
            runs = [contest(data, kind, each, labelled=labelled) for each in recipes]
            accuracy = np.array([[100 * (1 - point.test_error) for point in points] for points in runs])
            steps = [point.step for point in runs[0]]
            plot.plot(steps, accuracy.mean(0), color=colour, label=name)
            plot.fill_between(steps, accuracy.min(0), accuracy.max(0), color=colour, alpha=0.2, lw=0)
            ends = {
                str(steps[i]): [round(a, 1) for a in accuracy[:, i]] for i in (len(steps) // 10, len(steps) // 3, -1)
            }
            print(json.dumps({"network": kind, "begins with": name, "accuracy by step": ends}), flush=True)
        plot.set(title=kind, xlabel="step", ylabel=f"test accuracy in %, {labelled} labels", ylim=(0, 100))
        plot.legend(frameon=False, loc="upper left", ncols=2, fontsize=8)
    save(figure, given.out)
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
