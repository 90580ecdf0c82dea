"""Concepts that a person names: how much an answer depends on them, and whether more than on anything at all (TCAV).

Kim et al. 2017, "Interpretability beyond feature attribution", arXiv:1711.11279. A concept is a set of images of it;
images without it are drawn at random, in several sets. Inputs are (N, C, H, W) float, normalised.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from fovea.errors import UsageError
from fovea.explanation.attribution.registry import Progress
from fovea.explanation.objective import Objective
from fovea.explanation.outputs import gradient_at, in_batches, outputs_in_batches

LEVEL = 0.05
"""Of the test of significance."""
HELD_OUT = 1 / 3
"""Of the images of a concept, and of random ones, on which its classifier is scored."""
STRENGTH = 0.01
"""Inverse weight of the L2 penalty of the classifier, whose inputs have unit mean square."""


class Direction(NamedTuple):
    """The concept activation vector of a set of images against another."""

    vector: Tensor
    """(D,) float64, of length 1, towards the concept: the normal of the classifier's plane (section 3.2)."""
    accuracy: float
    """Of a classifier fitted to two thirds of the images, on the rest."""


@dataclass(frozen=True, kw_only=True)
class Concept:
    """How much an answer depends on a concept at a layer."""

    name: str
    layer: str
    scores: Tensor
    """(R,) float64: the share of images whose evidence grows towards the concept, for each random set."""
    random_scores: Tensor
    """(R,) float64: the same of random images against other random images."""
    accuracy: float
    """Of the classifiers on held-out images, mean over the random sets: near 0.5 the layer does not know the concept,
    and the scores mean nothing."""
    p_scores: float
    """Two-sided, of Welch's t-test that both kinds of scores have one mean, times the tests made; at most 1."""
    p_known: float
    """One-sided, that the accuracy is one as random images have against other random images, times the tests made."""

    @property
    def score(self) -> float:
        """Mean of the scores: above 0.5 the concept supports the answer, below it opposes it."""
        return float(self.scores.mean())

    @property
    def significant(self) -> bool:
        """Whether the layer knows the concept, and the scores differ from those of random images, both at `LEVEL`."""
        return max(self.p_scores, self.p_known) < LEVEL


def tcav(
    model: nn.Module,
    x: Tensor,
    objective: Objective,
    *,
    layer: str,
    concepts: Mapping[str, Tensor],
    randoms: Sequence[Tensor],
    tests: int | None = None,
    batch: int = 32,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Concept]:
    """Return how much the evidence for images `x` (N, C, H, W) of a class depends on each of the concepts.

    `concepts` are images (n, C, H, W) by name, `randoms` at least two sets of others; the more, the surer the test:
    where the gradient is much the same for all images, random scores are 0 or 1, and a dozen show nothing. `tests`
    is how many the significance is corrected for (Bonferroni), by default the number of concepts: say more where
    several layers are asked.

    Departures: the random scores come of each random set against the next, where the paper draws further ones; and a
    concept must be known too. All scores of a concept share its images, so they vary less than random ones, and the
    paper's test alone finds many a set of random images significant.

    Raises:
        UsageError: fewer than two random sets, a set of fewer than three images, a layer that is not there.
    """
    _check(x, concepts, randoms)
    steps = len(concepts) + len(randoms) + 1
    told = progress or (lambda _, __: None)
    activations = []
    for done, images in enumerate([*randoms, *concepts.values()], start=1):
        activations.append(_activations(model, images, layer, batch))
        told(done, steps)
    gradients = _gradients(model, x, objective, layer, batch)
    told(steps, steps)
    others, known = activations[: len(randoms)], activations[len(randoms) :]
    pairs = zip(others, [*others[1:], others[0]], strict=True)
    null = _runs(gradients, pairs, seed)
    found, times = [], len(concepts) if tests is None else tests
    for name, images in zip(concepts, known, strict=True):
        scores, accuracies = _runs(gradients, [(images, other) for other in others], seed)
        found.append(
            Concept(
                name=name,
                layer=layer,
                scores=scores,
                random_scores=null[0],
                accuracy=float(accuracies.mean()),
                p_scores=min(1.0, times * p_of(scores, null[0])),
                p_known=min(1.0, times * p_beyond(float(accuracies.mean()), null[1])),
            )
        )
    return found


def _runs(gradients: Tensor, pairs: Iterable[tuple[Tensor, Tensor]], seed: int) -> tuple[Tensor, Tensor]:
    """Return the score and the accuracy of the direction of each pair of activations, both (R,) float64."""
    # each holds out other images
    directions = [direction(a, b, seed=seed + run) for run, (a, b) in enumerate(pairs)]
    scores = [share_towards(gradients, each.vector) for each in directions]
    accuracies = [each.accuracy for each in directions]
    return torch.tensor(scores, dtype=torch.float64), torch.tensor(accuracies, dtype=torch.float64)


