"""What batch norm buys: accuracy against steps of one network with and without it (Ioffe and Szegedy 2015, figure 2).

Lectures 000 and 001: with batch norm the same accuracy is reached in fewer steps, and higher rates can be used. Six
3x3 convolutions on CIFAR-10, plain SGD at one constant rate; the rate times 1, 5 and 30 as in the paper's section
4.2.1. The percentiles of a layer's inputs, the paper's figure 1, are in the `report.html` of every training.
"""

from collections import OrderedDict
from functools import partial
from pathlib import Path

from torch import nn

from experiments.figures import COLOURS, axes, save
from experiments.harness import Point, experiment, head, load, report, started, train
from fovea.training.recipe import Recipe

WIDTHS = (16, 32, 64)
LR = 0.01
FACTORS = (1, 5, 30)


def network(*, batch_norm: bool) -> nn.Sequential:
    """Three times two 3x3 convolutions (, batch norm), ReLU, and 2x2 max pooling; then the mean and logits."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for i, (a, b) in enumerate(zip((3, *WIDTHS), WIDTHS, strict=False)):
        for j, c in enumerate((a, b)):
            layers[f"conv{i}{j}"] = nn.Conv2d(c, b, 3, padding=1, bias=not batch_norm)
            if batch_norm:
                layers[f"bn{i}{j}"] = nn.BatchNorm2d(b)
            layers[f"relu{i}{j}"] = nn.ReLU()
        layers[f"pool{i}"] = nn.MaxPool2d(2)
    layers |= {"mean": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "logits": nn.Linear(WIDTHS[-1], 10)}
    return nn.Sequential(layers)


def draw(curves: dict[str, list[Point]], out: Path) -> None:
    """Draw test accuracy against steps: without batch norm on the left, with it on the right."""
    figure, plots = axes(2)
    for plot, kind in zip(plots, ("without", "with"), strict=True):
        for colour, factor in zip(COLOURS, FACTORS, strict=False):
            points = curves[f"{kind} batch norm, rate x{factor}"]
            accuracies = [100 * (1 - p.test_error) for p in points]
            plot.plot([p.step for p in points], accuracies, color=colour, marker="o", ms=3, label=f"rate x{factor}")
        plot.set(xlabel="step", ylabel="test accuracy in %", ylim=(0, 85), title=f"{kind} batch norm")
        plot.legend(frameon=False, fontsize=8)
    plots[1].sharex(plots[0])
    save(figure, out)


def main() -> None:
    given = started(experiment(__doc__, images=20_000, epochs=6, picture="batch-norm.png"))
    data = load("cifar10", train=given.images, test=given.images // 5)
    head(f"{given.images:,} images of CIFAR-10, {given.epochs} epochs")
    curves = {}
    for kind in ("without", "with"):
        for factor in FACTORS:
            name = f"{kind} batch norm, rate x{factor}"
            recipe = Recipe(
                epochs=given.epochs,
                batch=32,
                lr=LR * factor,
                momentum=0.0,
                nesterov=False,
                weight_decay=0.0,
                schedule="constant",
                keep_best=False,
                seed=given.seed,
            )
            curves[name] = train(partial(network, batch_norm=kind == "with"), data, recipe)
            report(name, curves[name])
    draw(curves, given.out)


if __name__ == "__main__":
    main()
