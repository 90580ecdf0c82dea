"""What a network can see: a registry of kinds of input. Adding one is a file here, a test file and a page."""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from fovea.errors import UsageError

if TYPE_CHECKING:
    from fovea.inputs.interface import InputKind, Preprocessing

_KINDS: "dict[str, InputKind]" = {}
_OWN = ("images", "series", "spectrograms", "clips")
"""The modules of this package that define a kind."""


def register(kind: "InputKind") -> "InputKind":
    """Make a kind of input known under its name, and return it."""
    _KINDS[kind.name] = kind
    return kind


def unregister(name: str) -> None:
    """Forget a kind of input; for tests that define one."""
    del _KINDS[name]


def kinds() -> "dict[str, InputKind]":
    """Return all kinds of input by name, images first."""
    for own in _OWN:  # each registers itself; on first use, since they import this module
        import_module(f"fovea.inputs.{own}")
    ordered = (*(own for own in _OWN if own in _KINDS), *(name for name in _KINDS if name not in _OWN))
    return {name: _KINDS[name] for name in ordered}


def kind(name: str) -> "InputKind":
    """Return the kind of input called `name`.

    Raises:
        UsageError: there is none.
    """
    if name in _OWN:  # that one alone: a start is not to wait for the others
        import_module(f"fovea.inputs.{name}")
    if name not in _KINDS:
        raise UsageError(f"Unknown kind of input `{name}`; choose one of {', '.join(kinds())}.")
    return _KINDS[name]


def kind_of(preprocess: "Preprocessing") -> "InputKind":
    """Return the kind of input that `preprocess` makes."""
    return kind(preprocess.input)


def from_dict(given: Mapping[str, Any]) -> "Preprocessing":
    """Return the preprocessing that `to_dict` wrote, of whatever kind; images where none is named.

    Raises:
        UsageError: fields that are missing, unknown or out of range.
    """
    name = given.get("input", "images")
    return kind(name if isinstance(name, str) else "").from_dict(given)
