"""A folder of JPEGs at 128 px: what the decoded cache gives after the first epoch, and what it costs in the first.

After the first epoch: `Trainer.load` (memory-mapped pixels, crops and flips of whole batches, normalised)
against a `DataLoader` with two workers that does all of it image by image with Pillow, decoding included. First pass:
`decode_dataset` into a new cache against the same decoding in as many threads, the pixels thrown away.
"""

import itertools
import math
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from machine import Contestant, arguments, begun, epochs, in_turn, print_figures, print_verdict, rate, ratio
from PIL import Image
from torch.utils.data import DataLoader, RandomSampler
from torch.utils.data import Dataset as TorchDataset

from fovea.data.cache.decoded import decode_dataset
from fovea.data.dataset import Dataset, Part
from fovea.data.sources.source import DataSource
from fovea.display import Display
from fovea.jobs.predict import find_images
from fovea.plans.plan import Plan
from fovea.preprocess import Preprocess
from fovea.runs.preparation import ready
from fovea.training.engine import Trainer
from fovea.training.recipe import Recipe
from fovea.training.tuning import available_threads

SIZE, BATCH, SCALE = 128, 64, 0.35
WARM_UP = 8
"""Uncounted batches at the start of each turn, more than what the workers have fetched in the meantime."""
PLAN = Plan(
    model="foveola",
    arguments={"stride": 2, "width": 0.25},
    size=SIZE,
    val_fraction=0.0,
    recipe=Recipe(batch=BATCH, augment=("flip", f"crop {SCALE}"), threads=available_threads(), precision="float32"),
)


class Decoding(TorchDataset[tuple[torch.Tensor, int]]):
    """Opened, cropped at random, resized, mirrored at random, scaled and normalised, one at a time, every time."""

    def __init__(self, files: list[Path], preprocess: Preprocess) -> None:
        self.files = files
        self.mean, self.std = (torch.tensor(values).view(-1, 1, 1) for values in (preprocess.mean, preprocess.std))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        with Image.open(self.files[index]) as file:
            image = file.convert("RGB")
        W, H = image.size
        area, aspect, x, y, mirrored = torch.rand(5).tolist()
        area, aspect = W * H * (SCALE + (1 - SCALE) * area), math.exp((2 * aspect - 1) * math.log(4 / 3))
        w, h = min(W, math.sqrt(area * aspect)), min(H, math.sqrt(area / aspect))
        left, top = x * (W - w), y * (H - h)
        image = image.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box=(left, top, left + w, top + h))
        if mirrored < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)
        return pixels.sub_(self.mean).div_(self.std), index % 2


def photographs(folder: str, *, at_least: int) -> Dataset:
    """Return the images of a folder, some of them several times where there are too few."""
    found = [Path(name) for name in find_images([folder])]
    files = tuple(itertools.islice(itertools.cycle(found), max(at_least, len(found))))
    labels = np.arange(len(files)) % 2
    part = Part(labels=labels, names=tuple(map(str, range(len(files)))), files=files)
    return Dataset(name="photographs", parts={"train": part}, classes=("a", "b"), channels=3)


def loading(trainer: Trainer, *, batches: int) -> Contestant:
    """Return the images/s of batches from the cache, ready for the network."""
    indices, generator = epochs(trainer), torch.Generator().manual_seed(0)
    return lambda: rate(lambda: len(trainer.load(next(indices), generator)[1]), steps=batches, warm_up=WARM_UP)


@contextmanager
def decoding(files: list[Path], preprocess: Preprocess, *, batches: int) -> Iterator[Contestant]:
    """Yield the images/s of batches that two workers decode."""
    images = Decoding(files, preprocess)
    sampler = RandomSampler(images, replacement=True, num_samples=10**8)
    loaded = iter(DataLoader(images, BATCH, sampler=sampler, num_workers=2))
    yield lambda: rate(lambda: len(next(loaded)[1]), steps=batches, warm_up=WARM_UP)


def first_pass(dataset: Dataset, preprocess: Preprocess, folder: str, *, workers: int) -> float:
    """Return the images/s of filling a new cache."""
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        os.environ["FOVEA_CACHE"] = cache
        began = time.perf_counter()
        decode_dataset(dataset, preprocess, room=PLAN.room, workers=workers, allow_bad=True)
        return len(dataset.parts["train"]) / (time.perf_counter() - began)


def pure_decoding(dataset: Dataset, preprocess: Preprocess, *, workers: int) -> float:
    """Return the images/s of decoding alone."""
    H, W = preprocess.size
    roomy, files = (
        preprocess.with_size((round(H * PLAN.room), round(W * PLAN.room))),
        dataset.parts["train"].files or (),
    )
    began = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        for read in [pool.submit(lambda file: roomy.read(file) is None, file) for file in files]:
            read.exception()
    return len(files) / (time.perf_counter() - began)


def compare(dataset: Dataset, folder: str, *, rounds: int, batches: int) -> None:
    files, workers = list(dataset.parts["train"].files or ()), available_threads()
    plan = ready(
        dataset,
        PLAN,
        source=DataSource(data="photographs", allow_bad=True),
        device=torch.device("cpu"),
        display=Display(quiet=True),
    )
    with decoding(files, plan.preprocess, batches=batches) as usual:
        later = in_turn({"cached": loading(plan.trainer(), batches=batches), "decoding": usual}, rounds=rounds)
    print_figures(later, unit="images/s")
    print_verdict("later epochs, cached / decoding every time", ratio(later["cached"], later["decoding"]), at_least=3)
    first = in_turn(
        {
            "first pass": lambda: first_pass(dataset, plan.preprocess, folder, workers=workers),
            "pure decoding": lambda: pure_decoding(dataset, plan.preprocess, workers=workers),
        },
        rounds=rounds,
    )
    print_figures(first, unit="images/s")
    print_verdict("first pass, time / pure decoding", ratio(first["pure decoding"], first["first pass"]), at_most=1.3)


def main() -> None:
    parser = arguments(__doc__, quick="a few batches")
    parser.add_argument("folder", help="a folder with JPEGs, at any depth")
    parser.add_argument("--images", type=int, default=2000, help="take the files again until there are so many")
    args = begun(parser)
    dataset = photographs(args.folder, at_least=200 if args.quick else args.images)
    print(
        f"{len(dataset.parts['train']):,} images, {available_threads()} threads to decode, 2 workers in the DataLoader"
    )
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FOVEA_CACHE"] = folder
        compare(dataset, folder, rounds=1 if args.quick else 3, batches=2 if args.quick else 20)


if __name__ == "__main__":
    main()
