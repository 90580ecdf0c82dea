"""One number per image, in any unit.

Outputs are (N, 1) float32, labels (N,) float32, decoded rows (N, 1) float64 in the unit of the labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fovea import metrics
from fovea.errors import DataError, shortened
from fovea.fields import is_number
from fovea.tasks import check_loss, register
from fovea.tasks.figures import Figures, Measured, Mistake, Tile
from fovea.tasks.prediction import Prediction
from fovea.tasks.score import Metric
from fovea.tasks.task import Criterion, Labels, Rows, Task
from fovea.tasks.wording import PLAIN, Wording, Written, single

if TYPE_CHECKING:
    from torch import Tensor


LARGEST = float(np.finfo(np.float32).max)

LARGE = 1e12
"""Sums of squares of more than so much may be beyond float32."""


@dataclass(frozen=True, kw_only=True)
class NumberFigures(Figures):
    """How far predicted numbers are from the true ones, in the unit of the labels (`r2` has none)."""

    mae: float
    """Mean absolute error."""
    rmse: float
    """Square root of the mean squared error."""
    r2: float | None
    """1 - squared error / squared deviation from the mean; None for one image."""

    def lines(self, where: str) -> list[str]:
        """Return the errors in one line."""
        r2 = "" if self.r2 is None else f", R2 {self.r2:.4f}"
        return [f"mean absolute error {self.mae:.4g}, root mean squared error {self.rmse:.4g}{r2} ({where})"]

    def result(self, split: str, *, images: int, flip: bool) -> dict[str, Any]:
        """Return the errors."""
        return {"split": split, "images": images, **asdict(self)}

    @property
    def tiles(self) -> list[Tile]:
        """The errors."""
        r2 = [] if self.r2 is None else [("R²", f"{self.r2:.4f}", "1 is perfect, 0 is as good as predicting the mean")]
        return [
            ("mean absolute error", f"{self.mae:.4g}", "in the unit of the labels"),
            ("root mean squared error", f"{self.rmse:.4g}", "in the unit of the labels"),
            *r2,
        ]


@register
@dataclass(frozen=True, kw_only=True)
class Number(Task):
    """A number, which the network gives out standardised by the training labels' mean and deviation."""

    name: ClassVar[str] = "number"
    noun: ClassVar[str] = "a number"
    losses: ClassVar[tuple[str, ...]] = ("mse",)
    metric: ClassVar[Metric] = Metric("mae", "mean absolute error", higher_is_better=False)
    row_name: ClassVar[str] = "numbers"
    closed_form: ClassVar[str] = "regression"
    sections: ClassVar[tuple[str, ...]] = ("scatter", "mistakes")
    measures: ClassVar[bool] = True
    scores: ClassVar[tuple[Metric, ...]] = (
        Metric("mae", "mean absolute error", higher_is_better=False),
        Metric("rmse", "root mean squared error", higher_is_better=False),
        Metric("r2", "R2"),
    )
    card_format: ClassVar[int] = 1
    figure_names: ClassVar[tuple[str, ...]] = tuple(f.name for f in fields(NumberFigures))
    mistakes_note: ClassVar[str] = "The images with the largest errors."

    loss: str = "mse"
    mean: float = 0.0
    """Of the training labels, in their unit."""
    std: float = 1.0
    """Their standard deviation, in their unit; above 0."""

    @classmethod
    def encode(
        cls, texts: Mapping[str, Sequence[Written]], *, classes: Sequence[str] = (), wording: Wording = PLAIN
    ) -> tuple[dict[str, Labels], tuple[str, ...]]:
        """Return float32 numbers (N,) of each part, and no classes."""
        numbers = {
            part: np.array([number_of(text, task=cls.name) for text in single(values)], np.float32)
            for part, values in texts.items()
        }
        return numbers, ()

    @classmethod
    def check_written(cls, text: Written, wording: Wording) -> None:
        """Raise DataError for what is no number."""
        number_of(*single([text]), task=cls.name)

    @classmethod
    def fitted(cls, labels: Labels, *, classes: Sequence[str], loss: str, data: str) -> "Number":
        """Return the task with mean and deviation of the labels; 1 stands for a deviation of 0."""
        check_loss(loss, cls.name)
        values = _bearing_squares(labels)
        return cls(loss=loss, mean=float(values.mean()), std=float(values.std()) or 1.0)

    @classmethod
    def fault(cls, card: Mapping[str, Any]) -> str:
        """Return that mean and deviation are missing."""
        target = card.get("target")
        if isinstance(target, dict) and all(is_number(target.get(key)) for key in ("mean", "std")):
            return ""
        return "`target` must hold the `mean` and `std` of the numbers to predict."

    @classmethod
    def outputs_for(cls, loss: str, classes: int) -> int | None:
        """Return a single output."""
        return 1 if loss in cls.losses and not classes else None

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> "Number":
        """Return the task of a checked card."""
        return cls(loss=card["loss"], mean=float(card["target"]["mean"]), std=float(card["target"]["std"]))

    @classmethod
    def result_text(cls, result: Mapping[str, Any]) -> str:
        """Return the mean absolute error."""
        return f"mean absolute error {result['mae']:.4g} on {result['split']} ({result['images']:,} images)"

    @property
    def outputs(self) -> int:
        """One."""
        return 1

    def card_fields(self) -> dict[str, Any]:
        """Return mean and deviation."""
        return {**super().card_fields(), "target": {"mean": self.mean, "std": self.std}}

    def to_network(self, labels: Labels) -> Labels:
        """Return (label - mean) / std, float32 (N,)."""
        scaled: Labels = ((_bearing_squares(labels) - self.mean) / self.std).astype(np.float32)
        return scaled

    def criterion(self, *, label_smoothing: float = 0.0, weights: "Tensor | None" = None) -> Criterion:
        """Return the mean squared error."""
        from torch.nn import functional as F

        return lambda outputs, numbers: F.mse_loss(outputs.squeeze(1), numbers)

    def decoded(self, outputs: "Tensor") -> "Tensor":
        """Return (N, 1) numbers in the unit of the labels."""
        return outputs * self.std + self.mean

    def prediction(self, row: Rows) -> Prediction:
        """Return the number."""
        return Prediction(value=float(row[0]))

    def figures(self, outputs: "Tensor", labels: Labels) -> NumberFigures:
        """Return the errors of the numbers."""
        return NumberFigures(**metrics.number_scores(self.decode(outputs)[:, 0], labels)._asdict())

    def measured(self, outputs: "Tensor", labels: Labels) -> Measured:
        """Return the mean absolute error, in the unit of the labels, with its interval; of one image it has none."""
        errors = np.abs(self.decode(outputs)[:, 0] - labels)
        return Measured(float(errors.mean()), metrics.error_interval(errors))

    def mistakes(self, outputs: "Tensor", labels: Labels, *, most: int) -> list[Mistake]:
        """Return the numbers that are furthest off."""
        values = self.decode(outputs)[:, 0]
        order = np.argsort(-np.abs(values - labels), kind="stable")[:most].tolist()
        return [Mistake(i, f"{labels[i]:.4g}", f"{values[i]:.4g}") for i in order]

    def probe_targets(self, labels: "Tensor") -> "Tensor":
        """Return the numbers as a column (N, 1)."""
        return labels[:, None]


def number_of(text: str, *, task: str) -> float:
    """Return the number that a label's text stands for.

    Raises:
        DataError: it is none, not finite, or beyond float32.
    """
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise DataError(
            f"Label `{shortened(text)}` is not a number, which `--task {task}` requires; correct it, or use "
            "`--task classes`."
        )
    if abs(value) > LARGEST:
        raise DataError(f"Label `{shortened(text)}` is outside the supported range, up to 3.4e38; use a larger unit.")
    return value


def _bearing_squares(labels: Labels) -> Labels:
    """Return numbers (N,) as float32, or as float64 where their squares would be beyond that."""
    return labels.astype(np.float64) if len(labels) and np.abs(labels).max() > LARGE else labels
