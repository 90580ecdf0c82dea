"""Zeros fixed before training beside ShuffleNet V2 and MobileNetV2: accuracy against multiply-adds.

Lecture 002, of Kundu et al. 2020, arXiv:2001.10710, figure 11: "architectures that have similar or fewer FLOPs than
ShuffleNet and MobileNetV2 with comparable or better classification accuracy", on CIFAR-10. There it is ResNet-18 and
VGG-16; here ResNet-20 with 1, 2, 4 and all 9 places of its 3x3 kernels, on fewer images, for minutes on one core.
Multiply-adds with a fixed zero are not counted, as in the paper. The other networks are made for 224 pixels: here they
halve the map three times instead of five, by the stride of their first layers, so that 4 x 4 places are left.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from torch import nn

import fovea.zoo  # noqa: F401 (its import makes the networks known)
from experiments.figures import COLOURS, axes, save
from experiments.harness import Data, accuracy, experiment, load, over_seeds, probabilities, started, trained
from fovea import registry
from fovea.layers import predefine_zeros
from fovea.measurement.network import measure_network
from fovea.training.recipe import Recipe

SHAPE, PLACES = (3, 32, 32), 9
SUPPORTS = (1, 2, 4, PLACES)


class Kind(NamedTuple):
    """One of the networks."""

    family: str
    name: str
    build: Callable[[], nn.Module]


def sparse_resnet20(support: int) -> nn.Module:
    """Return ResNet-20 with so many places in each 3x3 kernel, but for the first layer's."""
    model = registry.build("cifar_resnet20")
    if support < PLACES:
        predefine_zeros(model, support=support, period=PLACES)
    return model


def mobilenet_v2(width: float) -> nn.Module:
    """Return MobileNetV2 for 32 pixels: strides 1 in the stem and in stage 2."""
    model = registry.build("mobilenet_v2", classes=10, width=width)
    model.get_submodule("stem.conv").stride = (1, 1)
    model.get_submodule("stage2.block1.residual.depthwise").stride = (1, 1)
    return model


def shufflenet_v2(name: str) -> nn.Module:
    """Return ShuffleNet V2 for 32 pixels: stride 1 in the stem, and no pooling there."""
    model = registry.build(name, classes=10)
    model.get_submodule("stem.conv").stride = (1, 1)
    model.get_submodule("stem").pool = nn.Identity()
    return model


KINDS = (
    *(Kind("ResNet-20, fixed zeros", f"{s} of 9 places", lambda s=s: sparse_resnet20(s)) for s in SUPPORTS),
    *(Kind("MobileNetV2", f"width {width}", lambda width=width: mobilenet_v2(width)) for width in (0.25, 0.5)),
    Kind("ShuffleNet V2", "0.5", lambda: shufflenet_v2("shufflenet_v2_05")),
    Kind("ShuffleNet V2", "1.0", lambda: shufflenet_v2("shufflenet_v2")),
)


class Size(NamedTuple):
    """What a network takes, fixed zeros not counted."""

    macs: int
    parameters: int


def size_of(model: nn.Module) -> Size:
    """Return the multiply-adds and parameters that are not fixed at zero."""
    found = measure_network(model, SHAPE)
    counted = {"macs": found.total.macs, "parameters": found.total.parameters, **found.nonzero}
    return Size(counted["macs"], counted["parameters"])


def accuracy_of(kind: Kind, data: Data, recipe: Recipe) -> float:
    """Return the share of test images that a network trained by the recipe gets right."""
    model = trained(kind.build, data, recipe)
    return accuracy(probabilities(model, data.test, data.preprocess), data.test)


def draw(found: Mapping[Kind, tuple[Size, list[float]]], out: Path) -> None:
    """Draw test accuracy against multiply-adds and against parameters, a curve for each family."""
    figure, plots = axes(2, width=5.0)
    families = list(dict.fromkeys(kind.family for kind in found))
    for plot, (field, label) in zip(plots, {"macs": "MACs", "parameters": "parameters"}.items(), strict=True):
        for colour, family in zip(COLOURS, families, strict=False):
            points = [
                (getattr(size, field), 100 * sum(values) / len(values))
                for kind, (size, values) in found.items()
                if kind.family == family
            ]
            plot.plot(*zip(*points, strict=True), color=colour, marker="o", label=family)
        plot.set(xscale="log", xlabel=label, ylabel="test accuracy in %")
    plots[0].legend(frameon=False, fontsize=8)
    save(figure, out)


def main() -> None:
    """Train every network, print the table and draw the figure."""
    given = started(experiment(__doc__, images=5_000, epochs=8, seeds=(0,), picture="predefined.png"))
    data = load("cifar10", train=given.images, test=given.images)
    recipe = Recipe(epochs=given.epochs, batch=64, lr=0.05, augment=("flip",), keep_best=False, threads=1)
    print(f"{given.images:,} images of CIFAR-10, {given.epochs} epochs, seeds {given.seeds}")
    print("| network | MACs | parameters | test accuracy, % |\n|---|---|---|---|")
    found: dict[Kind, tuple[Size, list[float]]] = {}
    for kind in KINDS:
        size = size_of(kind.build())
        found[kind] = size, [accuracy_of(kind, data, recipe.replace(seed=seed)) for seed in given.seeds]
        figures = over_seeds(found[kind][1])
        print(f"| {kind.family}, {kind.name} | {size.macs:,} | {size.parameters:,} | {figures} |", flush=True)
    print(json.dumps({f"{kind.family}, {kind.name}": [*size, *values] for kind, (size, values) in found.items()}))
    draw(found, given.out)


if __name__ == "__main__":
    main()
