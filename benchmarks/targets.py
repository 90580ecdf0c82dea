"""Several labels or grades per image: `fovea train` against a plain PyTorch loop, the same network in the same time.

    python benchmarks/targets.py labels MANIFEST [--model NAME] [--weights FILE] [--budget 60s] [--seeds 5]
    python benchmarks/targets.py grade FOLDER --order 0,1,2

The data's own test part is the judge, else a fifth of all images (stratified, the same for every seed); all others are
for training. fovea chooses its settings and holds out a tenth of them. The loop is what a tutorial shows, on all of
them: one output per label or grade, binary cross-entropy per label or cross-entropy over the grades, AdamW at 3e-4 with
weight decay 0.01, cosine decay by the clock, batch 32, mirrored images, images decoded before the clock starts, the
default layout and float32; batch norm keeps its statistics, as weights whose norms are folded need. Of its learning
rates 1e-3, 3e-4 and 1e-4 were tried, on images that do not judge. A label counts as present above 1/2, a grade is the
most probable one.
"""

import argparse
import csv
import math
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from machine import arguments, begun, on_test, run_fovea
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from fovea import metrics, registry
from fovea.data.dataset import Part
from fovea.data.sources.source import DataSource
from fovea.data.splits import split_off
from fovea.display import Display
from fovea.metrics import paired_interval
from fovea.plans.start_weights import start_at_hand
from fovea.preprocess import Preprocess
from fovea.runs.initial_weights import load_start
from fovea.runs.request import seconds
from fovea.training.inference import part_labels
from fovea.training.tuning import available_threads

SCORES = {"labels": ("map", "f1_micro", "f1_macro"), "grade": ("mae", "kappa", "accuracy")}
BATCH, LR = 32, 3e-4

Scores = dict[str, float]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("task", choices=list(SCORES))
    parser.add_argument("data")
    parser.add_argument("--order", help="grades that are no numbers, the lowest first")
    parser.add_argument("--model", default="mobilenet_v2")
    parser.add_argument("--weights", help="as --from takes; those at hand")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--budget", default="60s")
    parser.add_argument("--seeds", type=int, default=5)
    given = begun(parser)
    hand = start_at_hand()
    given.weights = given.weights or (hand.weights if hand else sys.exit("No weights at hand; name a file."))
    found: dict[str, list[Scores]] = {"fovea": [], "loop": []}
    with tempfile.TemporaryDirectory() as folder:
        path = manifest(given, Path(folder) / "data.csv")
        for seed in range(given.seeds):
            found["fovea"].append(with_fovea(path, Path(folder) / str(seed), given, seed=seed))
            found["loop"].append(with_loop(path, given, seed=seed))
            for name, results in found.items():
                print(f"{name:5} seed {seed}: {results[-1]}", flush=True)
    for score in SCORES[given.task]:
        ours, theirs = ([result[score] for result in found[name]] for name in found)
        low, high = paired_interval([a - b for a, b in zip(ours, theirs, strict=True)])
        means = fmean(ours), fmean(theirs)
        print(
            f"{score:9} fovea {means[0]:.4f}, loop {means[1]:.4f}, difference {means[0] - means[1]:+.4f} "
            f"(95 % interval {low:+.4f} to {high:+.4f}, paired over {given.seeds} seeds)"
        )


def source(data: str | Path, given: argparse.Namespace) -> DataSource:
    """Return the data as it is read."""
    return DataSource(data=data, task=given.task, **({"order": given.order} if given.order else {}))


def manifest(given: argparse.Namespace, file: Path) -> Path:
    """Write a list of all images with their labels, as parts train and test."""
    dataset = source(given.data, given).find()
    parts = {name: dataset.parts[name] for name in ("train", "val", "test") if name in dataset.parts}
    if "test" not in parts:
        whole = parts["train"]
        parts["train"], parts["test"] = split_off(whole, fraction=0.2, seed=0, strata=dataset.kind.strata(whole.labels))
    with file.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("path", "label", "split"))
        for name, part in parts.items():
            for image, label in zip(part.files or (), part.labels, strict=True):
                text = written(label, dataset.classes) if dataset.kind.several else dataset.classes[label]
                rows.writerow((image.resolve(), text, "test" if name == "test" else "train"))
    return file


