"""How far a training has come, and what an epoch came to."""

import math
from dataclasses import dataclass
from typing import Any

from fovea.tasks.score import ACCURACY, Metric, Score


@dataclass
class Clock:
    """How far a training has come; all that a checkpoint needs beside tensors."""

    epoch: int = 0
    step: int = 0
    """Steps done in this epoch."""
    total_steps: int = 0
    elapsed_s: float = 0.0
    """Seconds of training and validation, over all sessions of the run."""
    loss_sum: float = 0.0
    """Sum of this epoch's step losses."""
    correct: float = 0
    seen: int = 0
    """Images of this epoch, and the sum over them of the score that is followed: of classes, how many were right."""
    flop: float = 0.0
    """Operations of all steps, as `fovea.training.arithmetic` counts them."""
    first_loss: float = math.nan
    validated_s: float = 0.0
    """`elapsed_s` at the end of the last validation."""
    validation_cost_s: float = 0.0
    best_epoch: int = -1
    best: Score | None = None
    changed_at: int = 0
    """Steps done at the last change of the batch; 0 for none. Of the next three each is as it was then."""
    images_before: int = 0
    """Images trained on."""
    progress_before: float = 0.0
    steps_planned: int = 0
    """Steps that were left to do, with the new batch; 0 where a time is left, or nothing changed."""


@dataclass(frozen=True)
class EpochResult:
    """One line of the metrics."""

    epoch: int
    loss: float
    value: float | None
    """Mean loss and score over the augmented images of the epoch, as they were trained on; None for no score."""
    lr: float
    images: int
    elapsed_s: float
    val: Score | None
    improved: bool
    metric: Metric = ACCURACY
    """The score that is followed."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values, the score under the metric's name."""
        values = {"epoch": self.epoch, "loss": self.loss, self.metric.name: self.value, "lr": self.lr}
        val = self.val and self.val.to_dict()
        return {**values, "images": self.images, "elapsed_s": self.elapsed_s, "val": val, "improved": self.improved}
