"""What an evaluation finds of a network that knows classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import numpy as np

from fovea.tasks.figures import ShareFigures, Tile
from fovea.texts import percent

SHOWN_CLASSES = 20
SHOWN_CONFUSIONS = 5


class Calibration(Protocol):
    """What figures of a network that says probabilities tell of them; shares from 0 to 1."""

    @property
    def ece(self) -> float:
        """Expected calibration error."""
        ...

    @property
    def temperature(self) -> float | None:
        """What outputs were divided by; None for 1."""
        ...

    @property
    def ece_unscaled(self) -> float | None:
        """The calibration error at temperature 1; None if that is the temperature."""
        ...

    @property
    def uncalibrated(self) -> str | None:
        """Why no temperature was fitted."""
        ...


def calibration_text(found: Calibration) -> str:
    """Return the calibration error as a person reads it."""
    remark = f"not calibrated: {found.uncalibrated}" if found.uncalibrated else ""
    if found.ece_unscaled is not None:
        remark = f"{percent(found.ece_unscaled, 2)} without temperature scaling"
    return f"calibration error {percent(found.ece, 2)}" + (f" ({remark})" if remark else "")


def calibration_remark(found: Calibration, *, sides: str = "confidence against accuracy") -> str:
    """Return what stands beside the calibration error at the head of a page; `sides` are what it is between."""
    return f"not calibrated: {found.uncalibrated}" if found.uncalibrated else sides


class ClassRow(NamedTuple):
    """The figures of one class, shares from 0 to 1."""

    name: str
    precision: float
    recall: float
    f1: float
    images: int


class Confusion(NamedTuple):
    """How often one class is taken for another."""

    images: int
    truth: str
    answer: str


@dataclass(frozen=True, kw_only=True)
class ClassFigures(ShareFigures):
    """Shares from 0 to 1."""

    told: ClassVar[tuple[str, ...]] = ("accuracy",)

    accuracy: float
    interval: tuple[float, float]
    """Where the true accuracy lies with 95 % confidence (Wilson)."""
    top5: float | None = None
    """The share of images whose class is among the five most probable; None for five classes and fewer."""
    nll: float
    """Negative log-likelihood in nats per image."""
    ece: float
    """Expected calibration error: how far confidence and accuracy lie apart."""
    temperature: float | None = None
    """What the logits were divided by; None if the model file has no temperature of its own."""
    ece_unscaled: float | None = None
    """The calibration error at temperature 1; None if that is the temperature."""
    uncalibrated: str | None = None
    """Why no temperature was fitted, where that is known."""
    per_class: Mapping[str, Mapping[str, float]]
    """`precision`, `recall`, `f1` and `support` (images) by class name."""
    confusion: Sequence[Sequence[int]]
    """Counts, the rows true and the columns predicted classes, in the order of `per_class`."""

    @property
    def rows(self) -> list[ClassRow]:
        """The classes that have images, the lowest recall first, of equal ones the lowest precision."""
        return sorted(self._seen, key=lambda row: (row.recall, row.precision))

    @property
    def _seen(self) -> list[ClassRow]:
        found = (ClassRow(name, *scores.values()) for name, scores in self.per_class.items())  # type: ignore[arg-type]
        return [row for row in found if row.images]

    def confusions(self, most: int) -> list[Confusion]:
        """Return the most frequent mistakes."""
        names, counts = list(self.per_class), np.array(self.confusion)
        np.fill_diagonal(counts, 0)
        often = np.argsort(-counts, axis=None, kind="stable")[:most]
        pairs = zip(*np.unravel_index(often, counts.shape), strict=True)
        found = (Confusion(int(counts[t, a]), names[int(t)], names[int(a)]) for t, a in pairs)
        return [confusion for confusion in found if confusion.images]

    def lines(self, where: str) -> list[str]:
        """Return the accuracy, the worst classes and the most frequent mistakes."""
        top5 = "" if self.top5 is None else f"top-5 {percent(self.top5, 2)}, "
        mistakes = self.confusions(SHOWN_CONFUSIONS)
        return [
            self.headline("accuracy", where),
            f"{top5}negative log-likelihood {self.nll:.4f}, {calibration_text(self)}",
            *self._worst_classes(),
            *(f"{found.images} x {found.truth} predicted as {found.answer}" for found in mistakes),
        ]

    def _worst_classes(self) -> list[str]:
        worst = sorted(self._seen, key=lambda row: row.recall)[:SHOWN_CLASSES]
        wide = max(len("lowest recall"), *(len(row.name) for row in worst))
        lines = [
            f"{row.name:{wide}}  {percent(row.recall):>7}  {percent(row.precision):>9}  {percent(row.f1):>7}"
            f"  {row.images:6}"
            for row in worst
        ]
        return ["", f"{'lowest recall':{wide}}   recall  precision       F1  images", *lines]

    @property
    def tiles(self) -> list[Tile]:
        """Accuracy, top-5 accuracy, likelihood and calibration."""
        top5 = percent(self.top5, 2) if self.top5 is not None else ""
        return [
            ("accuracy", percent(self.accuracy, 2), self.interval_text),
            *([("top-5 accuracy", top5, "the true class is among the five most probable")] if top5 else []),
            ("negative log-likelihood", f"{self.nll:.4f}", "nats per image"),
            ("calibration error", percent(self.ece, 2), calibration_remark(self)),
        ]
