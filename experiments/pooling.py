"""Overlapping pooling and local response norm: what each is worth, alone and together.

Lecture 001, of AlexNet: "max pooling was used with an overlapping window of size 3x3 and a stride of 2, which helped to
reduce the spatial dimension of the input and extract useful features"; lecture 004: "overlapping pooling layers (0.5 %
reduction in overfitting)". Lectures 000 and 001, of VGG: A beside A-LRN, and "no local response normalisation".
Krizhevsky et al. 2012, sections 3.3 and 3.4: both reduce the error, response norm by 1.4 and 1.2 points (top-1, top-5),
overlapping pooling by 0.4 and 0.3, with which it is "slightly more difficult to overfit".

Three 3x3 convolutions, each with ReLU, response norm or none, and max pooling of 2x2 or 3x3 at stride 2, then the
logits, on CIFAR-10: every pair, with the same weights at the beginning and the same order of images for each seed. The
maps, and so parameters and MACs, are equal. Overfitting is the test error less that on the training images. Response
norm is that of the paper's constants; that of constants for inputs of unit deviation; and the same with a gain, as
the paper's k = 2 alone makes every map 1.7 times smaller.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from experiments.figures import COLOURS, axes, save
from experiments.harness import Data, accuracy, experiment, load, over_seeds, probabilities, started, trained
from fovea.metrics import paired_interval
from fovea.training.recipe import Recipe

WIDTHS = (12, 24, 48)
SIZE, CLASSES = 32, 10
NEIGHBOURS, BIAS, PAPER = 5, 2.0, 1e-4  # section 3.3: n, k, alpha; beta is 3/4
SCALED = PAPER * 63**2  # the paper's pixels are 0..255 less their mean; here divided by their deviation of about 63


class Norm(NamedTuple):
    """Constants of a response norm."""

    alpha: float
    gain: float = 1.0
    """What the result is multiplied by; 2^(3/4) lets a map pass unchanged where all is quiet."""


NORMS = {
    "": None,
    "paper's norm": Norm(PAPER),
    "scaled norm": Norm(SCALED),
    "scaled norm, gain": Norm(SCALED, gain=BIAS**0.75),
}


class Kind(NamedTuple):
    """One of the networks."""

    window: int
    """Of the pooling: 2, or 3, which overlaps."""
    norm: str
    """A name in `NORMS`."""

    def __str__(self) -> str:
        return ", ".join([f"{self.window}x{self.window}", self.norm]).rstrip(", ")


class Errors(NamedTuple):
    """Of one trained network, as fractions."""

    train: float
    test: float

    @property
    def overfitting(self) -> float:
        """How much larger the test error is."""
        return self.test - self.train


KINDS = tuple(Kind(*each) for each in product((2, 3), NORMS))
FACTORS: dict[str, Callable[[Kind], tuple[Kind, Kind]]] = {
    "overlapping pooling": lambda kind: (Kind(2, kind.norm), Kind(3, kind.norm)),
    **{name: lambda kind, name=name: (Kind(kind.window, ""), Kind(kind.window, name)) for name in NORMS if name},
}
"""Of a network, the two that differ in one thing: without and with it."""


class ResponseNorm(nn.Module):
    """Krizhevsky et al. 2012, section 3.3: (N, C, H, W) divided by (2 + alpha * sum of squares)^(3/4), times the gain.

    The sum over the five neighbouring channels is a 1x1 convolution with ones in a band. Equal to `LocalResponseNorm`
    of PyTorch up to rounding, in a sixth of the time here.
    """

    def __init__(self, c: int, norm: Norm) -> None:
        super().__init__()
        self.alpha, self.gain = norm
        channel = torch.arange(c)
        near = (channel[:, None] - channel).abs() <= NEIGHBOURS // 2
        self.register_buffer("band", near.float()[:, :, None, None])

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised map."""
        root = (BIAS + self.alpha * nn.functional.conv2d(x * x, self.band)).rsqrt()
        return self.gain * x * root * root.sqrt()


