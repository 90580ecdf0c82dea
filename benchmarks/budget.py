"""Minutes from scratch on a folder of photographs: fovea's own plan, a tutorial's network, and a ResNet-18.

A fifth of every class is the test part (seed 0), unless the folder brings one. fovea gets `--budget` and chooses the
rest, and holds out a tenth of the train part to validate on. The others are plain PyTorch at 128 px on all of the train
part, in the default layout and float32, with learning rates that follow the same clock; their images lie decoded in
memory before the clock starts, and are mirrored and turned in whole batches, which is more than their originals have.

- tutorial: the network of Keras' "Image classification" tutorial: rescaling, three times a 3x3 convolution (16, 32, 64
  channels) with ReLU and max pooling, dropout 0.2, 128 units, Adam at 1e-3, batch 32; flips, turns of up to 36 degrees,
  zoom of 10 %.
- resnet18: AdamW at 1e-3, weight decay 0.01, one cycle, batch 64, flips.
"""

import csv
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from machine import arguments, begun, on_test, run_fovea
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.data.augment.recipes import AugmentContext, compose
from fovea.data.cache.decoded import decode_dataset
from fovea.data.dataset import Dataset
from fovea.data.sources.source import find
from fovea.data.splits import split_off
from fovea.inputs.images import HALF
from fovea.metrics import wilson_interval
from fovea.preprocess import Preprocess
from fovea.registry import build
from fovea.runs.request import seconds
from fovea.training.inference import part_labels
from fovea.training.schedules import one_cycle
from fovea.training.tuning import available_threads

SIZE = 128
NAMES = ("fovea", "tutorial", "resnet18")


class Outcome(NamedTuple):
    """What a contestant reached on the test part."""

    right: int
    images: int
    trained_s: float
    note: str


class Peer(NamedTuple):
    """How a peer is built and trained."""

    network: Callable[[int], nn.Module]
    optimiser: Callable[[nn.Module], torch.optim.Optimizer]
    schedule: Callable[[float], float]
    batch: int
    augment: tuple[str, ...]


class Pixels(NamedTuple):
    """Decoded images (N, 3, H, W) uint8 and their labels (N,)."""

    images: Tensor
    labels: Tensor


