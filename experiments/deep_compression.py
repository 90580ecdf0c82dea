"""Deep Compression (Han, Mao and Dally 2015, arXiv:1510.00149): what is a network worth, pruned, shared and coded?

Their table 1, on MNIST: LeNet-300-100 in 40 times fewer bytes, error 1.64 -> 1.58 %; LeNet-5 of Caffe in 39 times
fewer, 0.80 -> 0.74 %. Here both on Fashion-MNIST, which is harder.

Each network is trained. Then its smallest weights go, layer by layer and in rounds, each followed by training of those
that stay (Han et al. 2015, arXiv:1506.02626); the weights of a layer come to share a few values, which are trained
further; the file holds the values, and which weight has which, in Huffman codes. Settings are chosen on a tenth of the
training images, held out; the test images are seen once, at the end, by the networks before and after.

What is done lies in `--folder`, a line of `log.jsonl` for each file; a run that was stopped goes on from there.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

import fovea.zoo  # noqa: F401 (its import makes the networks known)
from experiments.harness import Data, accuracy, experiment, load, probabilities, started, trainer_of
from fovea import registry
from fovea.card import Card
from fovea.compression.pruning.sparsify import zeros_held
from fovea.compression.refit import Refit, refit_recipe
from fovea.compression.share import Share, shareable, shared
from fovea.data.augment.recipes import compose
from fovea.data.splits import take
from fovea.model.bundle import load as load_bundle
from fovea.model.bundle import save_bundle
from fovea.storage import append_line
from fovea.training.recipe import Recipe

IMAGES, HELD_OUT = 60_000, 6_000
CURVE_BITS = (1, 2, 3, 4, 5, 6)
PUBLISHED = 39.0
"""Times fewer bytes, by the paper, on MNIST: 39 and 40."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network, how it is trained, and what becomes of it."""

    title: str
    architecture: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    epochs: int
    lr: float
    kept: Mapping[str, float]
    """By the paper's tables 2 and 3: the share of the weights that stays, by the layer's path."""
    rounds: tuple[tuple[float, float], ...]
    """Of each round, how many times its share in the paper each layer keeps, or all, and the epochs that follow."""
    chosen: int
    """The round whose network is shared, from 1."""
    bits: tuple[int, int]
    """Of the values that convolutions share, and dense layers."""
    share_epochs: float = 2.0

    def build(self) -> nn.Module:
        """Return the network with random weights."""
        return registry.build(self.architecture, **self.arguments)