def network(kind: Kind) -> nn.Sequential:
    """(N, 3, 32, 32) -> (N, 10); partial windows at the border count, so that each pooling halves the map."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for i, (a, b) in enumerate(zip((3, *WIDTHS), WIDTHS, strict=False)):
        layers[f"conv{i}"], layers[f"relu{i}"] = nn.Conv2d(a, b, 3, padding=1), nn.ReLU()
        if norm := NORMS[kind.norm]:
            layers[f"norm{i}"] = ResponseNorm(b, norm)
        layers[f"pool{i}"] = nn.MaxPool2d(kind.window, stride=2, ceil_mode=True)
    units = WIDTHS[-1] * (SIZE // 2 ** len(WIDTHS)) ** 2
    layers["flatten"], layers["logits"] = nn.Flatten(), nn.Linear(units, CLASSES)
    return nn.Sequential(layers)


def errors_of(kind: Kind, data: Data, recipe: Recipe) -> Errors:
    model = trained(lambda: network(kind), data, recipe)
    parts = (data.train, data.test)
    return Errors(*(1 - accuracy(probabilities(model, part, data.preprocess), part) for part in parts))


def effects(runs: Mapping[Kind, Sequence[Errors]], factor: str, figure: str) -> list[float]:
    """Return what a factor changes in a figure of `Errors`, in points, of each seed: the mean over the other factor."""
    pairs = {FACTORS[factor](kind) for kind in runs}
    differences = [
        [getattr(b, figure) - getattr(a, figure) for a, b in zip(runs[without], runs[with_it], strict=True)]
        for without, with_it in pairs
    ]
    return [100 * fmean(of_seed) for of_seed in zip(*differences, strict=True)]


def interval(values: Sequence[float]) -> str:
    """Return the mean difference with its 95 % interval, where there are seeds for one."""
    if len(values) < 2:
        return f"{fmean(values):+.1f}"
    low, high = paired_interval(values)
    return f"{fmean(values):+.1f} ({low:+.1f} to {high:+.1f})"


def print_tables(runs: Mapping[Kind, Sequence[Errors]]) -> None:
    print("| pooling | training error, % | test error, % | overfitting, points |\n|---|---|---|---|")
    for kind, found in runs.items():
        cells = [over_seeds([getattr(each, name) for each in found]) for name in ("train", "test", "overfitting")]
        print(f"| {kind} | {' | '.join(cells)} |")
    print("| what it changes, in points | training error | test error | overfitting |\n|---|---|---|---|")
    for factor in FACTORS:
        cells = [interval(effects(runs, factor, name)) for name in ("train", "test", "overfitting")]
        print(f"| {factor} | {' | '.join(cells)} |")
    rounded = {str(kind): np.round(found, 4).tolist() for kind, found in runs.items()}
    print(json.dumps(rounded), flush=True)


def draw(runs: Mapping[Kind, Sequence[Errors]], out: Path) -> None:
    """Draw test error and overfitting of every network, by norm: a point for each seed, a line for the mean."""
    figure, plots = axes(2, width=5.0)
    labels = {"test": "test error in %", "overfitting": "overfitting in points"}
    for plot, (name, label) in zip(plots, labels.items(), strict=True):
        for kind, found in runs.items():
            x, colour = list(NORMS).index(kind.norm) + 0.3 * (kind.window - 2.5), COLOURS[kind.window - 2]
            values = [100 * getattr(each, name) for each in found]
            plot.plot([x] * len(values), values, color=colour, marker="o", ls="", alpha=0.6)
            window = f"pooling of {kind.window}x{kind.window}"
            plot.hlines(fmean(values), x - 0.12, x + 0.12, color=colour, label=None if kind.norm else window)
        plot.set_xticks(range(len(NORMS)), [norm.replace(", ", ",\n") or "no norm" for norm in NORMS], fontsize=8)
        plot.set(ylabel=label, xlim=(-0.5, len(NORMS) - 0.5))
    plots[0].legend(frameon=False, fontsize=8, loc="upper left")
    save(figure, out)


def main() -> None:
    given = started(experiment(__doc__, images=2_000, epochs=6, seeds=(0, 1, 2), picture="pooling.png"))
    data = load("cifar10", train=given.images, test=2 * given.images)
    recipe = Recipe(epochs=given.epochs, batch=32, lr=0.02, keep_best=False, threads=1)
    print(f"{given.images:,} images of CIFAR-10, {given.epochs} epochs, seeds {given.seeds}")
    runs = {kind: [errors_of(kind, data, recipe.replace(seed=seed)) for seed in given.seeds] for kind in KINDS}
    print_tables(runs)
    draw(runs, given.out)


if __name__ == "__main__":
    main()
