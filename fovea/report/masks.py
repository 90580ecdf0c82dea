"""The sections of a page on masks: the classes of pixels, and the worst images beside truth and answer."""

from typing import Any, NamedTuple, cast

import numpy as np

from fovea.evaluation.outcome import Outcome
from fovea.report.page import picture
from fovea.tasks.mask_colours import overlaid, palette
from fovea.tasks.mask_figures import MaskFigures
from fovea.tasks.mask_scoring import middle

CONFUSIONS = 10
SHOWN = 12
SIDE = 320
"""Pixels of the longer side of a picture."""


class ClassRow(NamedTuple):
    """A class of pixels as the page shows it."""

    name: str
    iou: float
    dice: float
    pixels: int
    boundary_f1: float | None
    hd95: float | None
    """In pixels."""
    colour: str
    """As CSS writes it."""


class PixelConfusion(NamedTuple):
    """How many pixels of a class are taken for another."""

    pixels: int
    share: float
    """Of the pixels of the true class."""
    truth: str
    answer: str


def mask_classes(outcome: Outcome) -> dict[str, Any]:
    """Return the classes with their colours, and the most frequent confusions."""
    figures = cast(MaskFigures, outcome.figures)
    names = outcome.target.classes
    colours = {name: "#{:02x}{:02x}{:02x}".format(*palette()[index]) for index, name in enumerate(names)}
    rows = [ClassRow(*row, colours[row.name]) for row in figures.rows]
    return {"mask_rows": rows, "mask_confusions": _confusions(figures, names), "mask_tolerance": figures.tolerance}


def overlays(outcome: Outcome) -> dict[str, Any]:
    """Return the worst images, each with its picture, its true mask and the network's over it."""
    shown = []
    for mistake in outcome.mistakes[:SHOWN]:
        images = []
        if outcome.picture is not None:
            answer = outcome.outputs[mistake.image, 0].numpy()
            image = middle(outcome.picture(mistake.image).transpose(2, 0, 1), answer).transpose(1, 2, 0)
            truth = middle(np.asarray(outcome.labels[mistake.image]), answer)
            images = [
                ("image", picture(image, side=SIDE)),
                ("truth", picture(overlaid(image, truth), side=SIDE)),
                ("answer", picture(overlaid(image, answer), side=SIDE)),
            ]
        shown.append((mistake, outcome.names[mistake.image], images))
    return {"overlays": shown}


def _confusions(figures: MaskFigures, names: tuple[str, ...]) -> list[PixelConfusion]:
    counts = np.array(figures.confusion)
    of_class = counts.sum(axis=1)
    np.fill_diagonal(counts, 0)
    often = np.argsort(-counts, axis=None, kind="stable")[:CONFUSIONS]
    pairs = [(int(t), int(a)) for t, a in zip(*np.unravel_index(often, counts.shape), strict=True)]
    return [
        PixelConfusion(int(counts[t, a]), float(counts[t, a] / of_class[t]), names[t], names[a])
        for t, a in pairs
        if counts[t, a]
    ]