def written(label: NDArray[np.float32], names: Sequence[str]) -> str:
    """Return the labels that are present, as a manifest has them."""
    return ";".join(name for name, value in zip(names, label, strict=True) if value == 1)


def with_fovea(path: Path, out: Path, given: argparse.Namespace, *, seed: int) -> Scores:
    """Return what `fovea train` says of the test part."""
    options = {"task": given.task, "order": given.order, "model": given.model, "from": given.weights}
    options |= {"threads": available_threads(), "precision": "float32"}  # as the loop; nothing needs timing then
    options |= {"size": given.size, "budget": given.budget, "seed": seed, "out": out}
    words = [f"--{name}={value}" for name, value in options.items() if value is not None]
    result = on_test(run_fovea("train", str(path), *words))
    return {name: round(result[name], 4) for name in SCORES[given.task]}


def with_loop(path: Path, given: argparse.Namespace, *, seed: int) -> Scores:
    """Train the plain way until the time is up, and return the scores of the last weights on test."""
    torch.manual_seed(seed)
    torch.set_num_threads(available_threads())
    reader = source(path, given)
    found = reader.find()
    network = registry.build(given.model, classes=len(found.classes), c_in=3, size=given.size)
    origin = load_start(given.weights, network, architecture=given.model, display=Display(quiet=True))
    way = Preprocess(size=(given.size, given.size), channels=3, fit="crop", mean=origin.mean, std=origin.std)
    parts = reader.decode(found, way).parts
    train, labels = pixels(parts["train"]), part_labels(parts["train"])
    loss = F.binary_cross_entropy_with_logits if given.task == "labels" else F.cross_entropy
    optimiser = torch.optim.AdamW(network.parameters(), lr=LR, weight_decay=0.01)
    for module in network.train().modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    began, budget_s = time.perf_counter(), seconds(given.budget)
    for indices in batches(len(train)):
        progress = (time.perf_counter() - began) / budget_s
        if progress >= 1:
            break
        optimiser.param_groups[0]["lr"] = LR * (1 + math.cos(math.pi * progress)) / 2
        images = train[indices]
        images = torch.where(torch.rand(len(images), 1, 1, 1) < 0.5, images.flip(3), images)
        optimiser.zero_grad()
        loss(network(scaled(images, way)), labels[indices]).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return judged(network.eval(), parts["test"], way, task=given.task)


def pixels(part: Part) -> Tensor:
    """Return the images (N, C, H, W) uint8."""
    return torch.from_numpy(np.array(part.decoded[:])).permute(0, 3, 1, 2)


def batches(images: int) -> Iterator[Tensor]:
    """Yield indices in a new order every epoch, without end."""
    while True:
        yield from torch.split(torch.randperm(images)[: max(BATCH, images // BATCH * BATCH)], BATCH)


def scaled(images: Tensor, way: Preprocess) -> Tensor:
    """Return normalised pixels in the default layout."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (way.mean, way.std))
    return (images.contiguous().float() / 255 - mean) / std


@torch.inference_mode()
def judged(network: nn.Module, test: Part, way: Preprocess, *, task: str) -> Scores:
    """Return the scores of the outputs on the test part."""
    outputs = torch.cat([network(scaled(chunk, way)) for chunk in torch.split(pixels(test), 128)]).double()
    truth = test.labels
    if task == "labels":
        present = (outputs > 0).numpy()
        scores = metrics.label_scores(truth, present)
        seen = scores.support > 0
        found = {
            "map": float(metrics.mean_average_precision(outputs.numpy(), truth)[0]),
            "f1_micro": metrics.micro_f1(truth, present),
            "f1_macro": float(scores.f1[seen].mean()),
        }
    else:
        answers = outputs.argmax(1).numpy()
        confusion = metrics.confusion_matrix(truth, answers, classes=outputs.shape[1])
        found = {
            "mae": float(np.abs(answers - truth).mean()),
            "kappa": float(metrics.weighted_kappa(confusion)),
            "accuracy": float((answers == truth).mean()),
        }
    return {name: round(value, 4) for name, value in found.items()}


if __name__ == "__main__":
    main()
