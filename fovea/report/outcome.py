"""What a network said of the images of one part, and the figures that pages show of it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from fovea.training import metrics
from fovea.training.losses import probabilities
from fovea.training.views import Protocol

WORST = 24
"""Mistakes that a page shows."""
CONFUSIONS = 10


class ClassRow(NamedTuple):
    """The figures of one class."""

    name: str
    precision: float
    recall: float
    f1: float
    images: int


class Mistake(NamedTuple):
    """An image that the network is wrong about: for classes with probabilities, for numbers without."""

    image: int
    """Its index."""
    name: str
    truth: str
    answer: str
    answer_probability: float | None = None
    truth_probability: float | None = None


class Confusion(NamedTuple):
    """How often one class is taken for another."""

    images: int
    truth: str
    answer: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A network's outputs on one part, with the truth."""

    data: str
    split: str
    protocol: Protocol = Protocol()
    """Which views of each image were averaged."""
    classes: tuple[str, ...]
    """Empty where a number is predicted."""
    outputs: torch.Tensor
    """(N, K) logits, or (N, 1) numbers in the unit of the labels."""
    labels: NDArray[Any]
    """(N,) indices into `classes`, or numbers."""
    names: tuple[str, ...]
    """(N,) what to call each image to a person."""
    temperature: float = 1.0
    picture: Callable[[int], NDArray[np.uint8]] | None = None
    """The pixels (H, W, C) of the image with that index; None leaves pictures out of the page."""

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """(N, classes) probabilities at `temperature`."""
        return probabilities(self.outputs.double(), temperature=self.temperature).numpy()

    @cached_property
    def unscaled(self) -> NDArray[np.float64]:
        """(N, classes) probabilities at temperature 1."""
        return probabilities(self.outputs.double()).numpy()

    @cached_property
    def answers(self) -> NDArray[np.int64]:
        """(N,) index of the most probable class."""
        answers: NDArray[np.int64] = self.unscaled.argmax(axis=1)
        return answers

    @property
    def accuracy(self) -> float:
        """The share of images that are classified rightly."""
        return float((self.answers == self.labels).mean())

    @property
    def interval(self) -> tuple[float, float]:
        """Where the true accuracy lies with 95 % confidence (Wilson)."""
        return metrics.wilson_interval(int((self.answers == self.labels).sum()), len(self))

    @cached_property
    def rows(self) -> list[ClassRow]:
        """The classes that have images, the lowest recall first."""
        scores = metrics.class_scores(self.labels, self.answers, classes=len(self.classes))
        columns = (column.tolist() for column in scores)
        rows = (ClassRow(*row) for row in zip(self.classes, *columns, strict=True))
        return sorted((row for row in rows if row.images), key=lambda row: (row.recall, row.precision))

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """(classes, classes) counts, the rows true and the columns predicted."""
        return metrics.confusion_matrix(self.labels, self.answers, classes=len(self.classes))

    @property
    def confusions(self) -> list[Confusion]:
        """The most frequent mistakes."""
        counts = self.confusion.copy()
        np.fill_diagonal(counts, 0)
        often = np.argsort(-counts, axis=None, kind="stable")[:CONFUSIONS]
        pairs = zip(*np.unravel_index(often, counts.shape), strict=True)
        found = (Confusion(int(counts[t, a]), self.classes[t], self.classes[a]) for t, a in pairs)
        return [confusion for confusion in found if confusion.images]

    @property
    def mistakes(self) -> list[Mistake]:
        """The wrong answers that the network is surest of; for numbers those that are furthest off."""
        if not self.classes:
            values = self.outputs[:, 0].numpy()
            order = np.argsort(-np.abs(values - self.labels), kind="stable")[:WORST].tolist()
            return [Mistake(i, self.names[i], f"{self.labels[i]:.4g}", f"{values[i]:.4g}") for i in order]
        wrong = np.flatnonzero(self.answers != self.labels)
        sure = self.probabilities[wrong, self.answers[wrong]]
        return [self._mistake(int(index)) for index in wrong[np.argsort(-sure, kind="stable")][:WORST]]

    def _mistake(self, index: int) -> Mistake:
        row, truth, answer = self.probabilities[index], int(self.labels[index]), int(self.answers[index])
        return Mistake(
            index, self.names[index], self.classes[truth], self.classes[answer], float(row[answer]), float(row[truth])
        )
