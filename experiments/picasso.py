"""The "Picasso problem": do a CNN and CapsNet notice that the parts of an image are in wrong places?

Lecture 000: convolutional networks lack information about the relative position of an object's parts, and capsules
(Sabour et al. 2017) address that. A CNN with max pooling and `capsnet_digits`, of about equal size, learn whole images
only: digits, and made-up faces, whose six classes are three kinds of eyes times two of mouths. Then they see digits
with their quadrants in wrong places, and faces with eyes, nose and mouth in one another's places.

A network that knows where parts belong should be unsure of scrambled images. Printed: how often the class of the parts
is still named, how sure the network is (largest probability), and how well that tells scrambled from whole images
(AUROC: 0.5 is chance), beside the length of CapsNet's longest capsule, its own measure of presence.
"""

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import roc_auc_score
from torch import nn

import fovea.zoo  # noqa: F401 (registers the networks)
from experiments.figures import COLOURS, axes, save
from experiments.harness import Data, experiment, load, started, train
from fovea import registry
from fovea.data.dataset import Part
from fovea.devices import device_named
from fovea.preprocess import Preprocess
from fovea.tasks.classes import Classes
from fovea.training.inference import predict_logits
from fovea.training.recipe import Recipe

Pixels = NDArray[np.uint8]
SIZE = 16
TEST = 359
EYES = {
    "ring": ("####", "#..#", "#..#", "####"),
    "dot": ("....", ".##.", ".##.", "...."),
    "slit": ("....", "####", "....", "...."),
}
MOUTHS = {"smile": ("....", "#..#", "#..#", ".##."), "frown": (".##.", "#..#", "#..#", "....")}
NOSE = (".#..", ".#..", ".##.", "....")
PLACES = ((3, 3), (3, 9), (6, 6), (10, 6))
"""Row and column of the left eye, the right eye, the nose and the mouth."""
KINDS = [f"{eye}, {mouth}" for eye in EYES for mouth in MOUTHS]


def part(drawn: tuple[str, ...]) -> NDArray[np.float64]:
    """Return 4 x 4 values, 1 where `drawn` has #."""
    return np.array([[float(c == "#") for c in row] for row in drawn])


def face(kind: str, places: tuple[tuple[int, int], ...], generator: np.random.Generator) -> Pixels:
    """Return one face (16, 16, 1) uint8, moved by up to a pixel, on noise; `places` are those of its four parts."""
    eye, mouth = kind.split(", ")
    image = np.zeros((SIZE + 2, SIZE + 2))
    y, x = np.mgrid[: SIZE + 2, : SIZE + 2] - (SIZE + 1) / 2
    image[np.abs(np.hypot(x, y) - 7.8) < 0.6] = 0.6
    for (row, column), drawn in zip(places, (EYES[eye], EYES[eye], NOSE, MOUTHS[mouth]), strict=True):
        view = image[row + 1 : row + 5, column + 1 : column + 5]
        np.maximum(view, part(drawn) * generator.uniform(0.7, 1.0), out=view)
    dy, dx = generator.integers(0, 3, 2)
    noisy = image[dy : dy + SIZE, dx : dx + SIZE] + generator.normal(0, 0.08, (SIZE, SIZE))
    return (255 * noisy.clip(0, 1)).astype(np.uint8)[..., None]


