"""What the contests on masks, boxes and points share: the same time by the same clock, and answers as a user gets them.

One side is `fovea train` from the command line, the other a network in the usual loop. Both answer with `fovea.predict`
for the same test images, so that the same code lays answers on images and scores them. Every run adds a line to a
record, and a contest that was stopped goes on where it was.

`--clock cpu` counts processor time, divided by the threads, where other work shares the machine; `wall` is the time of
day. `fovea train` has only the latter: `on_processor_time.py` puts the other in its place. Threads that wait for each
other in a loop use processor time too: set OMP_WAIT_POLICY=passive, or take `--threads 1`.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from machine import arguments, begun, processor
from torch import Tensor, nn

import fovea
from fovea import tasks
from fovea.card import CUSTOM, Card
from fovea.data.augment.recipes import AugmentContext, augmented, compose
from fovea.data.dataset import Dataset
from fovea.data.sources.source import DataSource
from fovea.errors import ImageError
from fovea.inputs.images import HALF
from fovea.model.bundle import Bundle
from fovea.model.predictor import Predictor
from fovea.preprocess import Preprocess, decode
from fovea.tasks.prediction import Prediction
from fovea.tasks.task import Task
from fovea.training.inference import part_labels
from fovea.training.tuning import available_threads

HERE = Path(__file__).parent
Change = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]
"""Images (N, C, H, W) uint8 and their labels -> augmented ones."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What both sides have alike."""

    task: str
    minutes: float
    clock: str
    """`wall`, or `cpu`: processor time divided by the threads."""
    threads: int
    seed: int

    def used_s(self) -> float:
        """Return the seconds of the clock since some moment."""
        return time.perf_counter() if self.clock == "wall" else time.process_time() / self.threads


class Trained(NamedTuple):
    """A side that is ready to answer."""

    predictor: Predictor
    note: dict[str, Any]
    """What its line in the record says beside its answers."""


@dataclass(frozen=True, kw_only=True)
class Plain:
    """A network in the usual loop: by default float32 and the default layout; nothing validated, the last weights."""

    network: Callable[[Task, Preprocess], nn.Module]
    loss: Callable[[Task], Callable[[Tensor, Tensor], Tensor]]
    optimiser: Callable[[nn.Module], torch.optim.Optimizer]
    batch: int
    change: Callable[[Task, Preprocess], Change]
    schedule: Callable[[float], float] = lambda _: 1.0
    """Share of the time that is used -> factor of the rate."""
    clip: float = 0.0
    """Largest norm of the gradient; 0 does not clip."""
    bfloat16: bool = False
    """The forward pass under autocast, channels-last, as ours is where the machine is faster with it."""
    fit: str = "letterbox"
    """How images become square."""


class Record:
    """A file of JSON lines, one for each run; a line is found by what it shares with `wanted`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self, **wanted: Any) -> list[dict[str, Any]]:
        """Return the lines that hold these values."""
        texts = self.path.read_text().splitlines() if self.path.exists() else []
        lines: list[dict[str, Any]] = [json.loads(text) for text in texts]
        return [line for line in lines if all(line.get(name) == value for name, value in wanted.items())]

    def once(self, key: dict[str, Any], run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return the line of this key; `run` makes it where there is none."""
        found = self.lines(**key)
        if found:
            print(f"recorded: {told(key)}", flush=True)
            return found[-1]
        load = os.getloadavg()[0]
        line = {**key, **run(), "date": str(date.today()), "processor": processor(), "load": round(load, 1)}
        with self.path.open("a") as stream:
            stream.write(json.dumps(line) + "\n")
        print(f"done: {told(key)}: {line.get('seconds', 0):.0f} s, load {load:.1f} at the beginning", flush=True)
        return line


def told(key: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in key.items() if value != "")


class Opened(NamedTuple):
    """A contest that begins."""

    given: argparse.Namespace
    record: Record
    terms: Terms


def parser_of(about: str | None, task: str, *, record: str) -> argparse.ArgumentParser:
    """Return the parser of a contest on a kind of target, with the options that all have."""
    parser = arguments(about)
    parser.set_defaults(task=task)
    parser.add_argument("data", nargs="+", help="each a folder or file as `fovea train` reads it")
    parser.add_argument("--minutes", type=float, default=10.0, help="of training, each side")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--threads", type=int, default=available_threads())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", type=Path, default=Path(record), help="the file that runs are added to")
    return parser


