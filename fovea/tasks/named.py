"""What all targets share whose labels have names, and of which a network says probabilities.

They are one class of several, a grade, and several labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

from fovea.errors import DataError, listed
from fovea.tasks.task import Labels, Task
from fovea.texts import composed

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Named(Task):
    """A target with names, which a data set brings and a card keeps."""

    has_classes: ClassVar[bool] = True
    measures: ClassVar[bool] = True
    calibrates: ClassVar[bool] = True

    names: tuple[str, ...]
    """In index order."""
    temperature: float = 1.0
    """What outputs are divided by before they become probabilities."""
    calibration: Mapping[str, Any] = field(default_factory=dict)
    """Where the temperature was fitted and what it changed there, as JSON values; empty if it was not."""
    uncalibrated: str = ""
    """Why it was not, where that is known."""

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> Self:
        """Return the task of a checked card."""
        return cls(
            names=tuple(card["classes"]),
            loss=card["loss"],
            temperature=float(card["temperature"]),
            calibration=card.get("calibration") or {},
            uncalibrated=str(card.get("uncalibrated", "")),
            **cls.own_fields(card),
        )

    @classmethod
    def own_fields(cls, card: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the kind alone reads of a checked card, by the names of its fields."""
        return {}

    @classmethod
    def fault(cls, card: Mapping[str, Any]) -> str:
        """Return that names are not distinct."""
        return "" if distinct(card["classes"]) == len(card["classes"]) else "`classes` must be distinct names."

    def card_fields(self) -> dict[str, Any]:
        """Return names, temperature, and where it was fitted or why not."""
        return {
            "classes": list(self.names),
            "temperature": self.temperature,
            **({"calibration": dict(self.calibration)} if self.calibration else {}),
            **({"uncalibrated": self.uncalibrated} if self.uncalibrated else {}),
        }

    def at_temperature(self, temperature: float) -> Self:
        """Return the task with another temperature, whose origin is not known."""
        return replace(self, temperature=temperature, calibration={}, uncalibrated="")

    def uncalibrated_for(self, reason: str) -> Self:
        """Return the task that says why its probabilities are not calibrated."""
        return replace(self, uncalibrated=reason)

    def fitted_to(self, temperature: float, outputs: "Tensor", labels: Labels) -> Self:
        """Return the task with a temperature that was fitted to outputs (N, K) float32 of the validation split."""
        plain, found = self.at_temperature(1.0), self.at_temperature(temperature)
        before, after = (task.reliability(outputs, labels).error for task in (plain, found))
        facts = {"split": "val", "images": len(labels), "temperature": temperature}
        return replace(found, calibration={**facts, "ece_before": before, "ece_after": after})

    @property
    def classes(self) -> tuple[str, ...]:
        """The names in index order."""
        return self.names

    @cached_property
    def index(self) -> Mapping[str, int]:
        """The index of each name, in the form in which names are compared, and as it stands on the card."""
        return by_name(self.names)

    def columns_of(self, other: Task) -> list[int] | None:
        """Return where another network of the kind that knows the same names has each of ours."""
        if not isinstance(other, Named) or type(other) is not type(self):
            return None
        own, others = (list(map(composed, names)) for names in (self.names, other.names))
        return [others.index(name) for name in own] if sorted(own) == sorted(others) else None

    def check_known(self, classes: Sequence[str], *, data: str) -> None:
        """Raise DataError for names that are not known here."""
        if strangers := [name for name in classes if name not in self.index]:
            folded = {name.casefold(): name for name in self.names}
            near = next(((name, folded[name.casefold()]) for name in strangers if name.casefold() in folded), None)
            hint = f" `{near[0]}` differs from `{near[1]}` only in case." if near else ""
            raise DataError(
                f"`{data}` has classes that the model does not have: {listed(strangers, most=20)}. Its classes are "
                f"{listed(self.names, most=20)}; rename or remove the others.{hint}"
            )


def by_name(names: Sequence[str]) -> dict[str, int]:
    """Return the index of each name, in the form in which names are compared, and as it is written."""
    compared = {composed(name): index for index, name in enumerate(names)}
    return compared | {name: index for index, name in enumerate(names)}


def distinct(names: Sequence[object]) -> int:
    """Return how many different texts there are among `names`."""
    return len({name for name in names if isinstance(name, str)})
