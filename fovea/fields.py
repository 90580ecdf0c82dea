"""What a file says, checked as it is read: the first value that is missing or wrong is named by its place."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

LARGEST = 1e100
"""No genuine number is that large, and twice as much is still finite."""
LONGEST = 40
"""Characters of a wrong value that are shown."""


def is_number(value: object) -> TypeGuard[float]:
    """Tell whether a value is a number that can be computed with: no NaN, nothing infinite, no switch.

    >>> is_number(1.5), is_number(float("nan")), is_number(True)
    (True, False, False)
    """
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST


def is_whole(value: object) -> TypeGuard[int]:
    """Tell whether a value is a whole number that can be computed with."""
    return isinstance(value, int) and is_number(value)


@dataclass(frozen=True)
class Fields:
    """A table of a file. Each method returns a field of its kind; without a `default` it must be there."""

    values: Mapping[str, Any]
    fault: Callable[[str], Exception]
    """Makes the error of a sentence that says what is wrong."""
    place: str = ""
    """Where in the file the table stands, as `data.source.`."""

    def table(self, name: str, *, default: Mapping[str, Any] | None = None) -> "Fields":
        """Return a table within this one."""
        values = self._of(name, dict, "must be a table", default=default)
        return Fields(values, self.fault, f"{self.place}{name}.")

    def text(self, name: str, *, default: Any = None) -> Any:
        """Return text."""
        return self._of(name, str, "must be a string", default=default)

    def switch(self, name: str, *, default: bool | None = None) -> bool:
        """Return true or false."""
        found: bool = self._of(name, bool, "must be true or false", default=default)
        return found

    def texts(self, name: str, *, default: Sequence[str] | None = None) -> tuple[str, ...]:
        """Return a list of texts."""
        found = self._of(name, list | tuple, "must be a list of strings", default=default)
        self._require(name, all(isinstance(item, str) for item in found), "must be a list of strings")
        return tuple(found)

    def number(self, name: str, *, least: float = -LARGEST, most: float = LARGEST) -> float:
        """Return a finite number within bounds."""
        found = self._of(name, object, "", default=None)
        self._require(name, is_number(found) and least <= found <= most, f"must be a number{_bounds(least, most)}")
        return float(found)

    def whole(self, name: str, *, least: int = 0, most: float = LARGEST) -> int:
        """Return a whole number within bounds."""
        found: int = self._of(name, object, "", default=None)
        self._require(name, is_whole(found) and least <= found <= most, f"must be a whole number{_bounds(least, most)}")
        return found

    def interval(self, name: str) -> tuple[float, float]:
        """Return the two ends of an interval, finite numbers."""
        ends = self._of(name, list | tuple, "must be two numbers", default=None)
        self._require(name, len(ends) == 2 and all(map(is_number, ends)), "must be two numbers")
        return float(ends[0]), float(ends[1])

    def only(self, known: Collection[str]) -> None:
        """Raise where there is a field that is none of these."""
        if further := [name for name in self.values if name not in known]:
            raise self.fault(f"`{self.place}{further[0][:LONGEST]}` is not a known field")

    def _of(self, name: str, kind: Any, rule: str, *, default: Any) -> Any:
        if name not in self.values and default is None:
            raise self.fault(f"`{self.place}{name}` is missing")
        found = self.values.get(name, default)
        self._require(name, isinstance(found, kind), rule)
        return found

    def _require(self, name: str, holds: bool, rule: str) -> None:
        if not holds:
            shown = repr(self.values.get(name))
            shown = shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}..."
            raise self.fault(f"`{self.place}{name}` (={shown}) {rule}")


def _bounds(least: float, most: float) -> str:
    if most < LARGEST:
        return f" from {least:g} to {most:g}"
    return f" of {least:g} or more" if least > -LARGEST else ""