def plain_size(parser: argparse.ArgumentParser, task: str) -> None:
    """Add the option of the other side's input, which is ours where it is not given."""
    usual = tasks.kind(task).usual(None)
    default = usual.size if usual else None
    parser.add_argument("--size", type=int, default=default, help="input of the plain side in pixels")


def opened(parser: argparse.ArgumentParser) -> Opened:
    """Return what was given, the record and the terms; print the machine."""
    given = begun(parser)
    terms = Terms(task=given.task, minutes=given.minutes, clock=given.clock, threads=given.threads, seed=given.seed)
    return Opened(given, Record(given.record), terms)


def key_of(data: str, method: str, terms: Terms, **more: Any) -> dict[str, Any]:
    """Return what tells a run from all others."""
    kept = {"minutes": terms.minutes, "clock": terms.clock, "threads": terms.threads, "seed": terms.seed}
    return {"data": Path(data).name, "method": method, **kept, **more}


def train_ours(data: str, terms: Terms, options: Sequence[str], folder: Path) -> Trained:
    """Run `fovea train` as a user does, but for the clock, and open the model file that it leaves."""
    command = ["train", data, "--task", terms.task, "--budget", f"{60 * terms.minutes:g}s", "--seed", str(terms.seed)]
    command += ["--threads", str(terms.threads), "--allow-bad", "--out", str(folder / "run"), *options]
    start = [str(HERE / "on_processor_time.py")] if terms.clock == "cpu" else ["-m", "fovea"]
    whole = [sys.executable, *start, *command, "--json"]
    result = json.loads(subprocess.run(whole, check=True, stdout=subprocess.PIPE, text=True).stdout)
    model = fovea.load(folder / "run" / "model.safetensors")
    note = {"seconds": result["seconds"], "pflop": result["pflop"], "size": model.preprocess.size[0]}
    return Trained(model, {**note, "options": list(options), "val": _on_val(result)})


def _on_val(result: dict[str, Any]) -> dict[str, Any]:
    lines = [line for line in result["results"] if line["split"] == "val"]
    return {name: value for name, value in (lines[0] if lines else {}).items() if isinstance(value, float)}


def train_plain(data: str, plain: Plain, terms: Terms, *, size: int, form: str = "") -> Trained:
    """Train the usual way until the time is up; decoding is not counted, which it is in a budget of fovea."""
    torch.manual_seed(terms.seed)
    torch.set_num_threads(terms.threads)
    dataset, geometry = decoded(data, terms.task, size=size, fit=plain.fit)
    target = target_of(dataset, geometry, form)
    part = dataset.parts["train"]
    images, labels = torch.from_numpy(np.array(part.decoded[:])).permute(0, 3, 1, 2), part_labels(part)
    layout = torch.channels_last if plain.bfloat16 else torch.contiguous_format
    network = plain.network(target, geometry).train().to(memory_format=layout)  # type: ignore[call-overload]
    optimiser, loss, change = plain.optimiser(network), plain.loss(target), plain.change(target, geometry)
    rate, generator = optimiser.param_groups[0]["lr"], torch.Generator().manual_seed(terms.seed)
    began, steps = terms.used_s(), 0
    for indices in batches(len(images), min(plain.batch, len(images))):
        progress = (terms.used_s() - began) / (60 * terms.minutes)
        if progress >= 1:
            break
        optimiser.param_groups[0]["lr"] = rate * plain.schedule(progress)
        x, y = change(images[indices].contiguous(), labels[indices], generator)
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=plain.bfloat16):
            outputs = network(scaled(x).to(memory_format=layout))
        loss(outputs.float(), y).backward()  # type: ignore[no-untyped-call]
        if plain.clip:
            nn.utils.clip_grad_norm_(network.parameters(), plain.clip)
        optimiser.step()
        steps += 1
    note = {"seconds": round(terms.used_s() - began, 1), "steps": steps, "size": size, "batch": plain.batch}
    card = Card(architecture=CUSTOM, arguments={}, target=target, preprocess=geometry)
    return Trained(Bundle(model=network.eval(), card=card, device=torch.device("cpu")), note)


