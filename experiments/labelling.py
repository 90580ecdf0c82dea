"""What choosing is worth: accuracy against the number of labels, chosen by a network or at random.

The loop of `fovea label`: a network learns from the labels that there are, says which images of the pool it is least
sure of (margin, entropy) or knows least (core-set), these are labelled, and a new network learns from all of them.
Random choice begins with the same labels. The pool is the training part of Fashion-MNIST, whose labels stand for the
person's; accuracy is on the test part, which nothing is chosen by.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from experiments.figures import COLOURS, axes, save
from experiments.harness import Data, accuracy, experiment, load, over_seeds, probabilities, started, trained
from fovea import registry, zoo  # noqa: F401 (registers the networks)
from fovea.data.splits import take
from fovea.explanation.features.embedding import embed
from fovea.layers import Classifier
from fovea.retrieval.selection import core_set, doubt_by_entropy, doubt_by_margin, most_doubtful
from fovea.training.inference import as_evaluated
from fovea.training.recipe import Recipe

WAYS = ("random", "margin", "entropy", "core-set")
PATTERN, WIDTHS = "CRP CRP FR F", (16, 32, 64)
TESTED = 2000
BATCH = 32

Rows = NDArray[np.int64]


def main() -> None:
    """Run the loops, print a row per number of labels, and draw the curves."""
    parser = experiment(__doc__, images=3000, epochs=30, picture="docs/images/labelling.png", seeds=(0, 1, 2))
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--step", type=int, default=100, help="labels to begin with, and per round")
    parser.add_argument("--rounds", type=int, default=5)
    given = started(parser, rounds=2, step=20)
    data = load("fashion-mnist", train=given.images, test=TESTED)
    recipe = Recipe(epochs=given.epochs, batch=BATCH, optimiser="adamw", lr=0.002, threads=1, precision="float32")
    found: dict[str, list[list[float]]] = {}
    for way in given.ways:
        found[way] = [loop(way, data, recipe.replace(seed=seed), given.step, given.rounds) for seed in given.seeds]
        print(json.dumps({"way": way, "accuracy": found[way]}), flush=True)
    labels = [given.step * (place + 1) for place in range(given.rounds)]
    table(found, labels)
    draw(found, labels, given.out)


def loop(way: str, data: Data, recipe: Recipe, step: int, rounds: int) -> list[float]:
    """Return the accuracy on the test part after each round, with `step` labels more in each."""
    generator = np.random.default_rng(recipe.seed)
    order = generator.permutation(len(data.train))
    labelled, measured = order[:step], list[float]()
    for place in range(rounds):
        own = replace(data, train=take(data.train, np.sort(labelled)))
        model = trained(network, own, recipe)
        measured.append(accuracy(probabilities(model, data.test, data.preprocess), data.test))
        if place + 1 < rounds:
            free = np.setdiff1d(np.arange(len(data.train)), labelled)
            labelled = np.concatenate([labelled, chosen(way, model, data, free, labelled, step, generator)])
    return measured


def network() -> Classifier:
    """Two 3x3 convolutions with ReLU and pooling, a hidden layer of 64 units, and logits."""
    return registry.build("pattern", classes=10, c_in=1, size=28, pattern=PATTERN, widths=WIDTHS)


def chosen(
    way: str, model: Classifier, data: Data, free: Rows, labelled: Rows, count: int, generator: np.random.Generator
) -> Rows:
    """Return which of the `free` rows are labelled next."""
    if way == "random":
        return generator.permutation(free)[:count]
    if way == "core-set":
        every = np.arange(len(data.train))
        batches = as_evaluated(data.train, data.preprocess, next(model.parameters()).device, rows=every, batch=256)
        features = embed(model, batches).features.numpy()
        return free[core_set(features[free], features[labelled], count)[0]]
    doubt = {"margin": doubt_by_margin, "entropy": doubt_by_entropy}[way]
    return free[most_doubtful(doubt(probabilities(model, take(data.train, free), data.preprocess)), count)]


def table(found: dict[str, list[list[float]]], labels: Sequence[int]) -> None:
    """Print the mean over seeds, and the least and the greatest, for each number of labels."""
    print(f"| labels | {' | '.join(found)} |\n|---|{'---|' * len(found)}")
    for place, count in enumerate(labels):
        print(f"| {count} | {' | '.join(over_seeds([run[place] for run in runs]) for runs in found.values())} |")


def draw(found: dict[str, list[list[float]]], labels: Sequence[int], out: Path) -> None:
    """Draw the means, and each seed as a point."""
    figure, (plot,) = axes(1, width=5.4)
    for (way, runs), colour in zip(found.items(), COLOURS, strict=False):
        plot.plot(labels, [100 * fmean(at) for at in zip(*runs, strict=True)], color=colour, label=way)
        for run in runs:
            plot.plot(labels, [100 * value for value in run], ".", color=colour, markersize=4, alpha=0.6)
    plot.set_xlabel("labels")
    plot.set_ylabel("accuracy on test, percent")
    plot.legend(frameon=False)
    save(figure, out)


if __name__ == "__main__":
    main()
