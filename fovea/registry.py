"""The networks by name: how each is built and what its paper says of it. Knows no network itself."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from fovea.errors import FoveaError, UsageError, unknown

if TYPE_CHECKING:
    from torch import nn

    Network = TypeVar("Network", bound=Callable[..., nn.Module])

_COUNTS = ("classes", "c_in", "size")
"""What any network may be asked for. `size` reaches only those that flatten a map into a dense layer."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """What is known of a network at its default arguments."""

    name: str
    paper: str
    """Where it is described: `arXiv:...`, `doi:...` or `this project`."""
    title: str
    year: int
    input: tuple[int, int, int]
    """(C, H, W) that `params` and `macs` hold for."""
    params: int
    """Trainable parameters."""
    macs: int
    """Multiply-adds of convolutions and dense layers for one image; biases not counted."""


_builders: "dict[str, Callable[..., nn.Module]]" = {}
_cards: dict[str, Card] = {}


def register(
    *, paper: str, title: str, year: int, input: tuple[int, int, int], params: int, macs: int
) -> "Callable[[Network], Network]":
    """Return a decorator that makes a builder known under its own name, with this card."""

    def add(builder: "Network") -> "Network":
        name = builder.__name__
        if name in _builders:
            raise UsageError(f"A network named `{name}` is registered already; choose another name.")
        _builders[name] = builder
        _cards[name] = Card(name=name, paper=paper, title=title, year=year, input=input, params=params, macs=macs)
        return builder

    return add


def names() -> tuple[str, ...]:
    """Return the names of all networks, sorted."""
    return tuple(sorted(_builders))


def card(name: str) -> Card:
    """Return the card of the network `name`."""
    _known(name)
    return _cards[name]


def build(name: str, **arguments: object) -> "nn.Module":
    """Return a new network: `build("resnet18", classes=5, c_in=3, size=128)`.

    What is not given has the paper's value. `size` (pixels of the square input) is ignored by networks that take any.
    Some take more: `arguments_of(name)` lists them.

    Raises:
        UsageError: an unknown name or argument, or a value that is not allowed.
        ShapeError: `size` is too small for the network.
    """
    resolved = arguments_of(name, **arguments)
    try:
        return _builders[name](**resolved)
    except ValueError as error:
        kind = type(error) if isinstance(error, FoveaError) else UsageError
        raise kind(f"Network `{name}`: {error}") from error


def arguments_of(name: str, **arguments: object) -> dict[str, object]:
    """Return all arguments the network is built with, defaults included, as JSON can hold them.

    `build(name, **arguments_of(name, **arguments))` and `build(name, **arguments)` are the same network.

    >>> arguments_of("lenet5", classes=7)
    {'classes': 7, 'c_in': 1, 'size': 32}
    """
    _known(name)
    defaults = {key: value.default for key, value in inspect.signature(_builders[name]).parameters.items()}
    allowed = defaults | {key: 1 for key in _COUNTS if key not in defaults}
    for key, value in arguments.items():
        if key not in allowed:
            raise unknown(f"argument of `{name}`", key, allowed)
        _check(key, value, type(allowed[key]))
    resolved = defaults | {key: value for key, value in arguments.items() if key in defaults}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in resolved.items()}


def _known(name: str) -> None:
    if name not in _builders:
        raise unknown("network", name, _builders)


def _check(key: str, value: object, kind: type) -> None:
    if key in _COUNTS:
        if type(value) is not int or value < 1:
            raise UsageError(f"`{key}` (={value!r}) must be an integer of at least 1.")
        return
    accepted = {float: (float, int), tuple: (tuple, list)}.get(kind, (kind,))
    if type(value) not in accepted:
        raise UsageError(f"`{key}` (={value!r}) must be of type {' or '.join(t.__name__ for t in accepted)}.")
