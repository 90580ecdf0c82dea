"""What all targets share whose labels have names: one class of several, a grade, several labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from fovea.errors import DataError, listed
from fovea.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Named(Task):
    """A target with names, which a data set brings and a card keeps."""

    has_classes: ClassVar[bool] = True

    names: tuple[str, ...]
    """In index order."""

    @classmethod
    def fault(cls, card: Mapping[str, Any]) -> str:
        """Return that names are not distinct."""
        return "" if distinct(card["classes"]) == len(card["classes"]) else "`classes` must be distinct names."

    @property
    def classes(self) -> tuple[str, ...]:
        """The names in index order."""
        return self.names

    @cached_property
    def index(self) -> Mapping[str, int]:
        """The index of each name."""
        return {name: index for index, name in enumerate(self.names)}

    def columns_of(self, other: Task) -> list[int] | None:
        """Return where another network of the kind that knows the same names has each of ours."""
        if not isinstance(other, Named) or type(other) is not type(self) or sorted(self.names) != sorted(other.names):
            return None
        return [other.names.index(name) for name in self.names]

    def check_known(self, classes: Sequence[str], *, data: str) -> None:
        """Raise DataError for names that are not known here."""
        if strangers := [name for name in classes if name not in self.index]:
            raise DataError(
                f"`{data}` has classes that the model does not know: {listed(strangers, most=20)}. "
                f"It knows {listed(self.names, most=20)}; rename or leave out the others."
            )


def distinct(names: Sequence[object]) -> int:
    """Return how many different texts there are among `names`."""
    return len({name for name in names if isinstance(name, str)})
