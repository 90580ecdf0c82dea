"""Compound scaling: depth, width and resolution alone and together, at equal multiply-adds.

Lecture 001 lists EfficientNet among the architectures, and says that "ZFNet, VGG shows that bigger networks work
better" and that ResNet "showed diminishing returns as networks got bigger"; lecture 002 sets accuracy beside size.
Tan and Le 2019, section 3: scaling one dimension saturates; scaling depth by 1.2^phi, width by
1.1^phi and resolution by 1.15^phi, which doubles the cost with each phi, does better than any one of them.

A small residual network on CIFAR-10, whose images are made smaller by area: 16 x 16 at first, so that there is
resolution to win. Each way leads to four times its multiply-adds (phi = 2): four times the blocks, twice the channels,
or twice the pixels on a side. All three: blocks and pixels by the formula, the width so that the cost is the same.
"""

import json
from bisect import bisect
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from torch import nn

from experiments.figures import COLOURS, axes, save
from experiments.harness import Data, accuracy, experiment, load, over_seeds, probabilities, resized, started, trained
from fovea.layers import Classifier
from fovea.measurement.network import measure_network
from fovea.training.recipe import Recipe
from fovea.zoo.resnet import Stage, basic, he_normal, head, residual, stages

CLASSES, FULL = 10, 32
DEPTH, WIDTH, RESOLUTION = 2, 6, 16  # blocks in each of three stages; channels of the first; pixels
ALPHA, GAMMA = 1.2, 1.15  # section 4: of depth and resolution; the width is what remains
PHI = 2
TIMES = 2**PHI
WIDEST = 64
COLUMNS = ("scaled", "layers", "channels", "pixels", "MACs", "parameters", "test accuracy, %")


class Size(NamedTuple):
    """What is scaled."""

    depth: int
    width: int
    resolution: int


class Result(NamedTuple):
    """What a network of some size reaches, with an accuracy for each seed."""

    size: Size
    macs: int
    parameters: int
    accuracies: list[float]


def network(size: Size) -> Classifier:
    """The residual network of CIFAR-10 (He et al. 2015, section 4.2) with other widths: (N, 3, r, r) -> (N, 10)."""
    c = size.width
    rows = (Stage(c, c, size.depth, 1), Stage(2 * c, 2 * c, size.depth, 2), Stage(4 * c, 4 * c, size.depth, 2))
    stem = nn.Sequential(nn.Conv2d(3, c, 3, padding=1, bias=False), nn.BatchNorm2d(c), nn.ReLU())
    return he_normal(Classifier(stem=stem, stages=stages(c, rows, residual(basic, "A")), head=head(4 * c, CLASSES)))


@cache
def cost(size: Size) -> tuple[int, int]:
    """Return the multiply-adds of an image, and the parameters."""
    total = measure_network(network(size), (3, size.resolution, size.resolution)).total
    return total.macs, total.parameters


FIRST = Size(DEPTH, WIDTH, RESOLUTION)


def widened(depth: int, resolution: int) -> Size:
    """Return the size whose width brings the multiply-adds closest to `TIMES` those of the first network."""
    sizes = [Size(depth, width, resolution) for width in range(4, WIDEST + 1)]
    target = TIMES * cost(FIRST)[0]
    above = bisect(sizes, target, key=lambda size: cost(size)[0])  # the cost grows with the width
    return min(sizes[above - 1 : above + 1], key=lambda size: abs(cost(size)[0] - target))


def ways() -> dict[str, Size]:
    """Return the size of the first network, and of those that cost `TIMES` as much, by what is scaled.

    The cost grows with depth, and with the square of width and of resolution.
    """
    together = round(DEPTH * ALPHA**PHI), 2 * round(RESOLUTION * GAMMA**PHI / 2)
    return {
        "none": FIRST,
        "depth": FIRST._replace(depth=DEPTH * TIMES),
        "width": widened(DEPTH, RESOLUTION),
        "resolution": FIRST._replace(resolution=FULL),
        "all three": widened(*together),
    }


def result(size: Size, data: Data, recipe: Recipe, seeds: Sequence[int]) -> Result:
    seen = resized(data, size.resolution)
    models = [trained(partial(network, size), seen, recipe.replace(seed=seed)) for seed in seeds]
    return Result(
        size, *cost(size), [accuracy(probabilities(model, seen.test, seen.preprocess), seen.test) for model in models]
    )


def report(name: str, found: Result) -> None:
    size, macs, parameters, accuracies = found
    layers = 6 * size.depth + 2
    print(
        f"| {name} | {layers} | {size.width} | {size.resolution} | {macs / 1e6:.2f} M | {parameters:,} "
        f"| {over_seeds(accuracies)} |",
        flush=True,
    )


def draw(results: dict[str, Result], out: Path) -> None:
    """Draw the accuracy of each way: a point for each seed, a line for the mean."""
    figure, [plot] = axes(1, width=5.6, height=3.6)
    for i, (colour, found) in enumerate(zip(COLOURS, results.values(), strict=False)):
        values = [100 * value for value in found.accuracies]
        plot.plot([i] * len(values), values, color=colour, marker="o", ls="", alpha=0.6)
        plot.hlines(fmean(values), i - 0.3, i + 0.3, color=colour)
    labels = [f"{name}\n{found.macs / 1e6:.1f} M MACs" for name, found in results.items()]
    plot.set_xticks(range(len(labels)), labels, fontsize=8)
    plot.set(xlabel="what is scaled", ylabel="test accuracy in %", xlim=(-0.5, len(labels) - 0.5))
    save(figure, out)


def main() -> None:
    given = started(experiment(__doc__, images=1_500, epochs=5, seeds=(0, 1, 2), picture="scaling.png"))
    data = load("cifar10", train=given.images, test=2 * given.images)
    recipe = Recipe(epochs=given.epochs, batch=32, lr=0.1, keep_best=False, threads=1)
    print(f"{given.images:,} images of CIFAR-10, {given.epochs} epochs, seeds {given.seeds}")
    print(
        "| scaled | layers | channels | pixels | MACs | parameters | test accuracy, % |\n|---|---|---|---|---|---|---|"
    )
    results = {}
    for name, size in ways().items():
        results[name] = result(size, data, recipe, given.seeds)
        report(name, results[name])
    print(json.dumps({name: [round(value, 4) for value in each.accuracies] for name, each in results.items()}))
    draw(results, given.out)


if __name__ == "__main__":
    main()
