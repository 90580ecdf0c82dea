"""Labels that look wrong to a classifier on a network's features, fitted without the images that it judges.

Features are (N, D) float32, labels (N,) int64 class indices.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp
from torch.nn.functional import one_hot

from fovea import inputs
from fovea.card import Card
from fovea.data.dataset import Dataset
from fovea.data.label_faults import LabelFault, LabelFaults
from fovea.data.sources.source import DataSource
from fovea.display import Display
from fovea.errors import DataError, UsageError
from fovea.evaluation.embedded import embedded
from fovea.model.bundle import Bundle
from fovea.model.embedding import embedder_of
from fovea.retrieval.confident import FOLDS, Labels, doubts, folds_of
from fovea.training.inference import Progress
from fovea.training.probing import Moments, discriminants, logistic

BATCH = 64
"""Images at a time."""
SHARES = (0.01, 0.03, 0.1, 0.3, 0.6, 0.9)
"""Of shrinkage that are tried: what keeps a classifier on many features from being too sure."""
TEMPERATURES = tuple(float(f"{value:.3g}") for value in np.geomspace(0.5, 20, 20))
"""By which the logarithms of their probabilities are divided, since they are too sure all the same."""
PENALTY, STEPS = 0.03, 25
"""Of the logistic regression."""
TINY = 1e-6
"""Stands for the deviation of a feature that has none."""
AFFORDABLE_MACS = 5e12
"""A few minutes of one core; beyond, there are the discriminants alone."""


def find_label_faults(
    bundle: Bundle, dataset: Dataset, source: DataSource, *, model: str, layer: str | None = None, display: Display
) -> LabelFaults:
    """Return the labels of a data set, not decoded yet, that are improbable by the features of a network.

    The classes need not be those of the network. `model` is what its file is called.

    Raises:
        UsageError: labels that are not classes, or no `layer` of that name.
        DataError: samples of another kind than the network sees, or no two classes with enough images.
    """
    kind = dataset.kind
    if not kind.has_classes or kind.several:
        raise UsageError(f"`--model` can only check class labels, not {kind.noun}; leave it out.")
    if dataset.input != bundle.preprocess.input:
        seen = inputs.kind_of(bundle.preprocess).nouns
        raise DataError(f"`{dataset.name}` contains {inputs.kind(dataset.input).nouns}, but `{model}` takes {seen}.")
    embedder = embedder_of(bundle, layer)
    found = embedded(dataset, source, embedder, batch=BATCH, display=display)
    counts = np.bincount(found.labels, minlength=len(dataset.classes))
    kept = np.flatnonzero(counts[found.labels] >= FOLDS)
    if np.count_nonzero(counts >= FOLDS) < 2:
        raise DataError(
            f"`--model` needs at least two classes with {FOLDS} images each, and `{dataset.name}` has fewer."
        )
    classes, labels = np.unique(found.labels[kept], return_inverse=True)
    probabilities = out_of_fold(found.features[kept], labels, progress=display.counter("doubting labels"))
    judged = doubts(probabilities, labels)
    names, places = [dataset.classes[index] for index in classes], found.places
    return LabelFaults(
        model=model,
        layer=embedder.layer,
        judged=len(kept),
        accuracy=float((probabilities.argmax(1) == labels).mean()),
        left_out={dataset.classes[i]: int(count) for i, count in enumerate(counts) if 0 < count < FOLDS},
        seen=seen_before(bundle.card, dataset),
        faults=[
            LabelFault(
                name=places[kept[row]][1],
                part=places[kept[row]][0],
                label=names[labels[row]],
                likely=names[judged.likely[row]],
                probability=float(probabilities[row, labels[row]]),
                likely_probability=float(probabilities[row, judged.likely[row]]),
            )
            for row in judged.faults(labels)
        ],
    )


def out_of_fold(
    features: NDArray[np.float32],
    labels: Labels,
    *,
    folds: int = FOLDS,
    seed: int = 0,
    progress: Progress | None = None,
) -> NDArray[np.float64]:
    """Return the probability (N, K) float64 of each class by two linear classifiers fitted without the image's fold.

    Both are those of `fovea.training.probing`: discriminants, at the one of `SHARES` of shrinkage and of `TEMPERATURES`
    under which the labels (N,) int64 are most probable, out of fold too; and logistic regression on the roots of the
    features, which looks at the borders between classes. Their probabilities are averaged, as a geometric mean.
    """
    members = [np.flatnonzero(folds_of(labels, folds=folds, seed=seed) == index) for index in range(folds)]
    K = int(labels.max()) + 1
    both = len(features) * features.shape[1] * K * 4 * STEPS * folds <= AFFORDABLE_MACS
    told: Told = (lambda done: progress(done, folds * (1 + both))) if progress else (lambda done: None)
    found = _by_discriminants(features, labels, members, K, told)
    if both:
        other = _by_regression(features, labels, members, K, lambda done: told(folds + done))
        found = np.asarray((found + other) / 2)
    probabilities: NDArray[np.float64] = np.exp(found - logsumexp(found, axis=1, keepdims=True))
    return probabilities


Told = Callable[[int], None]
Members = Sequence[NDArray[np.int64]]


def _by_discriminants(
    features: NDArray[np.float32], labels: Labels, members: Members, K: int, told: Told
) -> NDArray[np.float64]:
    """Return logarithms of probabilities (N, K) out of fold."""
    middle = features.mean(0, dtype=np.float64)  # outputs do not change without it, and large numbers lose no digits
    centred = [torch.from_numpy(features[rows] - middle) for rows in members]
    given = [one_hot(torch.from_numpy(labels[rows]), K) for rows in members]
    parts = [Moments.of(x, t) for x, t in zip(centred, given, strict=True)]
    found = np.empty((len(SHARES), len(labels), K))
    for index, (x, rows) in enumerate(zip(centred, members, strict=True)):
        rest = _together([part for other, part in enumerate(parts) if other != index])
        for place, share in enumerate(SHARES):
            weight, bias = discriminants(rest, share=share)
            found[place, rows] = torch.log_softmax(x @ weight.T + bias, dim=1).numpy()
        told(index + 1)
    rows = np.arange(len(labels))
    best: NDArray[np.float64] = max(
        (log_softmax(one / temperature, axis=1) for one in found for temperature in TEMPERATURES),
        key=lambda one: float(one[rows, labels].mean()),
    )
    return best


def _by_regression(
    features: NDArray[np.float32], labels: Labels, members: Members, K: int, told: Told
) -> NDArray[np.float64]:
    """Return logarithms of probabilities (N, K) out of fold, by features of one scale."""
    roots = np.sign(features) * np.sqrt(np.abs(features))
    x = torch.from_numpy((roots - roots.mean(0)) / np.maximum(roots.std(0), TINY)).float()
    given, found = torch.from_numpy(labels), np.empty((len(labels), K))
    for index, own in enumerate(members):
        rest = np.setdiff1d(np.arange(len(labels)), own)
        weight, bias = logistic(x[rest], given[rest], classes=K, penalty=PENALTY, steps=STEPS)
        found[own] = torch.log_softmax((x[own] @ weight.T + bias).double(), 1).numpy()
        told(index + 1)
    return found


def _together(parts: Sequence[Moments]) -> Moments:
    """Return the moments of several parts together, which stay as they are."""
    first, *others = parts
    whole = replace(first, **{name: value.clone() for name, value in vars(first).items() if name != "count"})
    for part in others:
        whole.add(part)
    return whole


def seen_before(card: Card, dataset: Dataset) -> str:
    """Return what the card of a network tells of whether it was trained on the labels of `dataset`."""
    trained = card.trained_on
    if trained.fingerprint is None:
        return (
            "the model file does not say what the network was trained on, so it may have been trained on these labels"
        )
    if trained.fingerprint == dataset.fingerprint:
        return (
            "the network was trained on these labels and may have overfitted to wrong ones, so it may find fewer "
            "of them; a network trained on other data finds more"
        )
    if trained.name == dataset.name:
        return f"the network was trained on `{trained.name}` with other images or labels than these"
    return f"according to its file, the network was not trained on these labels but on `{trained.name}`"
