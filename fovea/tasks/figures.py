"""What an evaluation finds: the figures of a kind of target, its score with an interval, and mistakes."""

from abc import ABC, abstractmethod
from dataclasses import asdict
from typing import Any, ClassVar, NamedTuple

from fovea.texts import percent

Tile = tuple[str, str, str]
"""A figure at the head of a page: its name, its value, and a remark."""


class Mistake(NamedTuple):
    """An image that the network is wrong about, with probabilities where there are any."""

    image: int
    """Its index."""
    truth: str
    answer: str
    answer_probability: float | None = None
    truth_probability: float | None = None


class Measured(NamedTuple):
    """The score of some images, and where the true one lies with 95 % confidence; None if there is none."""

    value: float | None
    interval: tuple[float, float] | None


class Figures(ABC):
    """What an evaluation found, one frozen dataclass per kind of target; the fields are JSON values or arrays of them.

    Fields that are None do not apply.
    """

    def to_dict(self) -> dict[str, Any]:
        """Return the figures that apply, by name, as JSON values."""
        return {name: value for name, value in asdict(self).items() if value is not None}  # type: ignore[call-overload]

    @abstractmethod
    def lines(self, where: str) -> list[str]:
        """Return the lines for the terminal; `where` names the split, its data set and the views."""

    @abstractmethod
    def result(self, split: str, *, images: int, flip: bool) -> dict[str, Any]:
        """Return what a card says of the network on the part `split`, as JSON values."""

    @property
    @abstractmethod
    def tiles(self) -> list[Tile]:
        """The figures at the head of a page, the most important first."""

    @property
    def interval_text(self) -> str:
        """The interval of the most important figure as a person reads it; empty if there is none."""
        return ""


class ShareFigures(Figures):
    """Figures whose most important one is a share from 0 to 1 that has an interval."""

    interval: tuple[float, float]
    """Where it lies with 95 % confidence."""
    told: ClassVar[tuple[str, ...]]
    """The names of the figures that a card keeps, the most important first."""

    def result(self, split: str, *, images: int, flip: bool) -> dict[str, Any]:
        """Return the figures that a card keeps, the first with its interval."""
        first, *others = self.told
        found = {"split": split, first: getattr(self, first), "interval": list(self.interval)}
        return {**found, **{name: getattr(self, name) for name in others}, "images": images, "flip": flip}

    def headline(self, title: str, where: str) -> str:
        """Return the most important figure as a person reads it, with its interval."""
        low, high = self.interval
        return (
            f"{title} {percent(getattr(self, self.told[0]), 2)}, 95 % interval {100 * low:.2f} to "
            f"{percent(high, 2)} ({where})"
        )

    @property
    def interval_text(self) -> str:
        """The interval of the most important figure."""
        low, high = self.interval
        return f"95 % interval {100 * low:.2f} to {percent(high, 2)}"
