"""What an evaluation finds of a network that says several labels of an image."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from fovea.tasks.class_figures import calibration_remark, calibration_text
from fovea.tasks.figures import Figures, Tile
from fovea.texts import percent

SHOWN_LABELS = 20


class LabelRow(NamedTuple):
    """The figures of one label over the images of which it is known; shares from 0 to 1."""

    name: str
    ap: float | None
    """Average precision; None if no image has the label."""
    precision: float
    recall: float
    f1: float
    ece: float
    """Expected calibration error."""
    threshold: float
    """The probability above which the label is answered."""
    support: int
    """Images that have it."""
    known: int


@dataclass(frozen=True, kw_only=True)
class LabelFigures(Figures):
    """Shares from 0 to 1; labels that are not known count nowhere."""

    map: float | None
    """Mean over the labels of the average precision; like `f1_macro` over those that an image has, None without any."""
    interval: tuple[float, float] | None
    """Where the true one lies with 95 % confidence (bootstrap over images)."""
    f1_micro: float
    """F1 of all labels together."""
    f1_macro: float | None
    """Mean over the labels of their F1."""
    nll: float
    """Negative log-likelihood in nats per label."""
    ece: float
    """Expected calibration error of all labels together: how far probability and frequency lie apart."""
    temperature: float | None = None
    """What outputs were divided by; None if the model file has no temperature of its own."""
    ece_unscaled: float | None = None
    """The calibration error at temperature 1; None if that is the temperature."""
    uncalibrated: str | None = None
    """Why no temperature was fitted and no threshold chosen, where that is known."""
    per_label: Mapping[str, Mapping[str, float | None]]
    """The fields of `LabelRow` by name."""

    @property
    def rows(self) -> list[LabelRow]:
        """The labels that images have, the lowest average precision first."""
        found = (LabelRow(name, **values) for name, values in self.per_label.items())  # type: ignore[arg-type]
        return sorted((row for row in found if row.support), key=lambda row: (row.ap or 0.0, row.f1))

    def lines(self, where: str) -> list[str]:
        """Return the scores over all labels and those of the worst."""
        macro = "" if self.f1_macro is None else f", macro {percent(self.f1_macro, 2)}"
        return [
            f"{result_text(self.map, self.interval)} ({where})",
            (
                f"F1 micro {percent(self.f1_micro, 2)}{macro}, negative log-likelihood {self.nll:.4f}, "
                f"{calibration_text(self)}"
            ),
            *self._worst_labels(),
        ]

    def _worst_labels(self) -> list[str]:
        worst = self.rows[:SHOWN_LABELS]
        wide = max(len("lowest AP"), *(len(row.name) for row in worst), 0)
        lines = [
            f"{row.name:{wide}}  {percent(row.ap or 0.0):>7}  {percent(row.recall):>7}  {percent(row.precision):>9}"
            f"  {percent(row.f1):>7}  {row.threshold:9.2f}  {percent(row.ece):>11}  {row.support:6}"
            for row in worst
        ]
        head = f"{'lowest AP':{wide}}       AP   recall  precision       F1  threshold  calibration  images"
        return ["", head, *lines] if worst else []

    def result(self, split: str, *, images: int, flip: bool) -> dict[str, Any]:
        """Return the scores over all labels."""
        interval = None if self.interval is None else list(self.interval)
        scores = {"map": self.map, "interval": interval, "f1_micro": self.f1_micro, "f1_macro": self.f1_macro}
        return {"split": split, **scores, "images": images, "flip": flip}

    @property
    def interval_text(self) -> str:
        """The interval of the mean average precision."""
        if self.map is None:
            return "no image has any of the labels"
        if self.interval is None:
            return "one image, so no interval"
        low, high = self.interval
        return f"95 % interval {100 * low:.2f} to {percent(high, 2)}"

    @property
    def tiles(self) -> list[Tile]:
        """Mean average precision, F1 and calibration."""
        macro = "" if self.f1_macro is None else f"macro {percent(self.f1_macro, 2)}"
        remark = calibration_remark(self, sides="probability against frequency")
        return [
            ("mean average precision", "-" if self.map is None else percent(self.map, 2), self.interval_text),
            ("F1 over all labels", percent(self.f1_micro, 2), macro),
            ("negative log-likelihood", f"{self.nll:.4f}", "nats per label"),
            ("calibration error", percent(self.ece, 2), remark),
        ]


def result_text(value: float | None, interval: tuple[float, float] | list[float] | None) -> str:
    """Return a mean average precision with its interval as a person reads it."""
    if value is None:
        return "mean average precision undefined: no image has any of the labels"
    within = "" if interval is None else f", 95 % interval {100 * interval[0]:.2f} to {percent(interval[1], 2)}"
    return f"mean average precision {percent(value, 2)}{within}"
