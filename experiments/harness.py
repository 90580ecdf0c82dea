"""What the experiments share: their arguments, the data, and one training with its errors as it goes on."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.machine import arguments, begun
from fovea import inputs
from fovea.data.augment.recipes import compose
from fovea.data.dataset import Part
from fovea.data.sources.source import find
from fovea.data.statistics import channel_statistics
from fovea.devices import device_named
from fovea.errors import TrainingError
from fovea.preprocess import Preprocess
from fovea.tasks.classes import Classes
from fovea.training.engine import EpochResult, Trainer
from fovea.training.recipe import Recipe

QUICK_IMAGES, QUICK_EPOCHS = 256, 2


@dataclass(frozen=True)
class Point:
    """The state after an epoch; errors are fractions."""

    step: int
    train_error: float
    """Of the images as they were trained on, over the epoch."""
    test_error: float


@dataclass(frozen=True)
class Data:
    """The first images of a data set's two parts, how they are normalised, and their classes."""

    train: Part
    test: Part
    preprocess: Preprocess
    target: Classes


def experiment(
    about: str | None, *, images: int, epochs: int, picture: str, seeds: Sequence[int] = ()
) -> argparse.ArgumentParser:
    """Return a parser of what every experiment takes, with its defaults; `--seeds` where it has several, else `--seed`.

    An experiment adds what it alone takes and hands the parser to `started`.
    """
    parser = arguments(about, quick=f"{QUICK_IMAGES} images, {QUICK_EPOCHS} epochs, one seed")
    parser.add_argument("--images", type=int, default=images, help="to train on")
    parser.add_argument("--epochs", type=int, default=epochs)
    if seeds:
        parser.add_argument("--seeds", type=int, nargs="+", default=seeds)
    else:
        parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(picture), help="the picture")
    return parser


def started(parser: argparse.ArgumentParser, **quick: object) -> argparse.Namespace:
    """Return the arguments given, and print the machine; `quick` holds what `--quick` makes of an experiment's own."""
    given = begun(parser)
    if given.quick:
        less = {"images": QUICK_IMAGES, "epochs": QUICK_EPOCHS, **quick}
        if "seeds" in given:
            less["seeds"] = given.seeds[:1]
        vars(given).update(less)
    return given


def load(name: str, *, train: int, test: int) -> Data:
    """Return the first `train` and `test` images of the named data set."""
    found = find(name)
    parts = [first(found.parts[part], count) for part, count in (("train", train), ("test", test))]
    mean, std = channel_statistics(parts[0], inputs.kind("images"))
    size = tuple(parts[0].decoded.shape[1:3])
    preprocess = Preprocess(size=size, channels=found.channels, fit="crop", mean=mean, std=std)
    return Data(*parts, preprocess, Classes(names=found.classes))


def first(part: Part, count: int) -> Part:
    """Return the first `count` images of a part."""
    return replace(part, labels=part.labels[:count], names=part.names[:count], pixels=part.decoded[:count])


def train(build: Callable[[], nn.Module], data: Data, recipe: Recipe) -> list[Point]:
    """Return the errors of a network after each epoch; those of one that diverges end there.

    `build` draws the initial weights from the recipe's seed.
    """
    torch.manual_seed(recipe.seed)
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    trainer = Trainer(
        build(),
        data.train,
        recipe,
        val=data.test,
        target=data.target,
        preprocess=data.preprocess,
        augmentation=compose(recipe.augment, size=data.preprocess.size[0], without=()),
        device=device_named("auto"),
    )
    points: list[Point] = []

    def record(trainer: Trainer, epoch: EpochResult) -> None:
        if epoch.value is None or epoch.val is None or epoch.val.value is None:
            raise RuntimeError("Experiments are about classes.")
        points.append(Point(trainer.clock.total_steps, 1 - epoch.value, 1 - epoch.val.value))

    try:
        trainer.fit(on_step=lambda _: None, on_epoch=record)
    except TrainingError as error:
        print(f"  {error}")
    return points


def head(title: str) -> None:
    """Print what is trained, and the head of the table that `report` fills."""
    print(f"{title}\n| network | training error | test error |\n|---|---|---|", flush=True)


def report(name: str, points: list[Point]) -> None:
    """Print the last errors of a training, and all of them as a line of JSON."""
    last = points[-1]
    print(f"| {name} | {100 * last.train_error:.1f} % | {100 * last.test_error:.1f} % |", flush=True)
    print(json.dumps(_rounded(name, points)), flush=True)


def _rounded(name: str, points: list[Point]) -> Mapping[str, Any]:
    return {"name": name, "points": [[p.step, round(p.train_error, 4), round(p.test_error, 4)] for p in points]}
