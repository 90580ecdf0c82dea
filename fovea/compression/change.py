"""One change of a network's structure, as a card holds it, and the list of the kinds there are.

A kind is a frozen dataclass under the decorator `kind` in a file of this folder, which `changes.py` imports.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self, TypeVar

from torch import nn

from fovea.errors import UsageError, shortened, unknown

KIND = "kind"
"""The key of the JSON object that names the kind."""


class Change(ABC):
    """What happened to the structure of a network: the same on every network of that architecture."""

    name: ClassVar[str]
    """Its kind, as in cards."""

    @classmethod
    @abstractmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the change that JSON holds, without its kind.

        Raises:
            UsageError: something is missing, unknown or of the wrong type.
        """

    @abstractmethod
    def values(self) -> dict[str, Any]:
        """Return JSON values, without the kind."""

    @abstractmethod
    def apply(self, model: nn.Module) -> None:
        """Change the structure of `model` in place, also on the device `meta`; what new tensors hold is open.

        No change makes a network that takes more memory than the file that asks for it may hold.

        Raises:
            UsageError: `model` has not the layers that the change names, or not of that kind.
        """

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values, the kind first."""
        return {KIND: self.name, **self.values()}


Kind = TypeVar("Kind", bound=type[Change])

KINDS: dict[str, type[Change]] = {}
"""All kinds of changes by name; `fovea.compression.changes` imports every file that has some."""


def kind(name: str) -> Callable[[Kind], Kind]:
    """Return a decorator that lists a kind of change."""

    def add(change: Kind) -> Kind:
        change.name = name
        KINDS[name] = change
        return change

    return add


def parsed(values: Mapping[str, Any]) -> Change:
    """Return the change that a JSON object holds.

    Raises:
        UsageError: its kind is unknown, or its values are wrong.
    """
    given = values.get(KIND)
    if not isinstance(given, str) or given not in KINDS:
        raise unknown("change", shortened(given), KINDS)
    return KINDS[given].from_dict({key: value for key, value in values.items() if key != KIND})


def replaced(model: nn.Module, name: str, layer: nn.Module) -> None:
    """Put `layer` in the place of the module `name`, in place."""
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, layer)


def layer_named(model: nn.Module, name: str) -> nn.Module:
    """Return the module `name` of a network.

    Raises:
        UsageError: it has none.
    """
    try:
        found = model.get_submodule(name) if name else None
    except AttributeError:
        found = None
    if found is None:
        raise UsageError(f"A change lists the layer `{shortened(name)}`, which the network does not have.")
    return found
