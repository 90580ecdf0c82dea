"""Binary weights against their float twin on Fashion-MNIST: what two values per channel cost.

Courbariaux et al. 2015, arXiv:1511.00363, and Rastegari et al. 2016, arXiv:1603.05279, as the step `binarise` of
`fovea shrink` does it: the weights of all layers but the first and the last. A network is trained in float, then goes
on for as many epochs once with binary weights and once as it is, its twin: both see the same images. A share of the
training images is set apart for validation, by which settings are chosen; the test part is looked at once, at the end.
"""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn

import fovea.zoo  # noqa: F401 (its import makes the networks known)
from experiments.harness import Data, accuracy, experiment, load, probabilities, resized, started
from fovea import registry
from fovea.card import Card
from fovea.compression.binarise import binarise
from fovea.compression.refit import Refit, refit_recipe
from fovea.compression.step import Work
from fovea.data.dataset import Part
from fovea.devices import device_named
from fovea.model.bundle import save_bundle
from fovea.training.recipe import Recipe

VALIDATION = 6_000


def divided(data: Data) -> tuple[Part, Part]:
    """Return the training images and the last of them, set apart for validation."""
    part, count = data.train, max(1, min(VALIDATION, len(data.train) // 10))
    parts = []
    for rows in (slice(None, -count), slice(-count, None)):
        parts.append(replace(part, labels=part.labels[rows], names=part.names[rows], pixels=part.decoded[rows]))
    return parts[0], parts[1]


def refit_on(part: Part, data: Data, *, batch: int, seed: int) -> Refit:
    """Return what trains a network on a part by Adam."""
    return Refit(
        train=part,
        recipe=refit_recipe(Recipe(batch=batch, threads=1), seed=seed),
        target=data.target,
        preprocess=data.preprocess,
        augmentation=lambda images, *_: images,
        device=device_named("cpu"),
    )


def file_bytes(model: nn.Module, data: Data, name: str, changes: tuple[dict[str, object], ...]) -> int:
    """Return the bytes of the coded model file."""
    arguments = {"classes": 10, "c_in": 1, "size": data.preprocess.size[0]}
    known = {"target": data.target, "preprocess": data.preprocess, "fovea": "0"}
    card = Card(architecture=name, arguments=arguments, changes=changes, **known)
    with TemporaryDirectory() as folder:
        path = Path(folder, "net.safetensors")
        save_bundle(path, model, card, coded=True)
        return path.stat().st_size


def main() -> None:
    """Train the network, its binary form and its twin, and print the table."""
    parser = experiment(__doc__, images=60_000, epochs=1, picture="unused.png")
    parser.add_argument("--network", default="lenet5", choices=("lenet5", "fashion_cnn"))
    parser.add_argument("--float-epochs", type=int, default=4, help="before the network is divided into the two")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--lr", type=float, default=0.003)
    given = started(parser, float_epochs=1)
    data = load("fashion-mnist", train=given.images, test=min(10_000, given.images))
    size = registry.entry(given.network).input[-1]
    data = resized(data, size) if size != data.preprocess.size[0] else data
    train, val = divided(data)
    refit = refit_on(train, data, batch=given.batch, seed=given.seed)
    torch.manual_seed(given.seed)
    torch.set_num_threads(1)
    model = registry.build(given.network, classes=10, c_in=1, size=size)
    refit(model, epochs=given.float_epochs, lr=given.lr)

    def no_batches(_: int) -> object:
        raise RuntimeError("binary weights need no samples but those of training")

    work = Work(input_shape=data.preprocess.shape, refit=refit, batches=no_batches, score=lambda _: 0.0)
    steps: dict[str, Callable[[nn.Module], tuple[nn.Module, tuple[dict[str, object], ...]]]] = {
        "float": lambda twin: (refit(twin, epochs=given.epochs, lr=given.lr) or twin, ()),
        "binary": lambda twin: _binary(twin, work, given.epochs, lr=given.lr),
    }
    print(f"{given.network}, {len(train):,} images, {given.float_epochs} + {given.epochs} epochs, seed {given.seed}")
    print("| weights | validation, % | test, % | bytes of the file |\n|---|---|---|---|")
    for name, step in steps.items():
        found, changes = step(copy.deepcopy(model))
        cells = [100 * accuracy(probabilities(found, part, data.preprocess), part) for part in (val, data.test)]
        size_text = f"{file_bytes(found, data, given.network, changes):,}"
        print(f"| {name} | {cells[0]:.2f} | {cells[1]:.2f} | {size_text} |", flush=True)


def _binary(twin: nn.Module, work: Work, epochs: int, *, lr: float) -> tuple[nn.Module, tuple[dict[str, object], ...]]:
    faster = replace(work, refit=replace(work.refit, recipe=work.refit.recipe.replace(lr=lr)))
    done = binarise(twin, faster, epochs=epochs)
    return done.model, tuple(dict(change) for change in done.changes)


if __name__ == "__main__":
    main()
