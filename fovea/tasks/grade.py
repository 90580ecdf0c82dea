"""One of several classes in an order, as stages of a disease or sizes.

Outputs are (N, K - 1) float32 logits for K grades, labels (N,) int64 indices of grades, decoded rows (N, K)
probabilities.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fovea import metrics
from fovea.errors import DataError, listed
from fovea.tasks import register
from fovea.tasks.classes import Classes
from fovea.tasks.figures import Measured, Mistake
from fovea.tasks.grade_figures import GradeFigures
from fovea.tasks.prediction import LabelScore, Prediction
from fovea.tasks.score import ACCURACY, CALIBRATION, NLL, Metric, stated_difference
from fovea.tasks.task import Criterion, Labels, Rows, Task
from fovea.tasks.wording import PLAIN, Wording, Written, single
from fovea.texts import composed

if TYPE_CHECKING:
    from torch import Tensor

ERROR = Metric("mae", "mean absolute error in grades", higher_is_better=False)


@register
@dataclass(frozen=True, kw_only=True)
class Grade(Classes):
    """One of several grades; the network says of each but the lowest whether the grade is at least that."""

    name: ClassVar[str] = "grade"
    noun: ClassVar[str] = "a grade"
    losses: ClassVar[tuple[str, ...]] = ("corn",)
    ordered: ClassVar[bool] = True
    metric: ClassVar[Metric] = ERROR
    followed: ClassVar[Metric] = ERROR
    smooths: ClassVar[bool] = False
    closed_form: ClassVar[str] = ""
    figure_names: ClassVar[tuple[str, ...]] = tuple(f.name for f in fields(GradeFigures))
    scores: ClassVar[tuple[Metric, ...]] = (
        ERROR,
        Metric("kappa", "quadratic weighted kappa"),
        ACCURACY,
        NLL,
        CALIBRATION,
    )
    card_format: ClassVar[int] = 2
    mistakes_note: ClassVar[str] = (
        "The predictions with the largest errors, in grades. Some of these labels may be wrong."
    )

    loss: str = "corn"

    @classmethod
    def encode(
        cls, texts: Mapping[str, Sequence[Written]], *, classes: Sequence[str] = (), wording: Wording = PLAIN
    ) -> tuple[dict[str, Labels], tuple[str, ...]]:
        """Return int64 indices (N,) of each part, and the grades, the lowest first.

        Their order is that of `wording`, or that of the numbers that they are.

        Raises:
            DataError: a text that is not a grade of the order; names without an order.
        """
        given = {part: single(values) for part, values in texts.items()}
        names = _in_order(set(classes).union(*given.values()), wording)
        index = {name: position for position, name in enumerate(names)}
        return {part: np.array([index[text] for text in values], np.int64) for part, values in given.items()}, names

    @classmethod
    def directional(cls, classes: Sequence[str], *, channels: int) -> bool:
        """Return no: grades are not read."""
        return False

    @classmethod
    def outputs_for(cls, loss: str, classes: int) -> int | None:
        """Return one output per grade but the lowest."""
        return classes - 1 if loss in cls.losses and classes > 1 else None

    @classmethod
    def result_text(cls, result: Mapping[str, Any]) -> str:
        """Return error and agreement with their intervals."""
        mirrored = ", averaged with mirrored copies" if result.get("flip") else ""
        interval = result["interval"] and ", 95 % interval {:.3f} to {:.3f}".format(*result["interval"])
        kappa = "" if result["kappa"] is None else f", quadratic weighted kappa {result['kappa']:.3f}"
        return (
            f"mean absolute error {result['mae']:.3f} grades{interval or ''}{kappa} "
            f"on {result['split']} ({result['images']:,} images{mirrored})"
        )

    @classmethod
    def difference_interval(cls, result: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[float, float] | None:
        """Return the interval over the images of both, unpaired."""
        return stated_difference(result, other, metric=cls.metric)

    @property
    def outputs(self) -> int:
        """One per grade but the lowest."""
        return len(self.names) - 1

    def columns_of(self, other: Task) -> list[int] | None:
        """Return the columns of another network that knows the same grades in the same order."""
        same = tuple(map(composed, self.names)) == tuple(map(composed, other.classes))
        return super().columns_of(other) if same else None

    def criterion(self, *, label_smoothing: float = 0.0, weights: "Tensor | None" = None) -> Criterion:
        """Return the loss of conditional ordinal regression; `weights` (K,) are those of the grades.

        CORN: Shi, Cao and Raschka 2021, arXiv:2111.08851, section 3. Output k says whether the grade is above k, given
        that it is above k - 1, and learns from the images above k - 1 alone.
        """
        import torch
        from torch.nn import functional as F

        def corn(logits: "Tensor", labels: "Tensor") -> "Tensor":
            steps = torch.arange(logits.shape[1], device=logits.device)
            asked, above = labels[:, None] >= steps, labels[:, None] > steps
            losses = F.binary_cross_entropy_with_logits(logits, above.to(logits.dtype), reduction="none") * asked
            if weights is not None:
                losses = losses * weights[labels][:, None]
            return losses.sum() / asked.sum()

        return corn

    def log_probabilities(self, outputs: "Tensor") -> "Tensor":
        """Return those (N, K) of outputs (N, K - 1) at temperature 1.

        P(y > k) is the product of the conditional probabilities up to k, the chain rule of the paper, so it falls from
        grade to grade whatever the outputs are.
        """
        import torch
        from torch.nn.functional import logsigmoid

        above = torch.cat([torch.zeros_like(outputs[:, :1]), logsigmoid(outputs).cumsum(1)], 1)
        stays = torch.cat([logsigmoid(-outputs), torch.zeros_like(outputs[:, :1])], 1)
        return above + stays

    def decoded(self, outputs: "Tensor") -> "Tensor":
        """Return (N, K) probabilities at the temperature, each row of sum 1."""
        return self.log_probabilities(outputs / self.temperature).exp()

    def decisions(self, rows: Rows) -> NDArray[Any]:
        """Return the grades (N, 1) that are answered for rows (N, K) of probabilities."""
        return medians(rows)[:, None]

    def margins(self, outputs: "Tensor") -> NDArray[np.float64]:
        """Return how far from 1/2 the nearest P(y > k) of outputs (N, K - 1) is, as log-odds, (N, 1) float64."""
        from torch.nn.functional import logsigmoid

        above = logsigmoid(outputs.double() / self.temperature).cumsum(1)
        odds = above - (-above.expm1()).clamp(min=1e-300).log()
        return self.temperature * odds.abs().amin(1, keepdim=True).numpy()

    def evidence(self, outputs: "Tensor", answers: "Tensor") -> "Tensor":
        """Return the logarithm of the probability (N,) of each grade."""
        return super().evidence(self.log_probabilities(outputs), answers)

    def answered(self, outputs: "Tensor") -> NDArray[np.int64]:
        """Return the grades (N,) that are answered."""
        return self.answers(outputs)

    def answers(self, outputs: "Tensor") -> NDArray[np.int64]:
        """Return the (N,) grades that are answered for outputs (N, K - 1): `medians`."""
        return medians(self.decode(outputs))

    def per_image(self, outputs: "Tensor", labels: "Tensor") -> "Tensor":
        """Return how many grades (N,) the answer is off."""
        above = outputs.sigmoid().cumprod(1) > 0.5
        return (above.sum(1) - labels).abs().float()

    def prediction(self, row: Rows) -> Prediction:
        """Return the grade that is answered, then the others, the most probable first."""
        answer = int(medians(row[None])[0])
        order = [answer, *(index for index in (-row).argsort(kind="stable").tolist() if index != answer)]
        return Prediction(scores=tuple(LabelScore(self.names[index], float(row[index])) for index in order))

    def best(self, row: Rows, count: int) -> Prediction:
        """Return the answer and the most probable of the others, `count` in all, of a row (K,)."""
        return self.top(self.prediction(row), count)

    def figures(self, outputs: "Tensor", labels: Labels) -> GradeFigures:
        """Return error and agreement with their intervals, and the figures of classes."""
        found = self.class_figures(outputs, labels)
        confusion = np.array(found["confusion"])
        kappa = float(metrics.weighted_kappa(confusion))
        errors = self.errors(outputs, labels)
        return GradeFigures(
            **{**found, "top5": None},
            mae=float(errors.mean()),
            mae_interval=metrics.error_interval(errors),
            kappa=None if np.isnan(kappa) else kappa,
            kappa_interval=None if np.isnan(kappa) else metrics.kappa_interval(confusion),
        )

    def errors(self, outputs: "Tensor", labels: Labels) -> NDArray[np.int64]:
        """Return how many grades (N,) answers are off."""
        errors: NDArray[np.int64] = np.abs(self.answers(outputs) - labels)
        return errors

    def measured(self, outputs: "Tensor", labels: Labels) -> Measured:
        """Return the mean absolute error in grades with its interval; of one image it has none."""
        errors = self.errors(outputs, labels)
        return Measured(float(errors.mean()), metrics.error_interval(errors))

    def mistakes(self, outputs: "Tensor", labels: Labels, *, most: int) -> list[Mistake]:
        """Return the answers that are most grades off, of equal ones the most confident."""
        rows, answers = self.decode(outputs), self.answers(outputs)
        images = np.arange(len(labels))
        order = np.lexsort((-rows[images, answers], -self.errors(outputs, labels)))[:most].tolist()
        return [
            Mistake(
                i, self.names[labels[i]], self.names[answers[i]], float(rows[i, answers[i]]), float(rows[i, labels[i]])
            )
            for i in order
            if answers[i] != labels[i]
        ]

    def facts(self, labels: Labels) -> list[tuple[str, str]]:
        """Return the order of the grades beside what is said of classes."""
        return [("order of the grades", " < ".join(self.names)), *super().facts(labels)]


def medians(rows: Rows) -> NDArray[np.int64]:
    """Return the (N,) highest grades that probabilities (N, K) say are reached with more than 1/2.

    They are the medians, whose expected absolute error is the least; the paper does the same.
    """
    above = 1 - rows.cumsum(axis=1)[:, :-1]
    grades: NDArray[np.int64] = (above > 0.5).sum(axis=1)
    return grades


def _in_order(found: set[str], wording: Wording) -> tuple[str, ...]:
    """Return the grades, the lowest first: as `wording` has them, or by number."""
    if wording.order:
        if strangers := sorted(found - set(wording.order)):
            raise DataError(
                f"`--order {','.join(wording.order)}` lacks the grades {listed(strangers)}; list all grades."
            )
        return wording.order
    if wording.known and found <= set(wording.known):
        return wording.known
    numbers = {name: value for name in found if (value := _number(name)) is not None}
    if len(numbers) < len(found) and not wording.known:
        raise DataError(
            f"The grades {listed(sorted(found))} are not numbers; give their order, lowest first: --order A,B,C."
        )
    if len(set(numbers.values())) < len(numbers):
        raise DataError(f"Two of the grades {listed(sorted(found))} are the same number; write each grade in one way.")
    if wording.known:  # the strangers are refused by who asks
        return (*wording.known, *sorted(found - set(wording.known)))
    return tuple(sorted(numbers, key=numbers.__getitem__))


def _number(text: str) -> float | None:
    """Return the finite number that a text is."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None
