"""What the experiments share: the data, one training with its errors as it goes on, and the look of their figures."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

from fovea.data.augment.recipes import compose
from fovea.data.dataset import Part
from fovea.data.sources import find
from fovea.data.statistics import channel_statistics
from fovea.errors import TrainingError
from fovea.preprocess import Preprocess
from fovea.training.engine import EpochResult, Trainer
from fovea.training.recipe import Recipe

COLOURS = ("#1b6ca8", "#d1495b", "#2e8b57", "#8a5fbf", "#e08e0b")


@dataclass(frozen=True)
class Point:
    """The state after an epoch; errors are fractions."""

    step: int
    train_error: float
    """Of the images as they were trained on, over the epoch."""
    test_error: float


@dataclass(frozen=True)
class Data:
    """The first images of a data set's two parts, and how they are normalised."""

    train: Part
    test: Part
    preprocess: Preprocess


def load(name: str, *, train: int, test: int) -> Data:
    """Return the first `train` and `test` images of the named data set."""
    found = find(name)
    parts = [_first(found.parts[part], count) for part, count in (("train", train), ("test", test))]
    mean, std = channel_statistics(parts[0])
    size = tuple(parts[0].decoded.shape[1:3])
    return Data(*parts, Preprocess(size=size, channels=found.channels, fit="crop", mean=mean, std=std))


def _first(part: Part, count: int) -> Part:
    return replace(part, labels=part.labels[:count], names=part.names[:count], pixels=part.decoded[:count])


def train(build: Callable[[], nn.Module], data: Data, recipe: Recipe) -> list[Point]:
    """Return the errors of a network after each epoch; those of one that diverges end there."""
    torch.manual_seed(recipe.seed)
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    trainer = Trainer(
        build(),
        data.train,
        recipe,
        val=data.test,
        preprocess=data.preprocess,
        augmentation=compose(recipe.augment, size=data.preprocess.size[0]),
        device=torch.device("cuda" if torch.cuda.is_available() else "cpu"),
    )
    points: list[Point] = []

    def record(trainer: Trainer, epoch: EpochResult) -> None:
        if epoch.accuracy is None or epoch.val is None or epoch.val.accuracy is None:
            raise RuntimeError("Experiments are about classes.")
        points.append(Point(trainer.clock.total_steps, 1 - epoch.accuracy, 1 - epoch.val.accuracy))

    try:
        trainer.fit(on_step=lambda _: None, on_epoch=record)
    except TrainingError as error:
        print(f"  {error}")
    return points


def axes(columns: int, *, height: float = 3.4) -> tuple[Figure, list[Axes]]:
    """Return a figure with `columns` plots side by side, without the frame on top and on the right."""
    figure = Figure(figsize=(4.2 * columns, height), layout="constrained")
    plots = list(figure.subplots(1, columns, squeeze=False)[0])
    for plot in plots:
        plot.spines[["top", "right"]].set_visible(False)
        plot.grid(alpha=0.25)
    return figure, plots


def save(figure: Figure, path: Path) -> None:
    """Write the figure as PNG."""
    figure.savefig(path, dpi=110)
    print(path)


def report(name: str, points: list[Point]) -> None:
    """Print the last errors of a training, and all of them as a line of JSON."""
    last = points[-1]
    print(f"| {name} | {100 * last.train_error:.1f} % | {100 * last.test_error:.1f} % |", flush=True)
    print(json.dumps(_rounded(name, points)), flush=True)


def _rounded(name: str, points: list[Point]) -> Mapping[str, Any]:
    return {"name": name, "points": [[p.step, round(p.train_error, 4), round(p.test_error, 4)] for p in points]}
