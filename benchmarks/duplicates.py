"""Precision and recall of `fovea check` in finding copies made by known edits of real images, and its time.

A few hundred images are edited in each of the ways of EDITS and planted among all originals of their data set. Recall:
the copies that end up in a group with their source. Precision: of the reported pairs with such a copy in it, those
that join it to its source or to another copy of that source; what the data set holds of duplicates by itself counts
against it. `--judged` compares leaks between CIFAR-10's parts with those that people have judged.
"""

import csv
import io
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from machine import arguments, begun
from numpy.typing import NDArray
from PIL import Image, ImageOps

from fovea.data.duplicates.groups import Copy, connected, find_copies
from fovea.data.duplicates.likeness import SIDE
from fovea.data.duplicates.tiny import is_tiny
from fovea.data.sources.source import find
from fovea.preprocess import Preprocess

Edit = Callable[[Image.Image, np.random.Generator], Image.Image]
Pixels = NDArray[np.uint8]
JUDGED_AS = {"0": "the same pixels", "1": "the same shot", "2": "very similar"}


def reencoded(quality: int) -> Edit:
    def edit(image: Image.Image, _: np.random.Generator) -> Image.Image:
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=quality)
        return Image.open(stream)

    return edit


def resized(factor: float) -> Edit:
    return lambda image, _: image.resize((round(image.width * factor), round(image.height * factor)))


def cropped(side: float) -> Edit:
    """Return the edit that cuts out `side` of width and height, anywhere."""

    def edit(image: Image.Image, generator: np.random.Generator) -> Image.Image:
        w, h = round(image.width * side), round(image.height * side)
        left, top = (int(generator.integers(0, room + 1)) for room in (image.width - w, image.height - h))
        return image.crop((left, top, left + w, top + h))

    return edit


def brightened(image: Image.Image, _: np.random.Generator) -> Image.Image:
    return image.point(lambda value: min(255, 0.8 * value + 40))


def flipped(image: Image.Image, _: np.random.Generator) -> Image.Image:
    return ImageOps.mirror(image)


def all_at_once(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    edited = cropped(0.9)(ImageOps.mirror(image), generator)
    return reencoded(75)(resized(0.75)(edited, generator), generator)


EDITS: dict[str, Edit] = {
    "re-encoded, JPEG 75": reencoded(75),
    "re-encoded, JPEG 30": reencoded(30),
    "resized to half": resized(0.5),
    "resized to twice": resized(2),
    "brightened": brightened,
    "flipped": flipped,
    "cropped to 0.95": cropped(0.95),
    "cropped to 0.9": cropped(0.9),
    "cropped to 0.8": cropped(0.8),
    "cropped to 0.7": cropped(0.7),
    "flipped, 0.9, resized, JPEG": all_at_once,
}


def originals(name: str, limit: int) -> list[Pixels]:
    if name == "photographs":
        files = sorted((Path(os.environ["FOVEA_DATA"]) / "imagenet-subset" / "images").iterdir())
        return [np.asarray(Image.open(file).convert("RGB")) for file in files[:limit]]
    parts = find(name).parts.values() if name == "digits" else [find(name).parts["train"]]
    return [image for part in parts for image in part.decoded[:limit]]


def edited(pixels: Pixels, edit: Edit, generator: np.random.Generator) -> Pixels:
    image = edit(Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels), generator)
    return np.asarray(image).reshape(image.height, image.width, -1)


def thumbnails(images: Sequence[Pixels]) -> Pixels:
    C = images[0].shape[2]
    plan = Preprocess(size=(SIDE, SIDE), channels=C, fit="squash", mean=(0.0,) * C, std=(1.0,) * C)
    return np.stack([plan.read(image) for image in images])


def timed(images: Pixels, *, tiny: bool = False) -> list[Copy]:
    began, processor = time.perf_counter(), time.process_time()
    copies = find_copies(images, tiny=tiny)
    wall, processor = time.perf_counter() - began, time.process_time() - processor
    print(f"{len(images):,} thumbnails compared in {wall:.0f} s, {processor:.0f} s of processor time")
    return copies


def known_edits(name: str, *, copies: int, limit: int) -> None:
    generator = np.random.default_rng(0)
    sources = originals(name, limit)
    chosen = np.sort(generator.choice(len(sources), min(copies, len(sources)), replace=False))
    planted = [edited(sources[index], edit, generator) for edit in EDITS.values() for index in chosen]
    origin = np.concatenate([np.arange(len(sources)), np.tile(chosen, len(EDITS))])
    print(f"\n{name}: {len(chosen)} images, each edited in {len(EDITS)} ways, among {len(sources):,}")
    pairs = timed(thumbnails([*sources, *planted]), tiny=is_tiny(sources[0].shape[:2]))
    group = np.arange(len(origin))
    for members in connected(pairs):
        group[members] = members[0]
    for position, edit in enumerate(EDITS):
        own = len(sources) + position * len(chosen) + np.arange(len(chosen))
        recall = float((group[own] == group[chosen]).mean())
        about = [pair for pair in pairs if {pair.first, pair.second} & set(own.tolist())]
        right = sum(origin[pair.first] == origin[pair.second] for pair in about)
        print(f"  {edit:28}  recall {recall:6.1%}  precision {right / max(1, len(about)):6.1%} of {len(about):,} pairs")
    natural = sum(pair.first < len(sources) and pair.second < len(sources) for pair in pairs)
    print(f"  pairs among the originals: {natural:,}")


def judged(file: Path) -> None:
    parts = find("cifar10").parts
    offset = len(parts["train"])
    pairs = timed(np.concatenate([parts["train"].decoded[:], parts["test"].decoded[:]]))
    group = {index: number for number, members in enumerate(connected(pairs)) for index in members}
    found, total = Counter[str](), Counter[str]()
    for row in csv.DictReader(file.open()):
        test, train = offset + int(row["TestID"]), int(row["TrainID"])
        total[row["Judgment"]] += 1
        found[row["Judgment"]] += test in group and group[test] == group.get(train)
    for judgment in sorted(total):
        print(f"  judged as {JUDGED_AS[judgment]:16} found {found[judgment]} of {total[judgment]}")
    print(f"  test images with a copy in train: {sum(1 for _ in leaking(group, offset))}")


def leaking(group: dict[int, int], offset: int) -> Iterator[int]:
    trained_on = {number for index, number in group.items() if index < offset}
    return (index for index, number in group.items() if index >= offset and number in trained_on)


def main() -> None:
    parser = arguments(__doc__, quick="2,000 originals, 50 copies")
    names = ("photographs", "cifar10", "fashion-mnist", "digits")
    parser.add_argument("--only", nargs="+", default=names, choices=names)
    parser.add_argument("--copies", type=int, default=300, help="images that are edited in every way")
    parser.add_argument("--judged", type=Path, help="CSV of TestID, TrainID, Judgment for CIFAR-10; nothing else runs")
    args = begun(parser)
    if args.judged:
        judged(args.judged)
        return
    for name in args.only:
        known_edits(name, copies=50 if args.quick else args.copies, limit=2000 if args.quick else 1_000_000)


if __name__ == "__main__":
    main()