def _check(x: Tensor, concepts: Mapping[str, Tensor], randoms: Sequence[Tensor]) -> None:
    if len(randoms) < 2:
        raise UsageError(f"TCAV needs at least 2 sets of random images to compare with, not {len(randoms)}.")
    if not len(x):
        raise UsageError("TCAV needs at least one image of the class.")
    sets = {**{f"concept `{name}`": images for name, images in concepts.items()}}
    sets |= {f"random set {index}": images for index, images in enumerate(randoms, start=1)}
    for name, images in sets.items():
        if len(images) < 3:
            raise UsageError(f"The {name} has {len(images)} image(s), and must have at least 3.")


def _activations(model: nn.Module, images: Tensor, layer: str, batch: int) -> Tensor:
    """Return (n, D) float64 on the CPU: all that the layer gives for each image."""
    found = outputs_in_batches(model, in_batches(images, batch), [layer])
    return torch.cat([output.flatten(1).double().cpu() for (output,) in found])


def _gradients(model: nn.Module, x: Tensor, objective: Objective, layer: str, batch: int) -> Tensor:
    """Return the derivative of the evidence by all that the layer gives, (N, D) float64 on the CPU."""
    found = []
    for first in range(0, len(x), batch):
        rows = slice(first, first + batch)
        found.append(gradient_at(model, x[rows], objective.rows(rows), layer).flatten(1).double().cpu())
    return torch.cat(found)


def direction(concept: Tensor, other: Tensor, *, seed: int = 0) -> Direction:
    """Return the direction from activations (m, D) to those of a concept, (n, D), all float64: section 3.2.

    The classifier is logistic regression with an L2 penalty. Its weights are sums of the activations, so it is fitted
    in their span, exactly, whatever D is.
    """
    rows = torch.cat([concept, other])
    centred = rows - rows.mean(0)
    scale = centred.square().mean().sqrt().clamp(min=1e-300)
    basis, _ = torch.linalg.qr((centred / scale).T)  # (D, n + m)
    places = (centred / scale @ basis).numpy()
    labels = np.repeat([1, 0], [len(concept), len(other)])
    weights = torch.from_numpy(_fitted(places, labels, rows.shape[1]).coef_[0])
    vector = basis @ weights
    return Direction(vector / vector.norm().clamp(min=1e-300), _accuracy(places, labels, rows.shape[1], seed))


def _fitted(places: NDArray[np.float64], labels: NDArray[Any], features: int) -> LogisticRegression:
    # the squared norms of the activations grow with their number
    classifier = LogisticRegression(C=STRENGTH * 100 / features, max_iter=1000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a plane that is nearly the best serves
        return classifier.fit(places, labels)


def _accuracy(places: NDArray[np.float64], labels: NDArray[Any], features: int, seed: int) -> float:
    chance = np.random.default_rng(seed)
    held = np.zeros(len(labels), bool)
    for label in (0, 1):
        rows = chance.permutation(np.flatnonzero(labels == label))
        held[rows[: max(1, round(len(rows) * HELD_OUT))]] = True
    classifier = _fitted(places[~held], labels[~held], features)
    return float((classifier.predict(places[held]) == labels[held]).mean())


def share_towards(gradients: Tensor, vector: Tensor) -> float:
    """Return the share of gradients (N, D) along which a direction (D,), both float64, rises: equations 1 and 2."""
    return float(((gradients @ vector) > 0).double().mean())


def p_of(scores: Tensor, others: Tensor) -> float:
    """Return the two-sided p-value of Welch's t-test for scores (R,) and others (Q,), float64.

    Where neither varies it is 0 if they differ, else 1.
    """
    a, b = (part.var(correction=1) / len(part) for part in (scores, others))
    gap = (scores.mean() - others.mean()).abs()
    if float(a + b) < 1e-24:
        return float(gap < 1e-12)
    freedom = (a + b) ** 2 / (a**2 / (len(scores) - 1) + b**2 / (len(others) - 1))
    return float(2 * stats.t.sf(float(gap / (a + b).sqrt()), float(freedom)))


def p_beyond(value: float, others: Tensor) -> float:
    """Return the one-sided p-value that `value` is one more of `others` (Q,), float64, taken as normal."""
    spread = float(others.std()) * (1 + 1 / len(others)) ** 0.5
    gap = value - float(others.mean())
    if spread < 1e-12:
        return float(gap < 1e-12)
    return float(stats.t.sf(gap / spread, len(others) - 1))
