"""Deep Compression (Han, Mao and Dally 2015, arXiv:1510.00149): what is a network worth, pruned, shared and coded?

Their table 1, on MNIST: LeNet-300-100 in 40 times fewer bytes, error 1.64 -> 1.58 %; LeNet-5 of Caffe in 39 times
fewer, 0.80 -> 0.74 %. Here both on Fashion-MNIST, which is harder.

Each network is trained. Then its smallest weights go, layer by layer and in rounds, each followed by training of those
that stay (Han et al. 2015, arXiv:1506.02626): first in convolutions, then in dense layers while the convolutions stay
as they are (its section 3.3). The weights of a layer come to share a few values, which are trained further; the file
holds the values, and which weight has which, in Huffman codes. What trains the dense layers is, beyond the paper, also
what the networks of all seeds say together before any is pruned (Hinton, Vinyals and Dean 2015, arXiv:1503.02531).
Settings are chosen on a tenth of the training images, held out; the test images are seen once, at the end, by the
networks before and after.

What is done lies in `--folder`, a line of `log.jsonl` for each file; a run that was stopped goes on from there.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import nn

import fovea.zoo  # noqa: F401 (its import makes the networks known)
from experiments.figures import COLOURS, axes, save
from experiments.harness import Data, accuracy, experiment, load, probabilities, started, trainer_of
from fovea import registry
from fovea.card import Card
from fovea.compression.pruning.sparsify import zeros_held
from fovea.compression.refit import Refit, Teacher, refit_recipe
from fovea.compression.share import Share, shareable, shared
from fovea.data.splits import take
from fovea.model.bundle import load as load_bundle
from fovea.model.bundle import save_bundle
from fovea.storage import append_line
from fovea.training.recipe import Recipe

IMAGES, HELD_OUT = 60_000, 6_000
CURVE_BITS = (1, 2, 4, 6)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network, how it is trained, and what becomes of it."""

    title: str
    architecture: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    epochs: int
    lr: float
    kept: Mapping[str, float]
    """By the paper's tables 2 and 3: the share of the weights of a dense layer that stays, by the layer's path."""
    rounds: tuple[tuple[float, float], ...]
    """Of each round, how many times that share each dense layer keeps, or all, and the epochs that follow."""
    chosen: int
    """The round whose network is shared, from 1."""
    bits: tuple[int, int]
    """Of the values that convolutions share, and dense layers."""
    kept_first: Mapping[str, float] = field(default_factory=dict)
    """The share of convolutions that stays; empty where there are none."""
    first_epochs: float = 0.0
    """Of the whole network, once its convolutions are pruned."""
    share_epochs: float = 4.0
    batch: int = 256
    """Images to a step of all trainings but the first."""

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
        rounds=((3.0, 6), (1.5, 6), (0.95, 30), (0.6, 6), (0.4, 6)),
        chosen=3,
        bits=(5, 5),
        batch=128,
    ),
    "lenet": Subject(
        title="LeNet-5 of Caffe",
        architecture="lenet_caffe",
        epochs=12,
        lr=0.05,
        kept_first={"stage1.conv": 0.66, "stage2.conv": 0.25},
        first_epochs=4.0,
        kept={"head.dense1": 0.08, "head.logits": 0.19},
        rounds=((3.0, 3), (1.5, 4), (0.77, 12), (0.5, 4), (0.35, 4)),
        chosen=3,
        bits=(6, 5),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Study:
    """One network of one seed: where its files are, and what it is trained and scored on."""

    name: str
    seed: int
    seeds: Sequence[int]
    """Of all networks that are studied: together they teach each."""
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
        append_line(self.folder / "log.jsonl", json.dumps(found))
        print(f"{self.path(stage).name}: {100 * score:.2f} %, {found['bytes']:,} bytes", flush=True)

    def logged(self) -> dict[str, Mapping[str, Any]]:
        """Return the lines of the log about this network, by the stage."""
        lines = map(json.loads, (self.folder / "log.jsonl").read_text().splitlines())
        mine = (line for line in lines if (line["network"], line["seed"]) == (self.name, self.seed))
        return {line["stage"]: line for line in mine}

    def refit(self, stage: int) -> Refit:
        """Return what trains a network in a stage, in another order of images than in the others."""
        torch.set_num_threads(1)
        recipe = Recipe(batch=self.subject.batch, precision="float32", threads=1)
        return Refit(
            train=self.data.train,
            recipe=refit_recipe(recipe, seed=100 * self.seed + stage),
            target=self.data.target,
            preprocess=self.data.preprocess,
            augmentation=lambda images, *_: images,
            device=torch.device("cpu"),
        )

    def train_dense(self, model: nn.Module, stage: int, *, epochs: float) -> None:
        """Train the dense layers of a network, by labels and the teacher; convolutions stay as they are."""
        for name in self.subject.kept_first:
            model.get_submodule(name).requires_grad_(False)
        self.refit(stage)(model, epochs=self.epochs(epochs), teacher=self.teacher)

    @cached_property
    def teacher(self) -> Teacher:
        """The ensemble of the networks of all seeds as they were trained first: the mean of their outputs."""
        members = [replace(self, seed=seed).network("base").eval() for seed in self.seeds]
        return lambda images: torch.stack([member(images) for member in members]).mean(0)

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


def convolutions_pruned(study: Study) -> None:
    """Take the smallest weights of the convolutions away and train the whole network."""
    model = study.network("base")
    for name, share in study.subject.kept_first.items():
        keep_largest(model.get_submodule(name), share)
    if study.subject.kept_first:
        with zeros_held(model):
            study.refit(0)(model, epochs=study.epochs(study.subject.first_epochs), teacher=study.teacher)
    study.save("round0", model)


def pruned(study: Study, number: int) -> None:
    """Take the smallest weights of the dense layers away and train those that stay."""
    model = study.network(f"round{number - 1}")
    factor, epochs = study.subject.rounds[number - 1]
    for name, share in study.subject.kept.items():
        keep_largest(model.get_submodule(name), min(1.0, factor * share))
    with zeros_held(model, least=0.0):
        study.train_dense(model, number, epochs=epochs)
    study.save(f"round{number}", model)


def shared_values(study: Study, stage: str, bits: tuple[int, int]) -> None:
    """Let the weights of each layer share values and train those of the dense layers."""
    model = study.network(stage)
    share = Share(convolution_bits=bits[0], bits=bits[1])
    with shared(model, share.values_of(model)):
        study.train_dense(model, 10 + bits[1], epochs=study.subject.share_epochs)
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
    """Do all stages behind the first that have not been done; with `curve` those of the figure too."""
    rounds = len(study.subject.rounds) if curve else study.subject.chosen
    if not study.path("round0").exists():
        convolutions_pruned(study)
    for number in range(1, rounds + 1):
        if not study.path(f"round{number}").exists():
            pruned(study, number)
    wanted = [(f"round{study.subject.chosen}", study.subject.bits)]
    if curve:
        wanted += [(f"round{number}", study.subject.bits) for number in range(1, rounds + 1)]
        wanted += [("base", (bits, bits)) for bits in CURVE_BITS]
    for stage, bits in wanted:
        if not study.path(shared_stage(stage, bits)).exists():
            shared_values(study, stage, bits)


def compared(studies: list[Study], whole: Data) -> None:
    """Print what the networks of all seeds are worth on the test part, before and after, and their bytes."""
    subject = studies[0].subject
    final = shared_stage(f"round{subject.chosen}", subject.bits)
    print(
        f"{subject.title}\n| seed | bytes of tensors | times fewer | whole file | error before | after | loss, points |"
    )
    print("|---|---|---|---|---|---|---|", flush=True)
    losses, ratios = [], []
    for study in studies:
        right = [
            accuracy(probabilities(study.network(stage), whole.test, whole.preprocess), whole.test)
            for stage in ("base", final)
        ]
        sizes = [tensor_bytes(study.path(stage)) for stage in ("base", final)]
        losses.append(100 * (right[0] - right[1]))
        ratios.append(sizes[0] / sizes[1])
        cells = (
            *(str(study.seed), f"{sizes[1]:,} of {sizes[0]:,}", f"{ratios[-1]:.1f}"),
            f"{study.path(final).stat().st_size:,}",
            *(f"{100 * (1 - share):.2f} %" for share in right),
            f"{losses[-1]:+.2f}",
        )
        print(f"| {' | '.join(cells)} |", flush=True)
    print(f"\n{fmean(ratios):.1f} times fewer bytes; mean loss {fmean(losses):+.2f} points\n", flush=True)


def draw(studies: list[Study], out: Path) -> None:
    """Draw the accuracy on what was held out against how many times fewer bytes there are, one plot a network."""
    figure, plots = axes(len(studies), width=4.6, height=3.6)
    for study, plot in zip(studies, plots, strict=True):
        rounds = [f"round{number}" for number in range(1, len(study.subject.rounds) + 1)]
        bits = study.subject.bits
        curves = {
            "pruned": ["base", *rounds],
            "shared": ["base", *(shared_stage("base", (each, each)) for each in reversed(CURVE_BITS))],
            "pruned and shared": [shared_stage(stage, bits) for stage in rounds],
        }
        found = study.logged()
        whole = found["base"]["bytes"]
        for colour, (name, stages) in zip(COLOURS, curves.items(), strict=False):
            points = [(whole / found[stage]["bytes"], 100 * found[stage]["validation"]) for stage in stages]
            plot.plot(*zip(*points, strict=True), color=colour, marker="o", ms=4, label=name)
        plot.set(title=study.subject.title, xlabel="times fewer bytes of tensors", xscale="log")
        plot.set_ylabel("accuracy on held-out images in %")
        plot.set_xticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"])
        plot.minorticks_off()
        plot.legend(frameon=False, fontsize=8, loc="lower left")
    save(figure, out)


def main() -> None:
    parser = experiment(__doc__, images=IMAGES, epochs=0, seeds=(0, 1, 2), picture="deep-compression.png")
    parser.add_argument("--networks", nargs="+", choices=SUBJECTS, default=list(SUBJECTS))
    parser.add_argument("--folder", type=Path, default=Path("runs/deep-compression"), help="what is done lies there")
    given: argparse.Namespace = started(parser)
    given.folder.mkdir(parents=True, exist_ok=True)
    data, whole = divided(given.images)
    studies = [
        [
            Study(name=name, seed=seed, seeds=given.seeds, folder=given.folder, data=data, quick=given.quick)
            for seed in given.seeds
        ]
        for name in given.networks
    ]
    for of_network in studies:
        for study in of_network:
            if not study.path("base").exists():
                base(study)
        for study in of_network:
            run(study, curve=study is of_network[0])
    draw([of_network[0] for of_network in studies], given.out)
    for of_network in studies:
        compared(of_network, whole)


if __name__ == "__main__":
    main()