def tutorial_network(classes: int) -> nn.Module:
    layers: list[nn.Module] = []
    for c_in, c_out in ((3, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(c_in, c_out, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    head = [nn.Dropout(0.2), nn.Flatten(), nn.Linear(64 * (SIZE // 8) ** 2, 128), nn.ReLU(), nn.Linear(128, classes)]
    network = nn.Sequential(*layers, *head)
    for layer in network:
        if isinstance(layer, nn.Conv2d | nn.Linear):  # the initial weights of Keras
            nn.init.xavier_uniform_(layer.weight)
            nn.init.constant_(cast(Tensor, layer.bias), 0.0)
    return network


PEERS = {
    "tutorial": Peer(
        tutorial_network,
        lambda network: torch.optim.Adam(network.parameters(), lr=1e-3, eps=1e-7),
        lambda _: 1.0,
        32,
        ("flip", "affine 36 0 0.1"),
    ),
    "resnet18": Peer(
        lambda classes: build("resnet18", classes=classes),
        lambda network: torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.01),
        one_cycle,
        64,
        ("flip",),
    ),
}


def manifest(data: str, folder: Path) -> Path:
    """Write a manifest of the folder's images with their part, and return it."""
    dataset = find(data)
    parts = dict(dataset.parts)
    if "test" not in parts:
        parts["train"], parts["test"] = split_off(parts["train"], fraction=0.2, seed=0, strata=parts["train"].labels)
    path = folder / "photographs.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("path", "label", "split"))
        for name, part in parts.items():
            for file, label in zip(part.files or (), part.labels, strict=True):
                writer.writerow((file.resolve(), dataset.classes[label], name))
    return path


def train_fovea(path: Path, folder: Path, budget_s: float) -> Outcome:
    """Run `fovea train --budget` and return what it says of the test part."""
    began = time.perf_counter()
    options = ["--from", "none", "--budget", f"{budget_s}s", "--allow-bad", "--out", str(folder / "run")]
    result = run_fovea("train", str(path), *options)
    wall_s, test = time.perf_counter() - began, on_test(result)
    right = round(test["accuracy"] * test["images"])
    note = f"{wall_s:.0f} s with decoding, planning and evaluation, {result['pflop']:.3g} PFLOP"
    return Outcome(right, test["images"], result["seconds"], note)


def train_peer(peer: Peer, dataset: Dataset, budget_s: float) -> Outcome:
    """Train the plain way until the time is up, validating nothing, and return the score of the last weights."""
    torch.manual_seed(0)
    train, test = pixels(dataset, "train"), pixels(dataset, "test")
    network = peer.network(len(dataset.classes)).train()
    optimiser = peer.optimiser(network)
    rate = optimiser.param_groups[0]["lr"]
    augment, generator = compose(peer.augment, size=SIZE), torch.Generator().manual_seed(0)
    began, seen = time.perf_counter(), 0
    for indices in batches(len(train.labels), peer.batch):
        progress = (time.perf_counter() - began) / budget_s
        if progress >= 1:
            break
        optimiser.param_groups[0]["lr"] = rate * peer.schedule(progress)
        images = augment(train.images[indices], generator, AugmentContext(0, indices)).contiguous()
        optimiser.zero_grad()
        F.cross_entropy(network(scaled(images)), train.labels[indices]).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        seen += len(indices)
    trained_s = time.perf_counter() - began
    return Outcome(right(network, test), len(test.labels), trained_s, f"{seen / len(train.labels):.1f} epochs")


def pixels(dataset: Dataset, name: str) -> Pixels:
    part = dataset.parts[name]
    return Pixels(torch.from_numpy(np.array(part.decoded[:])).permute(0, 3, 1, 2), part_labels(part))


def batches(images: int, batch: int) -> Iterator[Tensor]:
    """Yield indices in a new order every epoch, without end."""
    while True:
        yield from torch.split(torch.randperm(images)[: max(batch, images // batch * batch)], batch)


def scaled(images: Tensor) -> Tensor:
    """Return pixels in -1..1 in the default layout."""
    return images.contiguous().float().div(127.5).sub(1)


@torch.inference_mode()
def right(network: nn.Module, test: Pixels) -> int:
    """Return how many test images the network classifies rightly."""
    network.eval()
    chosen = torch.cat([network(scaled(chunk)).argmax(1) for chunk in torch.split(test.images, 128)])
    return int((chosen == test.labels).sum())


def main() -> None:
    parser = arguments(__doc__, quick="ten seconds each")
    parser.add_argument("folder", help="one sub-folder per class")
    parser.add_argument("--budget", default="5m", help="time to train, each")
    parser.add_argument("--only", choices=NAMES, nargs="+", default=list(NAMES))
    args = begun(parser)
    budget_s = 10.0 if args.quick else seconds(args.budget)
    with tempfile.TemporaryDirectory() as name:
        path = manifest(args.folder, Path(name))
        for contestant in args.only:
            outcome = contend(contestant, path, Path(name), budget_s)
            low, high = wilson_interval(outcome.right, outcome.images)
            print(
                f"{contestant:9} {100 * outcome.right / outcome.images:6.2f} % of {outcome.images} test images, "
                f"95 % interval {100 * low:.1f} to {100 * high:.1f} %; "
                f"trained {outcome.trained_s:.0f} s; {outcome.note}",
                flush=True,
            )


def contend(name: str, path: Path, folder: Path, budget_s: float) -> Outcome:
    """Return the outcome of one contestant."""
    if name == "fovea":
        return train_fovea(path, folder, budget_s)
    torch.set_num_threads(available_threads())
    geometry = Preprocess(size=(SIZE, SIZE), channels=3, fit="squash", mean=(HALF,) * 3, std=(HALF,) * 3)
    return train_peer(PEERS[name], decode_dataset(find(path), geometry, allow_bad=True), budget_s)


if __name__ == "__main__":
    main()
