"""Confident learning: which labels are improbable to a classifier that has not seen them.

Northcutt, Jiang and Chuang 2019, "Confident Learning: Estimating Uncertainty in Dataset Labels", arXiv:1911.00068.
Probabilities are (N, K) float64, each row by a classifier that was fitted without that image; labels (N,) int64.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
Probabilities = NDArray[np.float64]

FOLDS = 5


class Doubts(NamedTuple):
    """What is to be thought of N labels."""

    given: NDArray[np.float64]
    """(N,): the probability of the label, 0..1; the lowest are doubted most."""
    likely: Labels
    """(N,): the class that the image is counted for: the label itself where nothing else is probable enough."""
    joint: NDArray[np.int64]
    """(K, K): images by label (row) and by the class that they are counted for (column), the confident joint."""

    def order(self) -> NDArray[np.int64]:
        """Return all rows (N,) int64, the most doubtful label first."""
        return np.argsort(self.given, kind="stable")

    def faults(self, labels: Labels) -> NDArray[np.int64]:
        """Return the rows (M,) int64 counted for another class than their `labels` (N,), the most doubtful first."""
        order = self.order()
        found: NDArray[np.int64] = order[self.likely[order] != labels[order]]
        return found


def doubts(probabilities: Probabilities, labels: Labels) -> Doubts:
    """Return what is to be thought of `labels` (N,) int64 by out-of-fold `probabilities` (N, K) float64.

    An image is counted for the most probable of the classes whose probability reaches their threshold: the mean
    probability of that class among the images labelled so (equations 1 and 2). Images are ordered by the probability
    of their label (section 3.2, "prune by class").
    """
    N, K = probabilities.shape
    rows = np.arange(N)
    given = probabilities[rows, labels]
    counts = np.bincount(labels, minlength=K)
    thresholds = np.bincount(labels, given, minlength=K) / np.maximum(counts, 1)
    # no image is counted for a class that none is labelled with
    confident = np.where((probabilities >= thresholds) & (counts > 0), probabilities, -1.0)
    best = confident.argmax(1)
    likely: Labels = np.where(confident[rows, best] >= 0, best, labels)
    joint = np.zeros((K, K), np.int64)
    np.add.at(joint, (labels, likely), 1)
    return Doubts(given=given, likely=likely, joint=joint)


def folds_of(labels: Labels, *, folds: int = FOLDS, seed: int = 0) -> NDArray[np.int64]:
    """Return the fold (N,) int64 of each image: every fold has its share of each class, at random by the `seed`."""
    generator = np.random.default_rng(seed)
    fold = np.empty(len(labels), np.int64)
    first = 0
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        # each class goes on where the last one ended, so that folds of many small classes are as large
        fold[members] = (first + np.arange(len(members))) % folds
        first += len(members)
    return fold
