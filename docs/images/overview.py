"""Draw overview.png, the README's picture, from a run of `fovea train digits`: python docs/images/overview.py RUN."""

import json
import sys
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import fovea
from fovea.data.dataset import Part
from fovea.drawing.style import GREEN, INK, LINE, SOFT

BAD = "#c2410c"
COMMAND = {"family": "monospace", "size": 13, "weight": "bold", "color": INK}
NOTE = {"size": 10.5, "color": SOFT}


def draw(run: Path) -> Figure:
    """Return the picture: labelled images, the training, the bundle, and what the bundle says of new images."""
    bundle = fovea.load(run / "model.safetensors")
    test = fovea.find("digits").parts["test"]
    figure = Figure(figsize=(14, 4.3), facecolor="white")
    draw_images(figure, fovea.find("digits").parts["train"])
    draw_training(figure, run)
    draw_bundle(figure, bundle)
    scores = bundle.scores(np.stack([bundle.preprocess.read(image) for image in test.decoded]))
    draw_confusion(figure, test.labels, scores.argmax(1))
    draw_predictions(figure, test, scores)
    for left in (0.192, 0.437, 0.633):
        figure.text(left, 0.5, "\N{RIGHTWARDS ARROW}", size=30, color=SOFT, ha="center", va="center")
    return figure


def draw_images(figure: Figure, train: Part) -> None:
    """Four images of each of six classes, a folder per class."""
    figure.text(0.02, 0.92, "DATA", **COMMAND)
    figure.text(0.02, 0.06, "a folder per class", **NOTE)
    for row, label in enumerate(range(6)):
        figure.text(0.02, 0.8 - row * 0.12, f"{label}/", family="monospace", size=11, color=INK, va="center")
        for column, index in enumerate(np.flatnonzero(train.labels == label)[:4]):
            tile(figure, 0.046 + column * 0.032, 0.75 - row * 0.12, train.decoded[index])


def draw_training(figure: Figure, run: Path) -> None:
    """Accuracy over the epochs of the run."""
    figure.text(0.216, 0.92, "fovea train DATA", **COMMAND)
    epochs = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    axes = figure.add_axes((0.245, 0.24, 0.165, 0.57))
    axes.plot([e["elapsed_s"] for e in epochs], [100 * e["accuracy"] for e in epochs], color=GREEN, linewidth=2)
    axes.set_xlabel("seconds", **NOTE)
    axes.set_ylabel("accuracy in training, %", **NOTE)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(SOFT)
    axes.tick_params(colors=SOFT, labelsize=9)
    figure.text(0.216, 0.06, "network and recipe chosen for the data", **NOTE)


def draw_bundle(figure: Figure, bundle: fovea.Bundle) -> None:
    """The file as a box with the main lines of its card."""
    figure.text(0.463, 0.92, "model.safetensors", **COMMAND)
    axes = figure.add_axes((0.463, 0.22, 0.145, 0.61), xticks=[], yticks=[], facecolor="#f5f7fa")
    axes.spines[:].set_color(SOFT)
    result = bundle.card["results"][0]
    low, high = result["interval"]
    lines = [
        (bundle.card["architecture"], f"{sum(p.numel() for p in bundle.model.parameters()):,} weights"),
        ("input", "x".join(map(str, (*bundle.preprocess.size, bundle.preprocess.channels)))),
        ("classes", f"{bundle.classes[0]} ... {bundle.classes[-1]}"),
        ("trained on", bundle.card["training"]["data"]["name"]),
        (result["split"], f"{result['accuracy']:.1%}"),
        ("95 %", f"{low:.1%} to {high:.1%}"),
    ]
    for row, (name, value) in enumerate(lines):
        axes.text(0.06, 0.88 - row * 0.152, name, size=10.5, color=SOFT, va="center")
        axes.text(0.94, 0.88 - row * 0.152, value, size=10.5, color=INK, va="center", ha="right")
    figure.text(0.463, 0.06, "one file: weights and card", **NOTE)


def draw_confusion(figure: Figure, labels: np.ndarray, chosen: np.ndarray) -> None:
    """The confusion matrix, mistakes in colour."""
    figure.text(0.66, 0.92, "fovea evaluate", **COMMAND)
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (labels, chosen), 1)
    axes = figure.add_axes((0.672, 0.2, 0.14, 0.66), xticks=range(10), yticks=range(10))
    axes.imshow(np.where(np.eye(10, dtype=bool), 0.16, 0.0), cmap="Greens", vmin=0, vmax=1)
    for true, taken in np.argwhere(counts):
        colour, weight = (GREEN, "normal") if true == taken else (BAD, "bold")
        axes.text(taken, true, str(counts[true, taken]), size=8, color=colour, weight=weight, ha="center", va="center")
    axes.tick_params(colors=SOFT, labelsize=8, length=0)
    axes.spines[:].set_color(LINE)
    axes.set_xlabel("predicted", **NOTE)
    axes.set_ylabel("true", labelpad=1, **NOTE)
    figure.text(0.66, 0.06, f"{np.mean(labels == chosen):.2%} of {len(labels)} test images", **NOTE)


def draw_predictions(figure: Figure, test: Part, scores: np.ndarray) -> None:
    """Eight test images and the mistakes, each with the most probable class."""
    figure.text(0.838, 0.92, "fovea predict", **COMMAND)
    chosen = scores.argmax(1)
    wrong = np.flatnonzero(chosen != test.labels)[:4]
    right = np.flatnonzero(chosen == test.labels)[:8]
    for position, index in enumerate([*right, *wrong]):
        row, column = divmod(position, 4)
        left, bottom = 0.838 + column * 0.04, 0.74 - row * 0.235
        tile(figure, left, bottom, test.decoded[index])
        text = f"{chosen[index]}  {scores[index].max():.0%}"
        colour = GREEN if chosen[index] == test.labels[index] else BAD
        figure.text(left + 0.0145, bottom - 0.04, text, size=9.5, color=colour, ha="center", va="center")
    figure.text(0.838, 0.06, f"last row: {len(wrong)} of {np.sum(chosen != test.labels)} mistakes", **NOTE)


def tile(figure: Figure, left: float, bottom: float, pixels: np.ndarray) -> Axes:
    """Draw one grey image (H, W, 1), dark on light, at a place of the figure."""
    axes = figure.add_axes((left, bottom, 0.029, 0.1), xticks=[], yticks=[])
    axes.imshow(pixels[:, :, 0], cmap="gray_r")
    axes.spines[:].set_color(LINE)
    return axes


if __name__ == "__main__":
    draw(Path(sys.argv[1])).savefig(Path(__file__).with_suffix(".png"), dpi=130)