SUBJECTS = {
    "mlp": Subject(
        title="LeNet-300-100",
        architecture="mlp",
        arguments={"widths": [300, 100]},
        epochs=20,
        lr=0.05,
        kept={"stage1.dense": 0.08, "stage2.dense": 0.09, "head.logits": 0.26},
        rounds=((3.0, 3), (1.5, 3), (1.0, 8), (0.7, 6), (0.5, 6)),
        chosen=3,
        bits=(5, 5),
    ),
    "lenet": Subject(
        title="LeNet-5 of Caffe",
        architecture="lenet_caffe",
        epochs=12,
        lr=0.05,
        kept={"stage1.conv": 0.66, "stage2.conv": 0.12, "head.dense1": 0.08, "head.logits": 0.19},
        rounds=((3.0, 1), (1.5, 1), (1.0, 3), (0.7, 2), (0.5, 2)),
        chosen=3,
        bits=(5, 5),
        share_epochs=1,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Study:
    """One network of one seed: where its files are, and what it is trained and scored on."""

    name: str
    seed: int
    folder: Path
    data: Data
    """Its test part is what was held out of the training images."""
    quick: bool

    @property
    def subject(self) -> Subject:
        """What is studied."""
        return SUBJECTS[self.name]

    def path(self, stage: str) -> Path:
        """Return where the network is after a stage."""
        return self.folder / f"{self.name}-{self.seed}-{stage}.safetensors"

    def network(self, stage: str) -> nn.Module:
        """Return the network after a stage."""
        return load_bundle(self.path(stage)).model

    def save(self, stage: str, model: nn.Module) -> None:
        """Write the network after a stage, and a line of the log."""
        subject, data = self.subject, self.data
        arguments = registry.arguments_of(subject.architecture, **subject.arguments)
        kinds = {"target": data.target, "preprocess": data.preprocess}
        card = Card(architecture=subject.architecture, arguments=arguments, **kinds)
        save_bundle(self.path(stage), model.eval(), card, coded=stage != "base")
        score = accuracy(probabilities(model, data.test, data.preprocess), data.test)
        line = {"network": self.name, "seed": self.seed, "stage": stage, "validation": score}
        found = {**line, "bytes": tensor_bytes(self.path(stage)), "kept": kept_share(model)}
        append_line(self.folder / "log.jsonl", json.dumps(found) + "\n")
        print(f"{self.path(stage).name}: {100 * score:.2f} %, {found['bytes']:,} bytes", flush=True)

    def refit(self, stage: int) -> Refit:
        """Return what trains the network in a stage, in another order of images than in the others."""
        recipe = refit_recipe(Recipe(precision="float32", threads=1), seed=100 * self.seed + stage)
        torch.set_num_threads(1)
        return Refit(
            train=self.data.train,
            recipe=recipe,
            target=self.data.target,
            preprocess=self.data.preprocess,
            augmentation=compose((), size=self.data.preprocess.size[0], without=()),
            device=torch.device("cpu"),
        )

    def epochs(self, wanted: float) -> float:
        """Return how long to train."""
        return min(wanted, 1.0) if self.quick else wanted


def divided(images: int) -> tuple[Data, Data]:
    """Return the data whose test part is what was held out of the training images, and the data as they are."""
    whole = load("fashion-mnist", train=images, test=10_000)
    kept = images - images * HELD_OUT // IMAGES
    train, val = take(whole.train, range(kept)), take(whole.train, range(kept, images))
    return replace(whole, train=train, test=val), whole


def base(study: Study) -> None:
    """Train the network from random weights."""
    subject = study.subject
    settings = {"keep_best": False, "threads": 1, "precision": "float32", "seed": study.seed}
    recipe = Recipe(epochs=int(study.epochs(subject.epochs)), lr=subject.lr, **settings)
    trainer = trainer_of(subject.build, study.data, recipe, val=None)
    trainer.fit(on_step=lambda _: None, on_epoch=lambda *_: None)
    study.save("base", trainer.model)


def pruned(study: Study, number: int) -> None:
    """Take the smallest weights of each layer away and train those that stay."""
    model = study.network("base" if number == 1 else f"round{number - 1}")
    factor, epochs = study.subject.rounds[number - 1]
    for name, share in study.subject.kept.items():
        keep_largest(model.get_submodule(name), min(1.0, factor * share))
    with zeros_held(model, least=0.0):
        study.refit(number)(model, epochs=study.epochs(epochs))
    study.save(f"round{number}", model)


def shared_values(study: Study, stage: str, bits: tuple[int, int]) -> None:
    """Let the weights of each layer share values and train these."""
    model = study.network(stage)
    share = Share(convolution_bits=bits[0], bits=bits[1])
    with shared(model, share.values_of(model)):
        study.refit(10 + bits[1])(model, epochs=study.epochs(study.subject.share_epochs))
    study.save(shared_stage(stage, bits), model)


def shared_stage(stage: str, bits: tuple[int, int]) -> str:
    """Return the name of a stage whose network shares values."""
    return f"{stage}-share{bits[0]}-{bits[1]}"


@torch.no_grad()
def keep_largest(layer: nn.Module, share: float) -> None:
    """Set all weights to zero but a share of them, those of greatest magnitude."""
    weight = layer.get_parameter("weight")
    order = weight.abs().flatten().argsort(descending=True, stable=True)
    gone = torch.zeros(len(order), dtype=torch.bool)
    gone[order[round(share * len(order)) :]] = True
    weight.masked_fill_(gone.view(weight.shape), 0.0)


def kept_share(model: nn.Module) -> float:
    """Return the share of the weights of all layers that are not zero."""
    weights = [layer.get_parameter("weight") for _, layer in shareable(model)]
    return sum(int(weight.count_nonzero()) for weight in weights) / sum(weight.numel() for weight in weights)


def tensor_bytes(path: Path) -> int:
    """Return the bytes of a model file after its header."""
    with path.open("rb") as file:
        return path.stat().st_size - 8 - int.from_bytes(file.read(8), "little")


def run(study: Study, *, curve: bool) -> None:
    """Do all stages of a network that have not been done; with `curve` those of the figure too."""
    rounds = len(study.subject.rounds) if curve else study.subject.chosen
    if not study.path("base").exists():
        base(study)
    for number in range(1, rounds + 1):
        if not study.path(f"round{number}").exists():
            pruned(study, number)
    wanted = [(f"round{study.subject.chosen}", study.subject.bits)]
    if curve:
        wanted += [(f"round{number}", study.subject.bits) for number in range(2, rounds + 1)]
        wanted += [("base", (bits, bits)) for bits in CURVE_BITS]
    for stage, bits in wanted:
        if not study.path(shared_stage(stage, bits)).exists():
            shared_values(study, stage, bits)


def main() -> None:
    parser = experiment(__doc__, images=IMAGES, epochs=0, seeds=(0, 1, 2), picture="deep-compression.png")
    parser.add_argument("--networks", nargs="+", choices=SUBJECTS, default=list(SUBJECTS))
    parser.add_argument("--folder", type=Path, default=Path("runs/deep-compression"), help="what is done lies there")
    given: argparse.Namespace = started(parser)
    given.folder.mkdir(parents=True, exist_ok=True)
    data, whole = divided(given.images)
    for name in given.networks:
        for seed in given.seeds:
            study = Study(name=name, seed=seed, folder=given.folder, data=data, quick=given.quick)
            run(study, curve=False)


if __name__ == "__main__":
    main()
