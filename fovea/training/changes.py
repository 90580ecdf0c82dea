"""What may be changed in a training while it runs, and when it was."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fovea.errors import UsageError, unknown
from fovea.fields import Fields
from fovea.training.recipe import Recipe

CHANGEABLE = ("lr", "momentum", "batch", "weight_decay")
"""Fields of a recipe that mean the same at any step."""
MOST_CHANGES = 10_000
"""Of one training."""


@dataclass(frozen=True)
class Change:
    """New values of some fields of the recipe, from a step on."""

    step: int
    """How many steps were done before; the next is the first by the new values."""
    values: Mapping[str, float]
    """By field, those of `CHANGEABLE`."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for TOML and JSON."""
        return {"step": self.step, **self.values}

    @classmethod
    def from_fields(cls, table: Fields) -> "Change":
        """Return the change that `to_dict` wrote; the values are checked by `changed`."""
        table.only(("step", *CHANGEABLE))
        values = {
            name: table.whole(name, least=1) if name == "batch" else table.number(name, least=0)
            for name in CHANGEABLE
            if name in table.values
        }
        return cls(step=table.whole("step"), values=values)


def changed(recipe: Recipe, values: Mapping[str, float]) -> Recipe:
    """Return the recipe with new `values` of fields that may change while it runs.

    Raises:
        UsageError: a field that may not, does nothing in this recipe, or cannot have this value.
    """
    for name in values:
        if name not in CHANGEABLE:
            raise unknown("field to change while it runs", name, CHANGEABLE)
    if recipe.optimiser == "muon" and values.get("weight_decay", recipe.weight_decay) != recipe.weight_decay:
        raise UsageError("`weight_decay` does nothing under `muon`; leave it as it is.")
    return recipe.replace(**values)


def with_change(changes: Iterable[Change], new: Change) -> list[Change]:
    """Return the changes so far with a new one; what an abandoned training changed at later steps is forgotten.

    Of two at the same step the values of both count, the later before the earlier.
    """
    kept = [change for change in changes if change.step < new.step]
    same = [change for change in changes if change.step == new.step]
    values: dict[str, float] = {}
    for change in (*same, new):
        values |= change.values
    return [*kept, Change(new.step, values)]
