"""What is explained: the evidence for one answer to each image, or the difference of two."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from torch import Tensor

if TYPE_CHECKING:
    from fovea.tasks.task import Task

Evidence = Callable[[Tensor, Tensor], Tensor]
"""Outputs (N, K) float and answers (N,) int64 -> (N,): the score of the answer of each row. Differentiable."""

Decision = Callable[[Tensor, Tensor], Tensor | None]
"""Outputs (N, K) float and answers (N,) int64 -> (N,) bool: whether each row decides for its answer; None if nothing
is decided, as of a number."""


def logits(outputs: Tensor, answers: Tensor) -> Tensor:
    """Return the logit of each answer: outputs (N, K) and answers (N,) int64 -> (N,)."""
    return outputs.gather(1, answers[:, None])[:, 0]


def probabilities(outputs: Tensor, answers: Tensor) -> Tensor:
    """Return the softmax probability of each answer: logits (N, K) float and answers (N,) int64 -> (N,), 0 to 1."""
    return logits(outputs.softmax(1), answers)


def largest(outputs: Tensor, answers: Tensor) -> Tensor:
    """Return whether each answer has the largest logit: outputs (N, K) and answers (N,) int64 -> (N,) bool."""
    return outputs.argmax(1) == answers if outputs.shape[1] > 1 else outputs[:, 0] > 0


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A scalar per image, made of the outputs of a network: `objective(outputs)` is (N,) for outputs (N, K)."""

    answers: Tensor
    """(N,) int64, the index of the answer to each image; (1,) holds for any number of rows."""
    against: Tensor | None = None
    """(N,) int64: the answers whose evidence is subtracted; None subtracts nothing."""
    evidence: Evidence = logits
    decision: Decision = largest

    @classmethod
    def of_task(cls, task: "Task", answers: Tensor, against: Tensor | None = None) -> Self:
        """Return what answers (N,) int64 to a task have for them, and whether they are given."""
        return cls(answers=answers, against=against, evidence=task.evidence, decision=task.decided)

    def __call__(self, outputs: Tensor) -> Tensor:
        """Return (N,) in the type of the outputs (N, K)."""
        value = self.evidence(outputs, self.answers.expand(len(outputs)))
        if self.against is None:
            return value
        return value - self.evidence(outputs, self.against.expand(len(outputs)))

    def decided(self, outputs: Tensor) -> Tensor | None:
        """Return whether each row of outputs (N, K) decides for its answer, (N,) bool; None if nothing is decided.

        Of two answers the first wins where the evidence for it is larger.
        """
        if self.against is not None:
            return self(outputs) > 0
        return self.decision(outputs, self.answers.expand(len(outputs)))

    def of(self, image: int) -> Self:
        """Return the objective of one image, for any number of outputs: those of its changed copies."""
        return self.rows(slice(image, image + 1))

    def rows(self, images: slice | list[int]) -> Self:
        """Return the objective of some of the images; an answer that holds for any number of rows stays."""

        def some(answers: Tensor) -> Tensor:
            return answers if len(answers) == 1 else answers[images]

        return replace(self, answers=some(self.answers), against=None if self.against is None else some(self.against))
