"""Do sharing and pooling bring invariance? Accuracy on disturbed images of networks that differ in these alone.

Lectures 000, 001 and 003: shared weights make a layer equivariant to translation, pooling makes it invariant to small
ones. Networks on Fashion-MNIST without augmentation: an MLP (neither); three 3x3 convolutions and one dense layer
(sharing); the same with 2x2 max pooling after the first two (and pooling); the same with the mean over the last map
before the dense layer, which is all that still knows a place (and global pooling). `fovea evaluate --robust` measures.

The schedule is short: what is compared is how accuracy falls, not how high it could be.
"""

import argparse
import json
import tempfile
from collections import OrderedDict
from pathlib import Path
from statistics import fmean

from machine import description
from torch import nn

import fovea
from fovea.display import Display
from fovea.drawing.robustness import robustness_picture
from fovea.evaluation.robustness import Curve, Point, Robustness

SIZE = 28
WIDTHS = (16, 32, 32)
HIDDEN = 128
SHOWN = {"shift": 3.0, "scale": 0.7, "rotation": 15.0, "blur": 0.84, "noise": 32.0, "JPEG": 10.0}
"""Of each disturbance, the level in the table."""


class MLP(nn.Sequential):
    """One hidden layer, no convolution: every pixel has weights of its own."""

    def __init__(self, classes: int, c_in: int) -> None:
        super().__init__(nn.Flatten(), nn.Linear(c_in * SIZE**2, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, classes))


class Convolutions(nn.Sequential):
    """3x3 convolutions with ReLU, `pools` of them with 2x2 max pooling, then the whole map or its mean, and logits."""

    def __init__(self, classes: int, c_in: int, *, pools: int = 0, mean: bool = False) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for i, (a, b) in enumerate(zip((c_in, *WIDTHS), WIDTHS, strict=False)):
            layers[f"conv{i}"], layers[f"relu{i}"] = nn.Conv2d(a, b, 3, padding=1), nn.ReLU()
            if i < pools:
                layers[f"pool{i}"] = nn.MaxPool2d(2)
        if mean:
            layers["mean"] = nn.AdaptiveAvgPool2d(1)
        units = WIDTHS[-1] * (1 if mean else SIZE // 2**pools) ** 2
        super().__init__(OrderedDict({**layers, "flatten": nn.Flatten(), "logits": nn.Linear(units, classes)}))


class Pooled(Convolutions):
    """With max pooling after the first two."""

    def __init__(self, classes: int, c_in: int) -> None:
        super().__init__(classes, c_in, pools=2)


class GloballyPooled(Convolutions):
    """With the mean over the last map too."""

    def __init__(self, classes: int, c_in: int) -> None:
        super().__init__(classes, c_in, pools=2, mean=True)


NETWORKS = {
    "MLP": MLP,
    "convolutions": Convolutions,
    "and max pooling": Pooled,
    "and global pooling": GloballyPooled,
}


def measure(name: str, data: str, *, epochs: int, seed: int) -> Robustness:
    """Return the robustness of one network, trained from scratch."""
    network = NETWORKS[name]
    with tempfile.TemporaryDirectory() as folder:
        result = fovea.train(
            data,
            out=f"{folder}/run",
            model=f"{__file__}:{network.__name__}",
            size=SIZE,
            epochs=epochs,
            seed=seed,
            batch=128,
            augment=(),
            test_flip=False,
            images=False,
            display=Display(quiet=True),
        )
        bundle = fovea.load(result.model, model=network(classes=10, c_in=1))
        found = fovea.evaluate(bundle, data, robust=True).robustness
    if found is None:
        raise RuntimeError("`robust=True` gives a robustness.")
    return found


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
    accuracy = fmean(robustness.accuracy for robustness in found)
    return Robustness(images=found[0].images, accuracy=accuracy, curves=tuple(curves))


def _mean(points: tuple[Point, ...]) -> Point:
    low, high = (fmean(point.interval[end] for point in points) for end in (0, 1))
    return Point(level=points[0].level, accuracy=fmean(p.accuracy for p in points), interval=(low, high))


def row(name: str, found: Robustness) -> str:
    at = {curve.disturbance: {p.level: p.accuracy for p in curve.points} for curve in found.curves}
    figures = [f"{100 * at[kind][level]:.1f}" for kind, level in SHOWN.items()]
    return f"| {name} | {100 * found.accuracy:.1f} | {' | '.join(figures)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("invariance.png"), help="the picture")
    parser.add_argument("--quick", action="store_true", help="digits, one seed, one epoch: does it run at all?")
    args = parser.parse_args()
    data, epochs, seeds = ("digits", 1, [0]) if args.quick else (args.data, args.epochs, args.seeds)
    print(description(), flush=True)
    print(f"{data}, {epochs} epochs, seeds {seeds}; accuracy in percent")
    found = {}
    print(f"| network | as they are | {' | '.join(f'{kind} {level:g}' for kind, level in SHOWN.items())} |")
    print(f"|---|{'---|' * (1 + len(SHOWN))}")
    for name in NETWORKS:
        runs = [measure(name, data, epochs=epochs, seed=seed) for seed in seeds]
        found[name] = averaged(runs)
        print(row(name, found[name]), flush=True)
        if not args.quick:
            print(json.dumps({"network": name, "accuracies": [run.accuracy for run in runs]}), flush=True)
    robustness_picture(found, args.out)
    print(args.out)


if __name__ == "__main__":
    main()
