"""Dropout as an ensemble: one pass with scaled weights against the mean over masks, against separate networks.

Lecture 000: dropout "is akin to bagging": it "trains the ensemble consisting of all subnetworks that can be formed by
removing non-output units", with masks drawn anew for every example, "0.8 probability for including an input unit and
0.5 for hidden units"; in bagging the models are independent and each sees a sample with replacement.

A dense network of two hidden layers on Fashion-MNIST. Trained with dropout, its answer is that of all units with the
weights scaled by the keep probabilities (Srivastava et al. 2014, section 2), or the mean of the probabilities of k
subnetworks. Beside it the same network without dropout, and means over k of these, each on its own sample with
replacement (bagging), or each on all images from its own initial weights.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from experiments.figures import COLOURS, axes, save
from experiments.harness import Data, accuracy, experiment, load, over_seeds, probabilities, started, trained
from fovea.data.dataset import Part
from fovea.metrics import calibration_error, negative_log_likelihood
from fovea.training.inference import as_evaluated
from fovea.training.recipe import Recipe

SIZE, WIDTH, CLASSES = 28, 256, 10
KEPT_INPUT, KEPT_HIDDEN = 0.8, 0.5
SEEDS_APART = 1000
"""Between the seeds of the networks of one ensemble and those of the next."""

Floats = NDArray[np.float64]


def network(*, dropout: bool) -> nn.Sequential:
    """Two hidden layers of ReLUs: (N, 1, 28, 28) -> (N, 10); with `dropout`, of the input and of hidden units.

    PyTorch's dropout takes the probability of leaving out, and scales in training what is kept, not the weights after
    it: the same.
    """
    left_out = (1 - KEPT_INPUT, 1 - KEPT_HIDDEN, 1 - KEPT_HIDDEN) if dropout else (0.0, 0.0, 0.0)
    widths = (SIZE**2, WIDTH, WIDTH, CLASSES)
    layers: list[nn.Module] = [nn.Flatten()]
    for p, a, b in zip(left_out, widths, widths[1:], strict=False):
        layers += [nn.Dropout(p), nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@torch.inference_mode()
def masked(model: nn.Module, data: Data, *, masks: int, seed: int) -> list[Floats]:
    """Return (N, classes) probabilities of the test images by `masks` subnetworks, drawn for each image by itself."""
    torch.manual_seed(seed)
    model.train()
    everything = range(len(data.test))
    batches = list(as_evaluated(data.test, data.preprocess, torch.device("cpu"), rows=everything, batch=500))
    found = [torch.cat([model(images) for images in batches]) for _ in range(masks)]
    model.eval()
    return [logits.double().softmax(dim=1).numpy() for logits in found]


def resampled(data: Data, *, seed: int) -> Data:
    """Return as many training images, drawn with replacement."""
    rows = np.random.default_rng(seed).integers(len(data.train), size=len(data.train))
    names = tuple(data.train.names[row] for row in rows)
    pixels = np.asarray(data.train.decoded)[rows]
    return replace(data, train=replace(data.train, labels=data.train.labels[rows], names=names, pixels=pixels))


def means(members: Sequence[Floats]) -> list[Floats]:
    """Return the means of the first 1, 2, ... of the members."""
    return list(np.cumsum(np.stack(members), axis=0) / np.arange(1, len(members) + 1)[:, None, None])


def run(data: Data, recipe: Recipe, *, plain_epochs: int, members: int, masks: int) -> dict[str, list[Floats]]:
    """Return the test probabilities of each way of answering; those of ensembles for 1, 2, ... members."""
    seed, preprocess = recipe.seed, data.preprocess
    dropped = trained(partial(network, dropout=True), data, recipe)
    recipes = [recipe.replace(epochs=plain_epochs, seed=SEEDS_APART * seed + i) for i in range(members)]
    plain = partial(network, dropout=False)
    separate = [trained(plain, data, each) for each in recipes]
    bagged = [trained(plain, resampled(data, seed=each.seed), each) for each in recipes]
    return {
        "dropout, scaled weights": [probabilities(dropped, data.test, preprocess)],
        "dropout, mean over masks": means(masked(dropped, data, masks=masks, seed=seed)),
        "bagging": means([probabilities(model, data.test, preprocess) for model in bagged]),
        "all images, other weights": means([probabilities(model, data.test, preprocess) for model in separate]),
    }


def print_table(runs: Sequence[dict[str, list[Floats]]], test: Part) -> None:
    """Print what each way is worth with one, a few and all its members; mean, least and greatest over the seeds."""
    print("| answer | members | accuracy, % | calibration error, % | likelihood, nats |\n|---|---|---|---|---|")
    for name, answers in runs[0].items():
        for k in sorted({1, min(5, len(answers)), len(answers)}):
            of = [each[name][k - 1] for each in runs]
            right = over_seeds([accuracy(answer, test) for answer in of])
            error = over_seeds([calibration_error(answer, test.labels) for answer in of])
            nats = over_seeds([negative_log_likelihood(answer, test.labels) for answer in of], digits=3, scale=1)
            print(f"| {name} | {k} | {right} | {error} | {nats} |", flush=True)


def curves(runs: Sequence[dict[str, list[Floats]]], test: Part) -> dict[str, list[float]]:
    """Return the mean test error over the seeds, of each way, with 1, 2, ... members."""
    return {
        name: [
            fmean(1 - accuracy(answer, test) for answer in same)
            for same in zip(*(each[name] for each in runs), strict=True)
        ]
        for name in runs[0]
    }


def draw(found: dict[str, list[float]], out: Path) -> None:
    """Draw test errors against the number of members; what has one member is a level."""
    figure, [plot] = axes(1, width=6.4, height=3.8)
    for colour, (name, errors) in zip(COLOURS, found.items(), strict=False):
        percent = [100 * error for error in errors]
        if len(percent) == 1:
            plot.axhline(percent[0], color=colour, label=name, ls="--")
        else:
            plot.plot(range(1, len(percent) + 1), percent, color=colour, label=name, marker=".")
    plot.set(xlabel="subnetworks or networks averaged", ylabel="test error in %", xscale="log")
    ticks = [k for k in (1, 2, 5, 10, 20, 50) if k <= max(map(len, found.values()))]
    plot.set_xticks(ticks, [str(k) for k in ticks])
    plot.minorticks_off()
    plot.legend(frameon=False, fontsize=8)
    save(figure, out)


def main() -> None:
    parser = experiment(__doc__, images=3_000, epochs=40, seeds=(0, 1, 2), picture="dropout.png")
    parser.add_argument("--plain-epochs", type=int, default=10, help="of networks without dropout, which learn faster")
    parser.add_argument("--members", type=int, default=8, help="of an ensemble of separate networks")
    parser.add_argument("--masks", type=int, default=50, help="most subnetworks")
    given = started(parser, plain_epochs=2, members=2, masks=3)
    data = load("fashion-mnist", train=given.images, test=2 * given.images)
    recipe = Recipe(epochs=given.epochs, batch=100, lr=0.05, weight_decay=0.0, keep_best=False, threads=1)
    sizes = {"plain_epochs": given.plain_epochs, "members": given.members, "masks": given.masks}
    runs = [run(data, recipe.replace(seed=seed), **sizes) for seed in given.seeds]
    print(
        f"{given.images:,} images of Fashion-MNIST, {given.epochs} epochs ({given.plain_epochs}), seeds {given.seeds}"
    )
    print_table(runs, data.test)
    found = curves(runs, data.test)
    print(json.dumps({name: [round(error, 4) for error in errors] for name, errors in found.items()}))
    draw(found, given.out)


if __name__ == "__main__":
    main()
