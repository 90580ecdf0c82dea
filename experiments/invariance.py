"""Do sharing and pooling bring invariance? Accuracy on disturbed images of networks that differ in these alone.

Lectures 000, 001 and 003: shared weights make a layer equivariant to translation, pooling makes it invariant to small
ones. Networks on Fashion-MNIST without augmentation: an MLP (neither); three 3x3 convolutions and one dense layer
(sharing); the same with 2x2 max pooling after the first two (and pooling); the same with the mean over the last map
before the dense layer, which is all that still knows a place (and global pooling). Measured as by `fovea evaluate
--robust`.

The schedule is short: what is compared is how accuracy falls, not how high it could be.
"""

import json
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from statistics import fmean

import torch
from torch import nn

from experiments.harness import Data, experiment, load, started, train
from fovea.card import CUSTOM, Card
from fovea.data.dataset import Dataset
from fovea.devices import device_named
from fovea.drawing.robustness import robustness_picture
from fovea.evaluation.parts import outcome_of
from fovea.evaluation.robustness import Curve, Point, Robustness, measure_robustness
from fovea.model.bundle import Bundle
from fovea.training.recipe import Recipe

SIZE, CLASSES = 28, 10
WIDTHS = (16, 32, 32)
HIDDEN = 128
SHOWN = {"shift": 3.0, "scale": 0.7, "rotation": 15.0, "blur": 0.84, "noise": 32.0, "JPEG": 10.0}
"""Of each disturbance, the level in the table."""


class MLP(nn.Sequential):
    """One hidden layer, no convolution: every pixel has weights of its own."""

    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(SIZE**2, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))


class Convolutions(nn.Sequential):
    """3x3 convolutions with ReLU, `pools` of them with 2x2 max pooling, then the whole map or its mean, and logits."""

    def __init__(self, *, pools: int = 0, mean: bool = False) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for i, (a, b) in enumerate(zip((1, *WIDTHS), WIDTHS, strict=False)):
            layers[f"conv{i}"], layers[f"relu{i}"] = nn.Conv2d(a, b, 3, padding=1), nn.ReLU()
            if i < pools:
                layers[f"pool{i}"] = nn.MaxPool2d(2)
        if mean:
            layers["mean"] = nn.AdaptiveAvgPool2d(1)
        units = WIDTHS[-1] * (1 if mean else SIZE // 2**pools) ** 2
        super().__init__(OrderedDict({**layers, "flatten": nn.Flatten(), "logits": nn.Linear(units, CLASSES)}))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "MLP": MLP,
    "convolutions": Convolutions,
    "and max pooling": partial(Convolutions, pools=2),
    "and global pooling": partial(Convolutions, pools=2, mean=True),
}


def measure(build: Callable[[], nn.Module], data: Data, recipe: Recipe) -> Robustness:
    """Return the robustness of one network, trained from scratch."""
    torch.manual_seed(recipe.seed)
    model = build()
    train(lambda: model, data, recipe)
    card = Card(architecture=CUSTOM, arguments={}, target=data.target, preprocess=data.preprocess)
    bundle = Bundle(model=model.eval(), card=card, device=device_named("auto"))
    test = Dataset(name="test", parts={"test": data.test}, classes=data.target.classes, channels=1)
    return measure_robustness(bundle, outcome_of(bundle, test, split="test"))


def averaged(found: list[Robustness]) -> Robustness:
    """Return the mean over seeds; the intervals too are means: they are of the images, not of the seeds."""
    curves = [
        Curve(
            disturbance=same[0].disturbance,
            unit=same[0].unit,
            points=tuple(_mean(points) for points in zip(*(curve.points for curve in same), strict=True)),
        )
        for same in zip(*(robustness.curves for robustness in found), strict=True)
    ]
    accuracy = fmean(robustness.score for robustness in found)
    return Robustness(images=found[0].images, score=accuracy, curves=tuple(curves))


def _mean(points: tuple[Point, ...]) -> Point:
    low, high = (fmean(point.interval[end] for point in points) for end in (0, 1))
    return Point(level=points[0].level, score=fmean(p.score for p in points), interval=(low, high))


def row(name: str, found: Robustness) -> str:
    at = {curve.disturbance: {p.level: p.accuracy for p in curve.points} for curve in found.curves}
    figures = [f"{100 * at[kind][level]:.1f}" for kind, level in SHOWN.items()]
    return f"| {name} | {100 * found.accuracy:.1f} | {' | '.join(figures)} |"


def main() -> None:
    given = started(experiment(__doc__, images=60_000, epochs=5, seeds=(0, 1, 2), picture="invariance.png"))
    data = load("fashion-mnist", train=given.images, test=10_000)
    recipe = Recipe(
        epochs=given.epochs, batch=128, optimiser="adamw", lr=0.002, weight_decay=0.02, clip=1.0, keep_best=False
    )
    print(f"{given.images:,} images, {given.epochs} epochs, seeds {given.seeds}; accuracy in percent")
    print(f"| network | as they are | {' | '.join(f'{kind} {level:g}' for kind, level in SHOWN.items())} |")
    print(f"|---|{'---|' * (1 + len(SHOWN))}")
    found = {}
    for name, build in NETWORKS.items():
        runs = [measure(build, data, recipe.replace(seed=seed)) for seed in given.seeds]
        found[name] = averaged(runs)
        print(row(name, found[name]), flush=True)
        print(json.dumps({"network": name, "accuracies": [run.accuracy for run in runs]}), flush=True)
    print(robustness_picture(found, given.out))


if __name__ == "__main__":
    main()
