"""How one unit's value comes about, written out: what it reads, by what each is multiplied, and what that makes.

Values are computed again in float64 from the tensors of the pass; the network's own value stands beside.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.explanation.units.reading import Index
from fovea.explanation.units.tape import Value

WRITTEN = 9
"""Terms that are written out."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Term:
    """One number that goes into a unit."""

    value: float
    weight: float | None
    """What it is multiplied by; None if it is not."""
    source: Value | None
    """The value of the pass that it is read from; None for padding."""
    index: Index = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Arithmetic:
    """The arithmetic of one unit."""

    title: str
    """The operation, as people know it."""
    formula: str
    """In symbols: `sum of x w + b`."""
    value: float
    """What comes out in float64."""
    network: float
    """The network's own value."""
    values: NDArray[np.float64]
    """(n,): the numbers that it reads."""
    weights: NDArray[np.float64] | None = None
    """(n,): what each is multiplied by."""
    sources: Sequence[Value | None] = ()
    """Which value of the pass each is read from: one for all, or n; None is padding."""
    places: NDArray[np.int64] | None = None
    """(n, dimensions): where in it; -1 in padding. None if the sources differ in their dimensions."""
    indices: Sequence[Index] = ()
    """The same where `places` is None."""
    constants: Mapping[str, float] = field(default_factory=dict)
    """What else goes in: a bias, a mean, a variance."""
    exact: bool = True
    """False if no rule writes this operation out: then `value` is the network's own."""

    def term(self, i: int) -> Term:
        """Return one of the numbers with all that is known of it."""
        source = self.sources[0] if len(self.sources) == 1 else self.sources[i]
        index = tuple(map(int, self.places[i])) if self.places is not None else tuple(self.indices[i])
        padding = min(index, default=0) < 0
        return Term(
            value=float(self.values[i]),
            weight=None if self.weights is None else float(self.weights[i]),
            source=None if padding else source,
            index=() if padding else index,
        )

    @property
    def largest(self) -> list[Term]:
        """The terms that are written out: those of the largest products, in their order."""
        size = np.abs(self.values if self.weights is None else self.values * self.weights)
        chosen = np.sort(np.argsort(-size, kind="stable")[:WRITTEN])
        return [self.term(int(i)) for i in chosen]

    def lines(self) -> list[str]:
        """Return it as people write it, line by line."""
        terms = [
            number(term.value) if term.weight is None else f"{number(term.value)} x {number(term.weight)}"
            for term in self.largest
        ]
        more = len(self.values) - len(terms)
        constants = [f"{name} = {number(value)}" for name, value in self.constants.items()]
        return [
            self.formula,
            ", ".join(terms) + (f" and {more:,} more" if more > 0 else ""),
            *([", ".join(constants)] if constants else []),
            f"= {number(self.value)}" if self.exact else f"the network computes {number(self.network)}",
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values, the largest terms alone."""
        return {
            "title": self.title,
            "formula": self.formula,
            "value": self.value,
            "network": self.network,
            "count": len(self.values),
            "terms": [
                {"value": t.value, "weight": t.weight, "source": t.source, "index": list(t.index)} for t in self.largest
            ],
            "constants": dict(self.constants),
            "exact": self.exact,
        }


def number(value: float) -> str:
    """Return a number in as few characters as say it to four digits.

    >>> number(0.123456), number(-3.0), number(1234567.0)
    ('0.1235', '-3', '1.235e+06')
    """
    return f"{value:.4g}"
