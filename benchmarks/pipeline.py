"""The three-block CIFAR-10 network at batch 64, end to end: fovea, the usual loop, and Keras without augmentation.

fovea and the usual loop mirror and shift every image anew and take the same plain SGD steps. The usual loop is a
`Dataset` that does it image by image with Pillow, a `DataLoader` with two workers, and the default memory format. Keras
runs on TensorFlow in the environment that `peers.sh` makes, from arrays in memory; without it that part is left out.
"""

import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import (
    Contestant,
    arguments,
    begun,
    in_turn,
    own_process,
    print_figures,
    print_verdict,
    rate,
    ratio,
    training,
)
from PIL import Image, ImageOps
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, RandomSampler

from fovea import inputs
from fovea.data.dataset import Part
from fovea.data.sources.source import find
from fovea.data.statistics import channel_statistics
from fovea.display import Display
from fovea.registry import build
from fovea.runs.preparation import Prepared
from fovea.runs.request import prepared
from fovea.training.tuning import available_threads

HERE = Path(__file__).resolve().parent
PEERS = HERE / ".peers" / "bin" / "python"
KERAS = "Keras without augmentation"
BATCH, SHIFT, LR, MOMENTUM = 64, 4, 0.01, 0.9
WARM_UP = 8
"""Uncounted steps at the start of each turn, more than what the workers have fetched in the meantime."""


class Images(Dataset[tuple[torch.Tensor, int]]):
    """Mirrored at random, padded and cut at random, scaled and normalised, one at a time."""

    def __init__(self, part: Part, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        self.pixels, self.labels = part.decoded, part.labels
        self.mean, self.std = (torch.tensor(values).view(-1, 1, 1) for values in (mean, std))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = Image.fromarray(self.pixels[index])
        if torch.rand(()) < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        W, H = image.size
        left, top = torch.randint(2 * SHIFT + 1, (2,)).tolist()
        image = ImageOps.expand(image, SHIFT).crop((left, top, left + W, top + H))
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)
        return pixels.sub_(self.mean).div_(self.std), int(self.labels[index])


def usual_loop(steps: int) -> Contestant:
    """Return the training of tutorials, with PyTorch's own number of threads."""
    train = find("cifar10").parts["train"]
    images = Images(train, *channel_statistics(train, inputs.kind("images")))
    sampler = RandomSampler(images, replacement=True, num_samples=10**8)
    batches = iter(DataLoader(images, BATCH, sampler=sampler, num_workers=2))
    model = build("vgg_block3").train()
    optimiser = torch.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM)

    def step() -> int:
        pixels, labels = next(batches)
        optimiser.zero_grad()
        loss = F.cross_entropy(model(pixels), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        loss.item()
        return len(labels)

    return lambda: rate(step, steps=steps, warm_up=WARM_UP)


class Keras:
    """The same network in Keras on TensorFlow, in a process that trains when told to."""

    def __init__(self, part: Part, folder: str, *, steps: int) -> None:
        images = (WARM_UP + steps) * BATCH
        data = f"{folder}/data.npz"
        np.savez(data, images=part.decoded[:images], labels=part.labels[:images])
        command = [str(PEERS), str(HERE / "keras_peer.py"), data, str(BATCH), str(WARM_UP)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        print(f"Keras {self._line().strip()}")

    def __call__(self) -> float:
        """Return the images/s of one turn."""
        if self.process.stdin is None:
            raise BrokenPipeError("The process of Keras has no input.")
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return float(self._line())

    def _line(self) -> str:
        line: str = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            raise BrokenPipeError("The process of Keras has ended; run peers.sh again.")
        return line

    def close(self) -> None:
        """End the process."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait(timeout=30)


def fovea_plan(**changes: Any) -> Prepared:
    """Return fovea's training of the network with the optimiser of the usual loop."""
    return prepared(
        "cifar10",
        display=Display(quiet=True),
        model="vgg_block3",
        batch=BATCH,
        augment=("flip", f"shift {SHIFT}"),
        optimiser="sgd",
        lr=LR,
        momentum=MOMENTUM,
        nesterov=False,
        weight_decay=0.0,
        clip=0.0,
        schedule="constant",
        val_fraction=0.0,
        **changes,
    )


def compare(folder: str, *, rounds: int, steps: int) -> None:
    plan = fovea_plan()
    chosen, train = plan.plan.recipe, plan.dataset.parts["train"]
    contestants = {"fovea": training(plan.trainer(), steps=steps, warm_up=WARM_UP)}
    if chosen.precision != "float32":
        in_float32 = fovea_plan(precision="float32", threads=chosen.threads)
        contestants["fovea in float32"] = training(in_float32.trainer(), steps=steps, warm_up=WARM_UP)
    ours = list(contestants)
    keras = Keras(train, folder, steps=steps) if PEERS.exists() else None
    if keras:
        contestants[KERAS] = keras
    with own_process(usual_loop, steps) as run:
        figures = in_turn({"usual loop": run, **contestants}, rounds=rounds)
    if keras:
        keras.close()
    print(f"fovea: {chosen.threads} threads, {chosen.precision}; usual loop: {available_threads()} threads, 2 workers")
    print_figures(figures, unit="images/s")
    for name in ours:
        print_verdict(f"{name} / usual loop", ratio(figures[name], figures["usual loop"]), at_least=1.5)
        if keras:
            print_verdict(f"{name} / {KERAS}", ratio(figures[name], figures[KERAS]), at_least=1.0)


def main() -> None:
    args = begun(arguments(__doc__, quick="a few steps"))
    with tempfile.TemporaryDirectory() as folder:
        compare(folder, rounds=1 if args.quick else 5, steps=4 if args.quick else 50)


if __name__ == "__main__":
    main()
