"""Images of several sizes through one network, trained at one size or at several.

Lecture 003: "convolution allows us to work with inputs of variable size". A fully convolutional network on CIFAR-10,
with the mean over the last map before the logits, so that no layer knows the size: it is trained on images of 32 x 32,
of 16 x 16, or in every step of a size drawn from several, and tested on the same images at sizes it has seen and has
not. Smaller images are made by area, larger ones bilinear. The same network with a dense layer over the whole last map
takes its own size alone.
"""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor, nn

from experiments.figures import COLOURS, axes, save
from experiments.harness import (
    Data,
    accuracy,
    experiment,
    load,
    over_seeds,
    probabilities,
    resized,
    started,
    to_size,
    trained,
)
from fovea.training.recipe import Recipe

WIDTHS, CLASSES, NATIVE = (12, 24, 48), 10, 32
TRAINED_AT = {"trained at 32": (32,), "trained at 16": (16,), "trained at 16 to 40": (16, 20, 24, 28, 32, 36, 40)}
TESTED_AT = (12, 16, 20, 24, 28, 32, 40, 48)


class Anysize(nn.Module):
    """3x3 convolutions with batch norm, ReLU and pooling, the mean over the last map, logits: (N, 3, H, W) -> (N, 10).

    While it is trained it first brings each batch to one of `sizes`, drawn by chance.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for a, b in zip((3, *WIDTHS), WIDTHS, strict=False):
            layers += [nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2)]
        self.maps = nn.Sequential(*layers)
        self.logits = nn.Linear(WIDTHS[-1], CLASSES)
        self.sizes = tuple(sizes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        if self.training:
            x = to_size(x, self.sizes[int(torch.randint(len(self.sizes), ()))])
        return self.logits(self.maps(x).mean(dim=(2, 3)))


class Dense(nn.Sequential):
    """The same with a dense layer over the whole last map of images of 32 x 32."""

    def __init__(self) -> None:
        units = WIDTHS[-1] * (NATIVE // 2 ** len(WIDTHS)) ** 2
        super().__init__(Anysize((NATIVE,)).maps, nn.Flatten(), nn.Linear(units, CLASSES))


def tested(model: nn.Module, at: Mapping[int, Data]) -> list[float | None]:
    """Return the test accuracy at each size, None where the network does not take it."""
    found: list[float | None] = []
    for data in at.values():
        try:
            found.append(accuracy(probabilities(model, data.test, data.preprocess), data.test))
        except RuntimeError:  # PyTorch's word for shapes that do not fit
            found.append(None)
    return found


def cells(runs: Sequence[Sequence[float | None]]) -> list[str]:
    """Return the accuracies at each size over the seeds, as text."""
    return [
        "does not fit" if None in values else over_seeds([value for value in values if value is not None])
        for values in zip(*runs, strict=True)
    ]


def draw(found: Mapping[str, Sequence[Sequence[float | None]]], out: Path) -> None:
    """Draw accuracy against size: the mean of each training, and the spread over the seeds."""
    figure, [plot] = axes(1, width=6.0, height=3.8)
    for colour, (name, runs) in zip(COLOURS, found.items(), strict=False):
        at = [
            (size, [100 * value for value in values if value is not None])
            for size, values in zip(TESTED_AT, zip(*runs, strict=True), strict=True)
        ]
        at = [(size, values) for size, values in at if values]
        sizes = [size for size, _ in at]
        plot.plot(sizes, [fmean(values) for _, values in at], color=colour, marker="o", ms=4, label=name)
        plot.fill_between(
            sizes, [min(values) for _, values in at], [max(values) for _, values in at], color=colour, alpha=0.15
        )
    plot.set_xticks(TESTED_AT, [str(size) for size in TESTED_AT])
    plot.set(xlabel="test images, pixels on a side", ylabel="test accuracy in %")
    plot.legend(frameon=False, fontsize=8)
    save(figure, out)


def main() -> None:
    given = started(experiment(__doc__, images=2_500, epochs=6, seeds=(0, 1, 2), picture="sizes.png"))
    data = load("cifar10", train=given.images, test=given.images)
    at = {size: resized(data, size) for size in TESTED_AT}
    recipe = Recipe(epochs=given.epochs, batch=32, lr=0.1, keep_best=False, threads=1)
    print(f"{given.images:,} images of CIFAR-10, {given.epochs} epochs, seeds {given.seeds}; test accuracy in percent")
    print(f"| network | {' | '.join(map(str, TESTED_AT))} |\n|---|{'---|' * len(TESTED_AT)}")
    networks = {name: partial(Anysize, sizes) for name, sizes in TRAINED_AT.items()}
    networks["dense layer, trained at 32"] = Dense
    found = {}
    for name, build in networks.items():
        found[name] = [tested(trained(build, data, recipe.replace(seed=seed)), at) for seed in given.seeds]
        print(f"| {name} | {' | '.join(cells(found[name]))} |", flush=True)
    print(json.dumps(found))
    draw(found, given.out)


if __name__ == "__main__":
    main()
