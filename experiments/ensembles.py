"""What a trained network's penultimate features are worth to other classifiers, and several networks to each other.

Lecture 000: "a compact latent representation of the input image data (typically from the penultimate network layer)
can be extracted as a meaningful encoding of an image"; lecture 001, of VGG: "FC7 features generalize well to other
tasks", and "use ensembles for best results".

Features: the task is the last five classes of CIFAR-10. Logistic regression, k-nearest neighbours, a support vector
machine and a random forest (scikit-learn, its defaults, features standardised) get the pixels, or the 64 features of a
network that is untrained, that was trained on the first five classes, or on these five.
Ensembles: networks for all ten classes that differ in their seed; their probabilities are averaged. Accuracy,
calibration error and likelihood against the number of members, for one member and for what trained together; of each
size, the mean over several choices of members.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import nn

from experiments.figures import COLOURS, axes, save
from experiments.harness import (
    Data,
    accuracy,
    experiment,
    load,
    over_seeds,
    probabilities,
    started,
    trained,
)
from fovea import registry, zoo  # noqa: F401 (registers the networks)
from fovea.data.dataset import Part
from fovea.layers import Classifier, copied
from fovea.metrics import calibration_error, negative_log_likelihood
from fovea.tasks.classes import Classes
from fovea.training.inference import predict_logits
from fovea.training.recipe import Recipe

PATTERN, WIDTHS = "CRP CRP CRP FR F", (16, 32, 64, 64)
TASK = 5  # classes of each of the two tasks
CHOICES = 20  # sets of members of each size that are averaged over, at most
CLASSIFIERS = {
    "logistic regression": partial(LogisticRegression, max_iter=1000),
    "k-nearest neighbours": KNeighborsClassifier,
    "support vector machine": SVC,
    "random forest": partial(RandomForestClassifier, random_state=0),
}
INPUTS = ("pixels", "untrained network", "trained on five other classes", "trained on these classes")

Floats = NDArray[np.float64]


class Worth(NamedTuple):
    """What averaged probabilities are worth on the test images."""

    accuracy: float
    calibration_error: float
    likelihood: float
    """Mean of -log of the probability of the true class, in nats."""


def network(classes: int) -> Classifier:
    """Three 3x3 convolutions with ReLU and pooling, a hidden layer of 64 units, which are the features, and logits."""
    return registry.build("pattern", classes=classes, pattern=PATTERN, widths=WIDTHS)


def of_classes(data: Data, first: int) -> Data:
    """Return the images of the `TASK` classes from `first` on, whose labels begin with 0."""
    names = data.target.names[first : first + TASK]
    return replace(data, train=_of(data.train, first), test=_of(data.test, first), target=Classes(names=names))


def _of(part: Part, first: int) -> Part:
    rows = np.flatnonzero((part.labels >= first) & (part.labels < first + TASK))
    names = tuple(part.names[row] for row in rows)
    return replace(part, labels=part.labels[rows] - first, names=names, pixels=np.asarray(part.decoded)[rows])


def features(model: Classifier, part: Part, data: Data) -> Floats:
    """Return (N, 64) of a part's images: what the logits are computed from."""
    headless = copied(model)
    headless.head.logits = nn.Identity()
    return predict_logits(headless, part.decoded, data.preprocess).double().numpy()


def pixels(part: Part) -> Floats:
    """Return (N, H W C) of a part's images, 0..255."""
    return np.asarray(part.decoded).reshape(len(part), -1).astype(np.float64)


def judged(train: tuple[Floats, NDArray[np.int64]], test: tuple[Floats, NDArray[np.int64]]) -> dict[str, float]:
    """Return the test accuracy of each classifier on inputs (N, D) with labels (N,)."""
    return {
        name: float(make_pipeline(StandardScaler(), make()).fit(*train).score(*test))
        for name, make in CLASSIFIERS.items()
    }


def features_of(data: Data, recipe: Recipe) -> dict[str, dict[str, float]]:
    """Return the accuracies on the last classes, by input and classifier."""
    first, last = of_classes(data, 0), of_classes(data, TASK)
    build = partial(network, TASK)
    torch.manual_seed(recipe.seed)
    models = [build(), trained(build, first, recipe), trained(build, last, recipe)]
    inputs = [pixels, *(partial(features, model, data=last) for model in models)]
    found = {
        name: judged(*((seen(part), part.labels) for part in (last.train, last.test)))
        for name, seen in zip(INPUTS, inputs, strict=True)
    }
    found[INPUTS[-1]]["its own logits"] = accuracy(probabilities(models[-1], last.test, last.preprocess), last.test)
    return found


