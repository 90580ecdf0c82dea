"""A deep plain network from scratch, and grown from its shallow form: test error over the steps, at equal epochs.

Simonyan and Zisserman 2015, section 3.1 (lecture 000): deeper VGG networks began with layers of the trained VGG-11,
"since bad initialisation can stall learning due to the instability of gradient in deep nets"; weights were drawn from
N(0, 0.01), that is with a standard deviation of 0.1. Small networks of the same make, without batch norm, on images of
Fashion-MNIST, SGD with momentum: 6 convolutions (1, 1, 2, 2) and 16 (3, 3, 5, 5). `He` and `paper` say how weights
that are not taken over are drawn.
"""

import time
from pathlib import Path

import torch
from torch import nn

from experiments.figures import COLOURS, axes, save
from experiments.harness import Data, Point, experiment, head, load, report, started, train
from fovea import registry, zoo  # noqa: F401 (registers the networks)
from fovea.runs.initial_weights import sample_inputs
from fovea.training.growth import first_and_last, grow
from fovea.training.initialisation import Layer
from fovea.training.recipe import Recipe

WIDTHS = (8, 16, 32, 32, 64)
SHALLOW, DEEP = ((1, 1, 2, 2), (3, 3, 5, 5))
PAPER_DEVIATION = 0.1
BATCH = 16


def network(convolutions: tuple[int, ...], *, drawn: str, seed: int) -> nn.Module:
    """Return so many convolutions in each stage, each with its ReLU, then pooling; a hidden dense layer at the end."""
    torch.manual_seed(seed)
    pattern = " ".join("CR" * count + "P" for count in convolutions) + " FRF"
    model = registry.build("pattern", c_in=1, size=28, pattern=pattern, widths=WIDTHS)
    for layer in (module for module in model.modules() if isinstance(module, Layer) and drawn == "paper"):
        nn.init.normal_(layer.weight, 0.0, PAPER_DEVIATION)
    return model


def trained(model: nn.Module, data: Data, epochs: int, seed: int) -> list[Point]:
    recipe = Recipe(
        epochs=epochs, batch=BATCH, lr=0.02, schedule="linear", clip=1.0, keep_best=False, seed=seed, threads=1
    )
    return train(lambda: model, data, recipe)


def after(points: list[Point], then: list[Point]) -> list[Point]:
    """Return both, with the steps counted through."""
    return points + [Point(points[-1].step + p.step, p.train_error, p.test_error) for p in then]


def curves_of(data: Data, *, first: int, epochs: int, seed: int) -> dict[str, list[Point]]:
    """Return the points of each contestant; the grown ones spend `first` of the `epochs` in the shallow network."""
    curves = {}
    for drawn in ("He", "paper"):
        curves[f"16 from scratch, {drawn}"] = trained(network(DEEP, drawn=drawn, seed=seed), data, epochs, seed)
    shallow = network(SHALLOW, drawn="He", seed=seed)
    begun = trained(shallow, data, first, seed)
    images = sample_inputs(data.train, data.preprocess, 256)
    identity = network(DEEP, drawn="He", seed=seed + 1)
    grow(shallow, identity, images=images)
    curves["6, then 16 by identity"] = after(begun, trained(identity, data, epochs - first, seed))
    for drawn in ("He", "paper"):
        vgg = network(DEEP, drawn=drawn, seed=seed + 1)
        first_and_last(shallow, vgg)
        curves[f"6, then 16 as VGG, {drawn}"] = after(begun, trained(vgg, data, epochs - first, seed))
    curves["6 all the time, He"] = trained(network(SHALLOW, drawn="He", seed=seed), data, epochs, seed)
    return curves


def draw(curves: dict[str, list[Point]], out: Path, *, grown_at: int) -> None:
    """Draw the test errors, with a dotted line at the step where the shallow network grows."""
    figure, [plot] = axes(1, width=6.4, height=3.8)
    for colour, (name, points) in zip(COLOURS, curves.items(), strict=True):
        plot.plot([p.step for p in points], [100 * p.test_error for p in points], color=colour, label=name, marker=".")
    plot.axvline(grown_at, color="black", lw=0.8, ls=":")
    plot.set(xlabel="step", ylabel="test error in %")
    plot.legend(frameon=False, fontsize=8)
    save(figure, out)


def main() -> None:
    parser = experiment(__doc__, images=1_500, epochs=10, picture="growth.png")
    parser.add_argument("--first", type=int, default=3, help="so many of the epochs in the shallow network")
    given, began = started(parser, first=1), time.monotonic()
    data = load("fashion-mnist", train=given.images, test=1_000)
    curves = curves_of(data, first=given.first, epochs=given.epochs, seed=given.seed)
    head(f"{given.images:,} images of Fashion-MNIST, {given.epochs} epochs")
    for name, points in curves.items():
        report(name, points)
    draw(curves, given.out, grown_at=given.first * (given.images // BATCH))
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
