"""Photographs of a few classes from random weights: `fovea train` against three usual loops, in the same time.

    python benchmarks/budget.py FOLDER... [--minutes 2] [--clock cpu] [--threads 1] [--record budget.jsonl]

FOLDER has `train/` and `test/`, each with a folder per class. `fovea` gets `--budget` and `--from none`, chooses the
rest, and holds out a part of `train` to validate on; decoding, planning and evaluation are within its time. The others
are plain PyTorch at 128 px on all of `train`, float32, their images decoded before their clock starts; the last
weights count.

- `tutorial`: the network of Keras' "Image classification" tutorial: rescaling, three times a 3x3 convolution (16, 32,
  64 channels) with ReLU and max pooling, dropout 0.2, 128 units, Adam at 1e-3, batch 32; flips, turns of up to 36
  degrees, zoom of 10 %.
- `resnet18`: AdamW at 1e-3, weight decay 0.01, one cycle, batch 64, flips.
- `fastai`: its vision learner with ResNet-18 from random weights: Adam with weight decay 0.01 at 1e-3 by one cycle in
  rate and momentum, batch 64; flips, turns of up to 10 degrees, zoom of 10 %, brightness and contrast by 20 %, each
  for all images where fastai takes three quarters, and without its perspective.

Every answer is kept in the record, so that differences are paired by image.
"""

import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import contest
import numpy as np
import torch
from torch import Tensor, nn

from fovea.data.augment.recipes import AugmentContext, compose
from fovea.metrics.resampling import mean_interval
from fovea.preprocess import Preprocess
from fovea.registry import build
from fovea.tasks.task import Task
from fovea.training.schedules import one_cycle

SIZE = 128
MOMENTA, RISE = (0.95, 0.85), 0.25
"""Of the fastai loop: the momentum at the ends and at the highest rate, and when that is reached."""


class CycledAdam(torch.optim.AdamW):
    """AdamW whose momentum falls as its rate rises (Smith 2018, arXiv:1803.09820)."""

    def step(self, closure: Any = None) -> Any:
        """Set the momentum by the rate, and take a step."""
        for group in self.param_groups:
            share = group["lr"] / group["initial_lr"]
            group["betas"] = (MOMENTA[0] + (MOMENTA[1] - MOMENTA[0]) * share, group["betas"][1])
        return super().step(closure)


def cycled_adam(network: nn.Module) -> torch.optim.Optimizer:
    groups = [{"params": list(network.parameters()), "initial_lr": 1e-3}]
    return CycledAdam(groups, lr=1e-3, betas=(MOMENTA[0], 0.99), eps=1e-5, weight_decay=0.01)


def fastai_cycle(progress: float) -> float:
    """Half cosines: from 1/25 up to 1 over a quarter of the time, then down to 1e-5."""
    first, last, share = (1 / 25, 1.0, progress / RISE) if progress < RISE else (1.0, 1e-5, (progress - RISE) / 0.75)
    return last + (first - last) * (1 + math.cos(math.pi * min(1.0, share))) / 2