def worth(given: Floats, part: Part) -> Worth:
    error, likelihood = calibration_error(given, part.labels), negative_log_likelihood(given, part.labels)
    return Worth(accuracy(given, part), error, likelihood)


def choices(members: int, size: int) -> list[NDArray[np.int64]]:
    """Return sets of `size` of the members: all of one, else `CHOICES` drawn, or the one there is."""
    if size in (1, members):
        return list(np.arange(members).reshape(-1, size))
    draw = np.random.default_rng(size)
    return [draw.choice(members, size, replace=False) for _ in range(CHOICES)]


def ensembles_of(members: Sequence[Floats], part: Part) -> list[Worth]:
    """Return the mean worth of ensembles of 1, 2, ... of the members, each (N, classes) probabilities."""
    stacked = np.stack(members)
    return [
        Worth(*map(fmean, zip(*(worth(stacked[chosen].mean(axis=0), part) for chosen in sets), strict=True)))
        for sets in (choices(len(members), size) for size in range(1, len(members) + 1))
    ]


def print_features(found: Sequence[dict[str, dict[str, float]]]) -> None:
    """Print accuracies, one dictionary per seed: mean, least and greatest."""
    names = [*CLASSIFIERS, "its own logits"]
    print(f"| input | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for given in INPUTS:
        cells = [over_seeds([run[given][name] for run in found]) if name in found[0][given] else "" for name in names]
        print(f"| {given} | {' | '.join(cells)} |", flush=True)


def print_ensembles(found: Sequence[Worth]) -> None:
    print("| members | accuracy, % | calibration error, % | likelihood, nats |\n|---|---|---|---|")
    for size, (right, error, likelihood) in enumerate(found, start=1):
        print(f"| {size} | {100 * right:.1f} | {100 * error:.1f} | {likelihood:.3f} |")
    print(json.dumps([[round(value, 4) for value in row] for row in found]))


def draw(found: Sequence[dict[str, dict[str, float]]], members: Sequence[Worth], out: Path) -> None:
    """Draw the classifiers' accuracies by input as bars, then accuracy and calibration error of ensembles."""
    figure, (bars, right, wrong) = axes(3)
    for i, (name, colour) in enumerate(zip(CLASSIFIERS, COLOURS, strict=False)):
        values = [100 * fmean(run[given][name] for run in found) for given in INPUTS]
        bars.bar(np.arange(len(INPUTS)) + 0.2 * (i - 1.5), values, width=0.2, color=colour, label=name)
    bars.axhline(100 * fmean(run[INPUTS[-1]]["its own logits"] for run in found), color="black", lw=0.8, ls=":")
    labels = ["pixels", "untrained", "trained on\nother classes", "trained on\nthese"]
    bars.set_xticks(range(len(INPUTS)), labels, fontsize=8)
    bars.set(ylabel="test accuracy in %, five classes", ylim=(20, 95))
    bars.legend(frameon=False, fontsize=7, loc="upper left", ncols=2)
    sizes = range(1, len(members) + 1)
    right.plot(sizes, [100 * each.accuracy for each in members], color=COLOURS[0], marker=".")
    right.set(xlabel="members", ylabel="test accuracy in %, ten classes")
    wrong.plot(sizes, [100 * each.calibration_error for each in members], color=COLOURS[1], marker=".")
    wrong.set(xlabel="members", ylabel="calibration error in %", ylim=(0, None))
    save(figure, out)


def main() -> None:
    parser = experiment(__doc__, images=3_000, epochs=8, seeds=(0, 1, 2), picture="ensembles.png")
    parser.add_argument("--members", type=int, default=8, help="of the ensembles")
    given = started(parser, members=3)
    data = load("cifar10", train=given.images, test=given.images)
    recipe = Recipe(epochs=given.epochs, batch=32, lr=0.02, keep_best=False, threads=1)
    found = [features_of(data, recipe.replace(seed=seed)) for seed in given.seeds]
    print(f"{given.images:,} images of CIFAR-10 (ten classes), {given.epochs} epochs, seeds {given.seeds}")
    print_features(found)
    build = partial(network, len(data.target.names))
    models = (trained(build, data, recipe.replace(seed=seed)) for seed in range(given.members))
    members = ensembles_of([probabilities(model, data.test, data.preprocess) for model in models], data.test)
    print_ensembles(members)
    draw(found, members, given.out)


if __name__ == "__main__":
    main()
