"""What choosing is worth: accuracy against the number of labels, chosen by a network or at random.

The loop of `fovea label`: a network learns from the labels that there are, says which images of the pool it is least
sure of (margin, entropy) or knows least (core-set), these are labelled, and a new network learns from all of them.
Random choice begins with the same labels. The pool is the training part of Fashion-MNIST, whose labels stand for the
person's; accuracy is on the test part, which nothing is chosen by.

Further ways are a core set by the directions of embeddings, and core sets of the images of least margin only, so that
these do not show the same. Which of the ways is worth anything is asked by `--on validation`: images of the training
part behind the pool.
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
FURTHER = ("core-set-directions", "margin-core-set", "margin-core-set-directions")
CROWD = 5
"""Times as many images of least margin as are wanted, of which a core set is taken."""
PATTERN, WIDTHS = "CRP CRP FR F", (16, 32, 64)
TESTED = 2000
BATCH = 32

Rows = NDArray[np.int64]


def main() -> None:
    """Run the loops, print a row per number of labels, and draw the curves."""
    parser = experiment(__doc__, images=3000, epochs=30, picture="docs/images/labelling.png", seeds=(0, 1, 2))
    parser.add_argument("--ways", nargs="+", choices=(*WAYS, *FURTHER), default=WAYS)
    parser.add_argument("--on", choices=("test", "validation"), default="test", help="which images measure accuracy")
    parser.add_argument("--step", type=int, default=100, help="labels to begin with, and per round")
    parser.add_argument("--rounds", type=int, default=5)
    given = started(parser, rounds=2, step=20)
    data = loaded(given.images, given.on)
    recipe = Recipe(epochs=given.epochs, batch=BATCH, optimiser="adamw", lr=0.002, threads=1, precision="float32")
    found: dict[str, list[list[float]]] = {}
    for way in given.ways:
        found[way] = [loop(way, data, recipe.replace(seed=seed), given.step, given.rounds) for seed in given.seeds]
        print(json.dumps({"way": way, "accuracy": found[way]}), flush=True)
    labels = [given.step * (place + 1) for place in range(given.rounds)]
    table(found, labels)
    draw(found, labels, given.out)


def loaded(images: int, on: str) -> Data:
    """Return the pool as the part to train on, and the images that accuracy is measured on as the test part."""
    if on == "test":
        return load("fashion-mnist", train=images, test=TESTED)
    data = load("fashion-mnist", train=images + TESTED, test=1)
    behind = take(data.train, np.arange(images, images + TESTED))
    return replace(load("fashion-mnist", train=images, test=1), test=behind)


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
    if not way.startswith("core-set"):
        doubt = doubt_by_entropy if way == "entropy" else doubt_by_margin
        doubts = doubt(probabilities(model, take(data.train, free), data.preprocess))
        free = free[most_doubtful(doubts, CROWD * count if "core-set" in way else count)]
    return free[core_set(*embedded(way, model, data, free, labelled), count)[0]] if "core-set" in way else free


def embedded(
    way: str, model: Classifier, data: Data, free: Rows, labelled: Rows
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the embeddings of `free` and of `labelled` rows, (n, D) each, of length 1 where directions count."""
    every = np.concatenate([free, labelled])
    batches = as_evaluated(data.train, data.preprocess, next(model.parameters()).device, rows=every, batch=256)
    features = embed(model, batches).features.numpy()
    if way.endswith("directions"):
        features = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    return features[: len(free)], features[len(free) :]


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
