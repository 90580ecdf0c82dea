"""What is explained: the evidence for one answer to each image, or the difference of two."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from torch import Tensor

Evidence = Callable[[Tensor, Tensor], Tensor]
"""Outputs (N, K) float and answers (N,) int64 -> (N,): how much each row speaks for its answer. Differentiable."""


def logits(outputs: Tensor, answers: Tensor) -> Tensor:
    """Return the logit of each answer: outputs (N, K) and answers (N,) int64 -> (N,)."""
    return outputs.gather(1, answers[:, None])[:, 0]


def probabilities(outputs: Tensor, answers: Tensor) -> Tensor:
    """Return the softmax probability of each answer: logits (N, K) float and answers (N,) int64 -> (N,), 0 to 1."""
    return logits(outputs.softmax(1), answers)


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A scalar per image, made of the outputs of a network: `objective(outputs)` is (N,) for outputs (N, K)."""

    answers: Tensor
    """(N,) int64, the index of the answer to each image; (1,) holds for any number of rows."""
    against: Tensor | None = None
    """(N,) int64: the answers whose evidence is subtracted; None subtracts nothing."""
    evidence: Evidence = logits

    def __call__(self, outputs: Tensor) -> Tensor:
        """Return (N,) in the type of the outputs (N, K)."""
        value = self.evidence(outputs, self.answers.expand(len(outputs)))
        if self.against is None:
            return value
        return value - self.evidence(outputs, self.against.expand(len(outputs)))

    def of(self, image: int) -> Self:
        """Return the objective of one image, for any number of outputs: those of its changed copies."""

        def row(answers: Tensor) -> Tensor:
            return answers if len(answers) == 1 else answers[image : image + 1]

        return replace(self, answers=row(self.answers), against=None if self.against is None else row(self.against))