def faces(count: int, *, seed: int, scrambled: bool = False) -> Part:
    """Return `count` faces; of scrambled ones, no part is where one of its kind belongs."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % len(KINDS)
    left, right, nose, mouth = PLACES
    wrong = ((nose, mouth, left, right), (nose, mouth, right, left))
    places = [wrong[generator.integers(2)] if scrambled else PLACES for _ in labels]
    pixels = np.stack([face(KINDS[k], at, generator) for k, at in zip(labels, places, strict=True)])
    return Part(labels=labels.astype(np.int64), names=tuple(map(str, range(count))), pixels=pixels)


def enlarged(found: Part) -> Part:
    """Return digits at 16 x 16."""
    images = [
        Image.fromarray(image[..., 0]).resize((SIZE, SIZE), Image.Resampling.BILINEAR) for image in found.decoded[:]
    ]
    return replace(found, pixels=np.stack([np.asarray(image) for image in images])[..., None])


def quadrants_moved(found: Part, *, seed: int) -> Part:
    """Return images of which each quadrant is in a place that is not its own."""
    generator, half, moved = np.random.default_rng(seed), SIZE // 2, np.empty_like(found.decoded[:])
    corners = [(y, x) for y in (0, half) for x in (0, half)]
    for image, to in zip(found.decoded[:], moved, strict=True):
        order = generator.permutation(4)
        while (order == np.arange(4)).any():
            order = generator.permutation(4)
        for (y, x), source in zip(corners, order, strict=True):
            v, u = corners[source]
            to[y : y + half, x : x + half] = image[v : v + half, u : u + half]
    return replace(found, pixels=moved)


@dataclass(frozen=True)
class Trial:
    """What is learned, and the test images scrambled."""

    data: Data
    scrambled: Part


def digits(images: int) -> Trial:
    data = load("digits", train=images, test=TEST)
    whole = replace(data, train=enlarged(data.train), test=enlarged(data.test), preprocess=plain(), target=data.target)
    return Trial(whole, quadrants_moved(whole.test, seed=0))


def made_up_faces(images: int) -> Trial:
    parts = faces(images, seed=1), faces(TEST, seed=2)
    return Trial(Data(*parts, plain(), Classes(names=tuple(KINDS))), faces(TEST, seed=2, scrambled=True))


def plain() -> Preprocess:
    """Return pixels from 0 to 1."""
    return Preprocess(size=(SIZE, SIZE), channels=1, fit="crop", mean=(0.0,), std=(1.0,))


def cnn(classes: int) -> nn.Module:
    """Two 5x5 convolutions with max pooling and a dense layer: 257,318 parameters for ten classes."""
    layers = OrderedDict[str, nn.Module](
        conv1=nn.Conv2d(1, 64, 5, padding=2),
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(64, 64, 5, padding=2),
        relu2=nn.ReLU(),
        pool2=nn.MaxPool2d(2),
        flatten=nn.Flatten(),
        dense=nn.Linear(64 * (SIZE // 4) ** 2, 148),
        relu3=nn.ReLU(),
        logits=nn.Linear(148, classes),
    )
    return nn.Sequential(layers)


NETWORKS: dict[str, tuple[str, Callable[[int], nn.Module]]] = {
    "CNN": ("cross-entropy", cnn),
    "CapsNet": ("margin", lambda classes: registry.build("capsnet_digits", classes=classes, size=SIZE)),
}


@dataclass(frozen=True)
class Found:
    """Shares and means over the test images, whole and scrambled."""

    accuracy: float
    named: float
    """How often the class of the parts is named for scrambled images."""
    sure: float
    sure_scrambled: float
    auroc: float
    """Of the largest probability, telling whole from scrambled."""
    length_auroc: float
    """Of the largest sigmoid, which is a capsule's length; a CNN's logits mean nothing so."""


def measured(model: nn.Module, trial: Trial) -> Found:
    """Return what a trained network makes of both."""
    outputs = [
        predict_logits(model.eval(), part.decoded, trial.data.preprocess, device=device_named("auto")).double()
        for part in (trial.data.test, trial.scrambled)
    ]
    labels = torch.from_numpy(trial.data.test.labels)
    right = [(z.argmax(1) == labels).double().mean().item() for z in outputs]
    sure = [z.softmax(1).amax(1).numpy() for z in outputs]
    lengths = [z.sigmoid().amax(1).numpy() for z in outputs]
    whole = np.repeat([1, 0], len(labels))
    aurocs = [float(roc_auc_score(whole, np.concatenate(scores))) for scores in (sure, lengths)]
    return Found(*right, *(float(values.mean()) for values in sure), *aurocs)


def learned(build: Callable[[int], nn.Module], loss: str, trial: Trial, recipe: Recipe) -> Found:
    """Return what a network makes of scrambled images, after training on whole ones."""
    torch.manual_seed(recipe.seed)
    model = build(len(trial.data.target.names))
    data = replace(trial.data, target=replace(trial.data.target, loss=loss))
    train(lambda: model, data, recipe.replace(loss=loss))
    return measured(model, trial)


def row(data: str, network: str, found: list[Found]) -> str:
    """Return a line of the table: means over the seeds."""
    mean = {name: fmean(getattr(f, name) for f in found) for name in vars(found[0])}
    length = f"{mean['length_auroc']:.3f}" if network == "CapsNet" else ""
    shares = " | ".join(f"{100 * mean[name]:.1f} %" for name in ("accuracy", "named", "sure", "sure_scrambled"))
    return f"| {data} | {network} | {shares} | {mean['auroc']:.3f} | {length} |"


def picture(found: dict[tuple[str, str], list[Found]], trials: dict[str, Trial], path: Path) -> None:
    """Draw what is shown, and what is made of it."""
    figure, plots = axes(3, width=3.9, height=3.2)
    shown = [
        np.hstack([p.decoded[:4][i, ..., 0] for i in range(4)])
        for t in trials.values()
        for p in (t.data.test, t.scrambled)
    ]
    plots[0].imshow(np.vstack(shown), cmap="gray")
    plots[0].set(title="whole, scrambled", xticks=[], yticks=[])
    plots[0].grid(False)
    for plot, name, title in (
        (plots[1], "named", "scrambled, class still named, %"),
        (plots[2], "auroc", "AUROC of confidence, x 100"),
    ):
        for i, network in enumerate(NETWORKS):
            for j, data in enumerate(trials):
                values = [100 * getattr(f, name) for f in found[data, network]]
                plot.bar(j + 0.38 * i, fmean(values), 0.36, color=COLOURS[i], label=network if j == 0 else None)
                plot.plot([j + 0.38 * i] * len(values), values, "k.", ms=4)
        plot.set(title=title, ylim=(0, 100), xticks=[j + 0.19 for j in range(len(trials))], xticklabels=list(trials))
    plots[2].axhline(50, color="#555555", lw=0.8, ls=":")
    plots[1].legend(frameon=False)
    save(figure, path)


def main() -> None:
    parser = experiment(__doc__, images=1438, epochs=12, seeds=(0, 1, 2), picture="picasso.png")
    given = started(parser)
    recipe = Recipe(
        epochs=given.epochs,
        batch=32,
        optimiser="adam",
        lr=0.001,
        weight_decay=0.0,
        keep_best=False,
        precision="float32",
    )
    trials = {"digits": digits(given.images), "faces": made_up_faces(given.images)}
    print(f"{given.images:,} images, {given.epochs} epochs, seeds {given.seeds}, {TEST} test images")
    columns = ("data", "network", "accuracy, whole", "scrambled: still named", "confidence, whole", "scrambled")
    print(f"| {' | '.join(columns)} | AUROC | of length |")
    print(f"|{'---|' * 8}")
    found: dict[tuple[str, str], list[Found]] = {}
    for data, trial in trials.items():
        for network, (loss, build) in NETWORKS.items():
            run = partial(learned, build, loss, trial)
            found[data, network] = [run(recipe.replace(seed=seed, threads=1)) for seed in given.seeds]
            print(row(data, network, found[data, network]), flush=True)
            print(
                json.dumps({"data": data, "network": network, "seeds": [vars(f) for f in found[data, network]]}),
                flush=True,
            )
    picture(found, trials, given.out)


if __name__ == "__main__":
    main()
