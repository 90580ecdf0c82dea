"""Memory of a training: anonymous memory, which the page cache of mapped files is not part of.

Three trainings, each in a process of its own, sampled fifty times a second (`RssAnon` in /proc/self/status):
foveola on CIFAR-10 by its recipe, beyond a bare `import torch`; the default plan for photographs on a decoded cache of
so many gigabytes; and LeNet-5 on the digits over 50 epochs, from the end of the fifth to the end of the last.
"""

import argparse
import csv
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from machine import arguments, description, epochs, print_verdict
from PIL import Image

from fovea.display import Display
from fovea.jobs.train import train
from fovea.runs.request import prepared
from fovea.training.engine import Trainer

SIZE, ROOM = 128, 160
"""Pixels of the network's input, and of the images in the cache."""
SAMPLED_EVERY_S = 0.02
UNTIMED: dict[str, Any] = {"threads": 1, "precision": "float32"}


def anonymous_bytes() -> int:
    """Return the resident memory of this process that belongs to no file."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


@contextmanager
def peak() -> Iterator[list[int]]:
    """Yield a list whose only entry becomes the largest sample taken while the body runs."""
    largest, over = [anonymous_bytes()], threading.Event()

    def sample() -> None:
        while not over.wait(SAMPLED_EVERY_S):
            largest[0] = max(largest[0], anonymous_bytes())

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield largest
    finally:
        over.set()
        thread.join()


class EpochMemory(Display):
    """Notes the memory at the line that ends an epoch."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.after: list[int] = []

    def note(self, text: str) -> None:
        """Take a sample."""
        if text.startswith("epoch "):
            self.after.append(anonymous_bytes())


def run_steps(trainer: Trainer, steps: int) -> None:
    trainer.model.train()
    for indices in itertools.islice(epochs(trainer), steps):
        trainer.train_step(indices)


def small_images(quick: bool) -> dict[str, float]:
    """Train foveola on CIFAR-10 and validate it, as `fovea train cifar10` does."""
    changes = {**UNTIMED, "batch": 16} if quick else {}
    with peak() as largest:
        display = Display(quiet=True)
        trainer = prepared("cifar10", display=display, recipe="cifar10-94", val_fraction=0.1, **changes).trainer()
        run_steps(trainer, 1 if quick else 30)
        if not quick:
            trainer.validate()
    return {"peak": largest[0]}


def large_cache(folder: Path, gigabytes: float, quick: bool) -> dict[str, float]:
    """Fill a cache of so many gigabytes and train on it."""
    os.environ["FOVEA_CACHE"] = str(folder / "cache")
    manifest = generated_photographs(folder, images=int(gigabytes * 1e9 / (3 * ROOM**2)))
    with peak() as largest:
        display = Display(quiet=True)
        plan = prepared(manifest, display=display, size=SIZE, batch=64, **(UNTIMED if quick else {}))
        decoded = plan.dataset.parts["train"].decoded.shape
        run_steps(plan.trainer(), 2 if quick else 300)
    return {"peak": largest[0], "cache": math.prod(decoded)}


def generated_photographs(folder: Path, *, images: int) -> Path:
    """Return a manifest of so many rows over 64 JPEGs of noise; what the pixels are does not matter here."""
    generator, names = np.random.default_rng(0), [f"{number}.jpg" for number in range(64)]
    for name in names:
        coarse = Image.fromarray(generator.integers(0, 256, (20, 20, 3), np.uint8))
        coarse.resize((ROOM, ROOM), Image.Resampling.BILINEAR).save(folder / name)
    manifest = folder / "photographs.csv"
    with manifest.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("path", "label"))
        writer.writerows((names[row % 64], "ab"[row % 2]) for row in range(images))
    return manifest


def many_epochs(folder: Path, quick: bool) -> dict[str, float]:
    """Train LeNet-5 on the digits, with checkpoints, bundles and all."""
    display = EpochMemory()
    train("digits", out=folder / "run", display=display, recipe="digits", epochs=6 if quick else 50, val_fraction=0.1)
    return {"fifth": display.after[4], "last": display.after[-1], "epochs": len(display.after)}


def in_own_process(*arguments: str, quick: bool) -> dict[str, float]:
    """Return what this script prints with `arguments`."""
    command = [sys.executable, __file__, *arguments, *(["--quick"] if quick else [])]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    result: dict[str, float] = json.loads(output.splitlines()[-1])
    return result


def bare_torch() -> int:
    """Return the anonymous memory of a process that has only imported torch."""
    code = "import torch, pathlib; print(pathlib.Path('/proc/self/status').read_text())"
    lines = subprocess.run(
        [sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


def report(only: list[str], gigabytes: float, *, quick: bool) -> None:
    if "small" in only:
        bare, result = bare_torch(), in_own_process("--part", "small", quick=quick)
        print(f"bare import torch {bare / 1e9:.2f} GB, peak of foveola on CIFAR-10 {result['peak'] / 1e9:.2f} GB")
        print_verdict("foveola on CIFAR-10, GB beyond import torch", (result["peak"] - bare) / 1e9, at_most=1.5)
    if "large" in only:
        result = in_own_process("--part", "large", "--gigabytes", str(gigabytes), quick=quick)
        print(f"cache of {result['cache'] / 1e9:.2f} GB")
        print_verdict("training on it, GB", result["peak"] / 1e9, at_most=3)
    if "epochs" in only:
        result = in_own_process("--part", "epochs", quick=quick)
        fifth, last = result["fifth"] / 1e6, result["last"] / 1e6
        print(f"after epoch 5 {fifth:.1f} MB, after epoch {result['epochs']} {last:.1f} MB")
        print_verdict("growth from epoch 5 to the last, MB", last - fifth, at_most=10)


def main() -> None:
    parser = arguments(__doc__, quick="a few steps and 0.1 GB")
    parser.add_argument("--only", nargs="+", default=["small", "large", "epochs"], choices=("small", "large", "epochs"))
    parser.add_argument(
        "--gigabytes", type=float, default=8.0, help="size of the generated cache, in the temporary folder"
    )
    parser.add_argument("--part", choices=("small", "large", "epochs"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    gigabytes = 0.1 if args.quick else args.gigabytes
    if args.part is None:
        print(description())
        report(args.only, gigabytes, quick=args.quick)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts = {
            "small": lambda: small_images(args.quick),
            "large": lambda: large_cache(folder, gigabytes, args.quick),
            "epochs": lambda: many_epochs(folder, args.quick),
        }
        print(json.dumps(parts[args.part]()))


if __name__ == "__main__":
    main()