def batches(images: int, batch: int) -> Iterator[Tensor]:
    """Yield indices in a new order every epoch, without end."""
    while True:
        yield from torch.split(torch.randperm(images)[: max(batch, images // batch * batch)], batch)


def decoded(data: str, task: str, *, size: int, fit: str = "letterbox") -> tuple[Dataset, Preprocess]:
    """Return the data laid whole into squares of `size` pixels, and how."""
    source = DataSource(data=data, task=task, allow_bad=True)
    dataset = source.find()
    half = (HALF,) * dataset.channels
    geometry = Preprocess(size=(size, size), channels=dataset.channels, fit=fit, mean=half, std=half)  # type: ignore[arg-type]
    return source.decode(dataset, geometry), geometry


def target_of(dataset: Dataset, geometry: Preprocess, form: str = "") -> Task:
    """Return what is learned, of networks whose answers have this form."""
    kind, labels = dataset.kind, dataset.parts["train"].labels
    target = kind.fitted(labels, classes=dataset.classes, loss=kind.loss_of(form), data=dataset.name)
    return target.for_input(geometry.size)


def scaled(images: Tensor) -> Tensor:
    """Return pixels in -1..1, as a geometry with mean and deviation of a half normalises them."""
    return images.contiguous().float().div(127.5).sub(1)


def as_ours(specs: Sequence[str]) -> Callable[[Task, Preprocess], Change]:
    """Return the augmentation of our own plan for the other side too: more than its usual loop has."""

    def made(target: Task, geometry: Preprocess) -> Change:
        augment = compose(specs, size=geometry.size[0])

        def change(images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
            context = AugmentContext(0, torch.arange(len(images)))
            images, movement = augmented(augment, images, generator, context, follow=True)
            return images, labels if movement is None else target.moved(labels, movement)

        return change

    return made


def with_parts(data: str, task: str, folder: Path) -> str:
    """Return the data itself where it has a test part, else a list of its boxes with one.

    By the order of names, every fifth image is tested on and every tenth validates: fixed before anything was trained.
    """
    dataset = DataSource(data=data, task=task, allow_bad=True).find()
    if "test" in dataset.parts:
        return data
    path, whole = folder / f"{Path(data).name}.csv", dataset.parts["train"]
    pairs = sorted(zip(whole.files or (), whole.labels, strict=True), key=lambda pair: pair[0].name)
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("path", "label", "x0", "y0", "x1", "y1", "split"))
        for i, (file, boxes) in enumerate(pairs):
            part = "test" if i % 5 == 4 else "val" if i % 10 == 0 else "train"
            rows = [(dataset.classes[int(box[0])], *box[1:5].tolist()) for box in boxes if box[0] >= 0]
            writer.writerows((file.resolve(), *row, part) for row in rows or [[""] * 5])
    return str(path)


class Sample(NamedTuple):
    """An image of a part, and what is true of it."""

    file: Path
    label: Any
    """As it was found: in pixels of the image, or a source of masks."""


def samples(data: str, task: str, part: str = "test") -> list[Sample]:
    """Return the images of a part in the order of their names, those that can be read."""
    found = DataSource(data=data, task=task, allow_bad=True).find().parts.get(part)
    if found is None or found.files is None:
        sys.exit(f"`{data}` has no part `{part}`.")
    pairs = (Sample(*pair) for pair in zip(found.files, found.labels, strict=True))
    return sorted((sample for sample in pairs if is_whole(sample.file)), key=lambda sample: sample.file.name)


def is_whole(file: Path) -> bool:
    """Return whether an image can be read to its end."""
    try:
        decode(file, channels=3)
    except ImageError:
        print(f"left out: {file.name}")
        return False
    return True


def answers(predictor: Predictor, wanted: Sequence[Sample], **options: Any) -> Iterator[Prediction]:
    """Yield what the network says of each image, in pixels of the image."""
    files = [sample.file for sample in wanted]
    for found in fovea.predict(predictor, files, batch=4, **options):
        if found.prediction is None:
            sys.exit(f"`{found.image}`: {found.error}")
        yield found.prediction