def tutorial_network(target: Task, geometry: Preprocess) -> nn.Module:
    layers: list[nn.Module] = []
    for c_in, c_out in ((3, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(c_in, c_out, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    head = [nn.Dropout(0.2), nn.Flatten(), nn.Linear(64 * (SIZE // 8) ** 2, 128), nn.ReLU()]
    network = nn.Sequential(*layers, *head, nn.Linear(128, target.outputs))
    for layer in network:
        if isinstance(layer, nn.Conv2d | nn.Linear):  # the initial weights of Keras
            nn.init.xavier_uniform_(layer.weight)
            nn.init.constant_(cast(Tensor, layer.bias), 0.0)
    return network


def resnet18(target: Task, geometry: Preprocess) -> nn.Module:
    return build("resnet18", classes=target.outputs)


def changing(*specs: str) -> Callable[[Task, Preprocess], contest.Change]:
    """Return the augmentation of a peer, which leaves labels as they are."""
    augment = compose(specs, size=SIZE)

    def change(images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return augment(images, generator, AugmentContext(0, torch.arange(len(images)))), labels

    return lambda target, geometry: change


def criterion(target: Task) -> Callable[[Tensor, Tensor], Tensor]:
    return nn.CrossEntropyLoss()


PEERS = {
    "tutorial": contest.Plain(
        network=tutorial_network,
        loss=criterion,
        optimiser=lambda network: torch.optim.Adam(network.parameters(), lr=1e-3, eps=1e-7),
        batch=32,
        change=changing("flip", "affine 36 0 0.1"),
        fit="squash",
    ),
    "resnet18": contest.Plain(
        network=resnet18,
        loss=criterion,
        optimiser=lambda network: torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.01),
        batch=64,
        change=changing("flip"),
        schedule=one_cycle,
        fit="squash",
    ),
    "fastai": contest.Plain(
        network=resnet18,
        loss=criterion,
        optimiser=cycled_adam,
        batch=64,
        change=changing("flip", "affine 10 0 0.1", "colour 0.2"),
        schedule=fastai_cycle,
        fit="squash",
    ),
}
NAMES = ("fovea", *PEERS)


def sides(data: str, terms: contest.Terms, folder: Path) -> dict[str, Callable[[], dict[str, Any]]]:
    """Return how the line of each side is made."""
    wanted = contest.samples(data, terms.task)

    def line(side: contest.Trained) -> dict[str, Any]:
        found = contest.answers(side.predictor, wanted)
        right = [answer.label == sample.file.parent.name for answer, sample in zip(found, wanted, strict=True)]
        return {**side.note, "images": len(right), "accuracy": sum(right) / len(right), "right": list(map(int, right))}

    def ours() -> dict[str, Any]:
        return line(contest.train_ours(data, terms, ("--from", "none"), folder))

    def peer(plain: contest.Plain) -> Callable[[], dict[str, Any]]:
        return lambda: line(contest.train_plain(data, plain, terms, size=SIZE))

    return {"fovea": ours, **{name: peer(plain) for name, plain in PEERS.items()}}


def report(lines: dict[str, dict[str, dict[str, Any]]], names: Sequence[str]) -> None:
    """Print accuracy by folder and side, and how far fovea is from the best of the others, paired by image."""
    leads = []
    for data, found in lines.items():
        print(f"{data}: {next(iter(found.values()))['images']} images")
        for name, one in found.items():
            print(f"  {name:9} {one['accuracy']:7.2%}  {one['seconds']:5.0f} s of training")
        others = {name: one for name, one in found.items() if name != "fovea"}
        if "fovea" not in found or not others:
            continue
        best = max(others, key=lambda name: others[name]["accuracy"])
        differences = 100.0 * (np.array(found["fovea"]["right"]) - np.array(others[best]["right"]))
        low, high = mean_interval(differences)
        leads.append(differences.mean())
        print(f"  fovea less {best}: {differences.mean():+.2f} points ({low:+.2f} to {high:+.2f})")
    if leads:
        print(f"mean of {len(leads)} folders: {np.mean(leads):+.2f} points over the best of the others in each")


def main() -> None:
    parser = contest.parser_of(__doc__, "classes", record="budget.jsonl")
    parser.add_argument("--only", choices=NAMES, nargs="+", default=list(NAMES))
    given, record, terms = contest.opened(parser)
    lines: dict[str, dict[str, dict[str, Any]]] = {}
    for data in given.data:
        with tempfile.TemporaryDirectory() as folder:
            for name, run in sides(data, terms, Path(folder)).items():
                if name in given.only:
                    line = record.once(contest.key_of(data, name, terms), run)
                    lines.setdefault(Path(data).name, {})[name] = line
    report(lines, given.only)


if __name__ == "__main__":
    main()
