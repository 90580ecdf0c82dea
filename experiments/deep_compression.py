"""Deep Compression (Han, Mao and Dally 2015, arXiv:1510.00149): pruned, shared and coded, what is a network worth?

Their table 1, on MNIST: LeNet-300-100 in 40 times fewer bytes, error 1.64 -> 1.58 %; LeNet-5 of Caffe in 39 times
fewer, 0.80 -> 0.74 %. Here both on Fashion-MNIST, which is harder.

Each network is trained; single weights of least magnitude go in rounds, each followed by training of those that stay;
those of a layer share a few values, which are trained further; the file holds the values, and where they are, by
Huffman codes. Settings are chosen on a held-out tenth of the training images; the test images are seen once, at the
end, by the networks before and after.

What is done lies in `--folder`; a run that was stopped goes on from there.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import nn

import fovea.zoo  # noqa: F401 (its import makes the networks known)
from experiments.harness import Data, experiment, load, started, trainer_of
from fovea import registry
from fovea.card import Card
from fovea.data.splits import take
from fovea.model.bundle import save_bundle
from fovea.training.recipe import Recipe

IMAGES, HELD_OUT = 60_000, 6_000


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network, and how it is trained before anything else."""

    title: str
    architecture: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    epochs: int
    lr: float

    def build(self) -> nn.Module:
        """Return the network with random weights."""
        return registry.build(self.architecture, **self.arguments)


SUBJECTS = {
    "mlp": Subject(title="LeNet-300-100", architecture="mlp", arguments={"widths": [300, 100]}, epochs=20, lr=0.05),
    "lenet": Subject(title="LeNet of Caffe", architecture="lenet_caffe", epochs=12, lr=0.05),
}


def divided(images: int) -> tuple[Data, Data]:
    """Return the data whose test part is what was held out of the training images, and the data as they are."""
    whole = load("fashion-mnist", train=images, test=10_000)
    kept = images - images * HELD_OUT // IMAGES
    train, val = take(whole.train, range(kept)), take(whole.train, range(kept, images))
    return replace(whole, train=train, test=val), whole


def card_of(subject: Subject, data: Data) -> Card:
    """Return the card of a network of this kind."""
    arguments = registry.arguments_of(subject.architecture, **subject.arguments)
    return Card(architecture=subject.architecture, arguments=arguments, target=data.target, preprocess=data.preprocess)


def base(subject: Subject, data: Data, *, seed: int, epochs: int, path: Path) -> None:
    """Train the network from random weights and save it."""
    recipe = Recipe(epochs=epochs, lr=subject.lr, keep_best=False, threads=1, precision="float32", seed=seed)
    trainer = trainer_of(subject.build, data, recipe, val=None)
    trainer.fit(on_step=lambda _: None, on_epoch=lambda *_: None)
    save_bundle(path, trainer.model.eval(), card_of(subject, data))


def main() -> None:
    parser = experiment(__doc__, images=IMAGES, epochs=0, seeds=(0, 1, 2), picture="deep-compression.png")
    parser.add_argument("--networks", nargs="+", choices=SUBJECTS, default=list(SUBJECTS))
    parser.add_argument("--folder", type=Path, default=Path("runs/deep-compression"), help="what is done lies there")
    given: argparse.Namespace = started(parser)
    given.folder.mkdir(parents=True, exist_ok=True)
    data, _ = divided(given.images)
    for name in given.networks:
        for seed in given.seeds:
            path = given.folder / f"{name}-{seed}-base.safetensors"
            if not path.exists():
                base(SUBJECTS[name], data, seed=seed, epochs=given.epochs or SUBJECTS[name].epochs, path=path)
                print(path, flush=True)


if __name__ == "__main__":
    main()
