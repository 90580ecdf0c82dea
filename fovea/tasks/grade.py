"""One of several classes in an order, as stages of a disease or sizes.

Outputs are (N, K - 1) float32 logits for K grades, labels (N,) int64 indices of grades, decoded rows (N, K)
probabilities.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fovea.errors import DataError, listed
from fovea.tasks import register
from fovea.tasks.classes import Classes
from fovea.tasks.task import Labels
from fovea.tasks.wording import PLAIN, Wording, Written, single


@register
@dataclass(frozen=True, kw_only=True)
class Grade(Classes):
    """One of several grades; the network says of each but the lowest whether the grade is at least that."""

    name: ClassVar[str] = "grade"
    noun: ClassVar[str] = "a grade"
    losses: ClassVar[tuple[str, ...]] = ("corn",)
    ordered: ClassVar[bool] = True

    @classmethod
    def encode(
        cls, texts: Mapping[str, Sequence[Written]], *, classes: Sequence[str] = (), wording: Wording = PLAIN
    ) -> tuple[dict[str, Labels], tuple[str, ...]]:
        """Return int64 indices (N,) of each part, and the grades, the lowest first.

        Their order is that of `wording`, or that of the numbers that they are.

        Raises:
            DataError: a text that is no grade of the order; names without an order.
        """
        given = {part: single(values) for part, values in texts.items()}
        names = _in_order(set(classes).union(*given.values()), wording)
        index = {name: position for position, name in enumerate(names)}
        return {part: np.array([index[text] for text in values], np.int64) for part, values in given.items()}, names

    @classmethod
    def directional(cls, classes: Sequence[str], *, channels: int) -> bool:
        """Return no: grades are not read."""
        return False


def _in_order(found: set[str], wording: Wording) -> tuple[str, ...]:
    """Return the grades, the lowest first: as `wording` has them, or by number."""
    if wording.order:
        if strangers := sorted(found - set(wording.order)):
            raise DataError(f"`--order {','.join(wording.order)}` lacks the grades {listed(strangers)}; name all.")
        return wording.order
    if wording.known and found <= set(wording.known):
        return wording.known
    numbers = {name: value for name in found if (value := _number(name)) is not None}
    if len(numbers) < len(found) and not wording.known:
        raise DataError(
            f"The grades {listed(sorted(found))} are no numbers; say their order, the lowest first: --order A,B,C."
        )
    if len(set(numbers.values())) < len(numbers):
        raise DataError(f"Of the grades {listed(sorted(found))} two are the same number; write each in one way.")
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
