"""What int8 costs: points of the task's score on samples with labels, and how far logits move."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fovea.errors import UsageError
from fovea.exporting.int8.samples import Samples
from fovea.metrics import paired_interval
from fovea.tasks.task import Task

Logits = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a network in int8 loses against the same in float, on the same samples."""

    metric: str
    """The name of the task's score."""
    before: float
    """The score in float."""
    after: float
    """The score in int8."""
    drop: float
    """Points of a share, as an accuracy; of an error, by how many percent it grows. Negative where int8 is better."""
    interval: tuple[float, float] | None
    """Where the true drop of accuracy lies with 95 % confidence, by the differences of each sample; None of others."""
    distance: float
    """Mean squared difference of logits, as a share of their variance over samples."""
    largest: float
    """The largest difference of logits."""
    scale: float
    """How much logits vary from sample to sample: the root of their mean squared deviation."""
    changed: int
    """Samples whose answer is another."""
    samples: int
    source: str

    @property
    def where(self) -> str:
        """On how many samples, and where these are from."""
        return f"{self.samples:,} {self.source}"

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values, in the words of the proof of an exported file."""
        return {
            "images": self.samples,
            "source": self.source,
            "metric": self.metric,
            "float": self.before,
            "int8": self.after,
            "drop": self.drop,
            **({"interval": list(self.interval)} if self.interval else {}),
            "logits_distance": self.distance,
            "largest_difference": self.largest,
            "scale": self.scale,
            "changed_decisions": self.changed,
            "decisions": self.samples,
        }


def cost(target: Task, before: Logits, after: Logits, samples: Samples) -> Cost:
    """Return what is lost where logits (N, K) are `after` instead of `before`.

    Raises: UsageError if the task has no score, or the samples have none.
    """
    if not target.measures or samples.labels is None:
        raise UsageError(f"int8 is accepted by the score on validation, and there is no score for {target.noun}.")
    own, changed = (torch.from_numpy(np.ascontiguousarray(logits)) for logits in (before, after))
    said = [target.condensed(logits) for logits in (own, changed)]
    scores = [target.measured(outputs, samples.labels).value for outputs in said]
    if scores[0] is None or scores[1] is None:
        raise UsageError(f"The {target.metric.title} of {samples.source} is undefined; give more samples.")
    rights = [_right(target, logits, samples) for logits in (own, changed)]
    differences = None if rights[0] is None or rights[1] is None else 100 * (rights[0] - rights[1])
    return Cost(
        metric=target.metric.name,
        before=scores[0],
        after=scores[1],
        drop=target.metric.lost(scores[0], scores[1]),
        interval=None if differences is None or len(differences) < 2 else paired_interval(list(differences)),
        distance=distance(before, after),
        largest=float(np.abs(before - after).max()),
        scale=float(np.sqrt(_spread(before))),
        changed=int((target.answered(said[0]) != target.answered(said[1])).sum()),
        samples=len(samples),
        source=samples.source,
    )


def distance(before: Logits, after: Logits) -> float:
    """Return the mean squared difference of logits (N, K), as a share of their variance over samples."""
    moved = np.square(before.astype(np.float64) - after).mean()
    return float(moved / max(_spread(before), np.finfo(float).tiny))


def _spread(logits: Logits) -> float:
    """Return the mean squared deviation of logits (N, K) from sample to sample."""
    values = logits.astype(np.float64)
    return float(np.square(values - values.mean(axis=0)).mean())


def _right(target: Task, logits: torch.Tensor, samples: Samples) -> NDArray[np.float64] | None:
    """Return 1 for each sample that is answered rightly, else 0; None if answers are not right or wrong."""
    labels = np.asarray(samples.labels)
    if not (target.has_classes and labels.ndim == 1 and target.metric.name == "accuracy"):
        return None
    right: NDArray[np.float64] = (target.answered(logits) == labels).astype(np.float64)
    return right
