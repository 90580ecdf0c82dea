"""How a kind of target is learned where the user leaves it open."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

TRANSFER = MappingProxyType({"lr": 0.001, "frozen_statistics": True, "head_first": 0.1, "stage_decay": 0.7})
"""Of a network whose body knows photographs and whose head is new: the head first, lower parts more slowly."""


class UsualPlan(NamedTuple):
    """Network, input and recipe, where a kind of target does not leave them to the kind of input."""

    model: str
    """A name of the zoo."""
    size: int
    """The side of the input in pixels."""
    fit: str
    """How images of another shape get there."""
    seen: int
    """A training shows about so many images, repetitions counted."""
    most_epochs: int
    recipe: Mapping[str, Any]
    """Fields of a recipe."""
    arguments: Mapping[str, Any] = MappingProxyType({})
    """Further arguments of the network."""
    start: Mapping[str, Any] = MappingProxyType({})
    """Fields of a recipe that differ where it begins with weights of other images."""
    on: str = ""
    """A name of the zoo: the network on the stages of another, where the weights are of one that answers classes."""
    larger: tuple[int, ...] = ()
    """Further sides of the input in pixels, ascending: under a budget the largest is taken that sees enough images."""
    larger_arguments: Mapping[str, Any] = MappingProxyType({})
    """The network's arguments at one of them."""
    enough: int = 0
    """So many images, repetitions counted, are enough for a larger input, beside a few passes over all of them."""
