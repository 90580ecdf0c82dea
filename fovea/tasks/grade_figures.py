"""What an evaluation finds of a network that knows grades."""

from dataclasses import dataclass
from typing import Any

from fovea.tasks.class_figures import ClassFigures
from fovea.tasks.figures import Tile
from fovea.texts import percent


@dataclass(frozen=True, kw_only=True)
class GradeFigures(ClassFigures):
    """Those of classes, and how far answers are off: neighbouring grades are one apart."""

    mae: float
    """Mean absolute error in grades."""
    mae_interval: tuple[float, float] | None
    """Where the true one lies with 95 % confidence (Student's t); None for one image."""
    kappa: float | None
    """Quadratic weighted kappa: 1 for perfect agreement, 0 for chance; None if truth and answers are one grade."""
    kappa_interval: tuple[float, float] | None
    """Where the true one lies with 95 % confidence (bootstrap over images)."""

    def lines(self, where: str) -> list[str]:
        """Return the error and the agreement, then what is said of classes."""
        interval = f", {self.interval_text.removesuffix(' grades')}" if self.mae_interval else ""
        return [
            f"mean absolute error {self.mae:.3f} grades{interval} ({where})",
            self._kappa_text(),
            *super().lines("exactly the grade"),
        ]

    def _kappa_text(self) -> str:
        if self.kappa is None or self.kappa_interval is None:
            return "quadratic weighted kappa undefined: all labels and predictions are the same grade"
        low, high = self.kappa_interval
        return f"quadratic weighted kappa {self.kappa:.3f}, 95 % interval {low:.3f} to {high:.3f}"

    def result(self, split: str, *, images: int, flip: bool) -> dict[str, Any]:
        """Return error and agreement with their intervals, and the accuracy."""
        kappa_interval = None if self.kappa_interval is None else list(self.kappa_interval)
        interval = None if self.mae_interval is None else list(self.mae_interval)
        scores: dict[str, Any] = {"mae": self.mae, "interval": interval}
        scores |= {"kappa": self.kappa, "kappa_interval": kappa_interval, "accuracy": self.accuracy}
        return {"split": split, **scores, "images": images, "flip": flip}

    @property
    def interval_text(self) -> str:
        """The interval of the mean absolute error."""
        if self.mae_interval is None:
            return "one image, so no interval"
        low, high = self.mae_interval
        return f"95 % interval {low:.3f} to {high:.3f} grades"

    @property
    def tiles(self) -> list[Tile]:
        """Error, agreement, then accuracy, likelihood and calibration."""
        kappa, _, interval = self._kappa_text().removeprefix("quadratic weighted kappa ").partition(", ")
        accuracy, *rest = super().tiles
        low, high = self.interval
        return [
            ("mean absolute error", f"{self.mae:.3f}", self.interval_text),
            ("quadratic weighted kappa", kappa if interval else "-", interval or kappa),
            (accuracy[0], accuracy[1], f"95 % interval {100 * low:.2f} to {percent(high, 2)}"),
            *rest,
        ]
