"""What the experiments share: their arguments, the data, and one training with its errors as it goes on."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.machine import arguments, begun
from fovea import inputs
from fovea.data.augment.recipes import compose
from fovea.data.dataset import Images, Part
from fovea.data.sources.source import find
from fovea.data.statistics import channel_statistics
from fovea.devices import device_named
from fovea.errors import TrainingError
from fovea.preprocess import Preprocess
from fovea.tasks.classes import Classes
from fovea.training.clock import EpochResult
from fovea.training.engine import Trainer
from fovea.training.inference import predict_logits
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


def resized(data: Data, size: int) -> Data:
    """Return both parts with `size` x `size` images, as `to_size` makes them."""
    parts = [replace(part, pixels=resized_pixels(part.decoded, size)) for part in (data.train, data.test)]
    return Data(*parts, replace(data.preprocess, size=(size, size)), data.target)


def resized_pixels(pixels: Images, size: int) -> NDArray[np.uint8]:
    """Return (N, size, size, C) uint8 of images (N, H, W, C) uint8, as `to_size` makes them."""
    scaled = to_size(torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2).float(), size)
    found: NDArray[np.uint8] = scaled.round().byte().permute(0, 2, 3, 1).contiguous().numpy()
    return found


def to_size(x: Tensor, size: int) -> Tensor:
    """Return float32 images (N, C, H, W) as (N, C, size, size): smaller by the mean of the area, larger bilinear."""
    if size == x.shape[-1]:
        return x
    if size < x.shape[-1]:
        return nn.functional.interpolate(x, size=(size, size), mode="area")
    return nn.functional.interpolate(x, size=(size, size), mode="bilinear", align_corners=False)


def train(build: Callable[[], nn.Module], data: Data, recipe: Recipe) -> list[Point]:
    """Return the errors of a network after each epoch; those of one that diverges end there.

    `build` draws the initial weights from the recipe's seed.
    """
    trainer = trainer_of(build, data, recipe, val=data.test)
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


def trained(build: Callable[[], nn.Module], data: Data, recipe: Recipe) -> nn.Module:
    """Return the network after its last epoch, which has not seen the test part; otherwise as `train`."""
    trainer = trainer_of(build, data, recipe, val=None)
    trainer.fit(on_step=lambda _: None, on_epoch=lambda *_: None)
    return trainer.model.eval()


def trainer_of(build: Callable[[], nn.Module], data: Data, recipe: Recipe, *, val: Part | None) -> Trainer:
    """Return a training at its beginning; the seed and the threads are set."""
    torch.manual_seed(recipe.seed)
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    return Trainer(
        build(),
        data.train,
        recipe,
        val=val,
        target=data.target,
        preprocess=data.preprocess,
        augmentation=compose(recipe.augment, size=data.preprocess.size[0], without=()),
        device=device_named("auto"),
    )


def probabilities(model: nn.Module, part: Part, preprocess: Preprocess) -> NDArray[np.float64]:
    """Return (N, classes) float64 probabilities of a part's images."""
    logits = predict_logits(model, part.decoded, preprocess, device=device_named("auto"))
    return logits.double().softmax(dim=1).numpy()


def accuracy(given: NDArray[np.float64], part: Part) -> float:
    """Return the share of a part's images whose class has the largest of (N, classes) probabilities."""
    return float((given.argmax(axis=1) == part.labels).mean())


def over_seeds(values: Sequence[float], *, digits: int = 1, scale: float = 100.0) -> str:
    """Return the mean of one figure per seed, and the least and the greatest of them; in percent unless told.

    >>> over_seeds([0.61, 0.63])
    '62.0 (61.0 to 63.0)'
    """
    middle, low, high = (f"{scale * value:.{digits}f}" for value in (fmean(values), min(values), max(values)))
    return middle if len(values) == 1 else f"{middle} ({low} to {high})"


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
