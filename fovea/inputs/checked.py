"""What all preprocessings of signals check: whole numbers, choices, and a mean and deviation for each channel."""

import math
from collections.abc import Collection, Mapping
from typing import Any

from fovea.errors import UsageError
from fovea.fields import is_number, is_whole

LARGEST_MEAN = 1e30
"""Of stored values: beyond, float32 may overflow."""
SMALLEST_STD = 1e-12


def check_whole(name: str, value: object, *, least: int = 1, most: int) -> None:
    """Raise UsageError unless `value` is a whole number from `least` to `most`."""
    if not is_whole(value) or not least <= value <= most:
        raise UsageError(f"`{name}` (={value}) must be a whole number from {least:,} to {most:,}.")


def check_number(name: str, value: object, *, least: float, most: float) -> None:
    """Raise UsageError unless `value` is a number from `least` to `most`."""
    if not is_number(value) or not least <= value <= most:
        raise UsageError(f"`{name}` (={value}) must be a number from {least:g} to {most:g}.")


def check_choice(name: str, value: str, allowed: Collection[str]) -> None:
    """Raise UsageError unless `value` is one of those that are `allowed`."""
    if value not in allowed:
        raise UsageError(f"`{name}` (={value}) must be one of {', '.join(allowed)}.")


def check_normalisation(mean: tuple[float, ...], std: tuple[float, ...], channels: int) -> None:
    """Raise UsageError unless there are a finite mean and a deviation above 0 for each channel."""
    for name, values in (("mean", mean), ("std", std)):
        if len(values) != channels or not all(is_number(value) and math.isfinite(value) for value in values):
            raise UsageError(f"`{name}` (={values}) must have one finite number for each of `channels` (={channels}).")
    if max(map(abs, mean)) > LARGEST_MEAN:
        raise UsageError(f"`mean` (={mean}) must be from {-LARGEST_MEAN:g} to {LARGEST_MEAN:g}.")
    if not SMALLEST_STD <= min(std) <= max(std) <= LARGEST_MEAN:
        raise UsageError(f"`std` (={std}) must be from {SMALLEST_STD:g} to {LARGEST_MEAN:g}.")


def settled(given: Mapping[str, Any], fixed: Mapping[str, Any], own: Collection[str], *, kind: str) -> dict[str, Any]:
    """Return the fields `own` of what a card says of a preprocessing, lists as tuples.

    Raises:
        UsageError: fields are missing or unknown, or a `fixed` one has another value than this version knows.
    """
    expected = {"input", *own, *fixed}
    if wrong := sorted(expected.symmetric_difference(given)):
        names = ", ".join(f"`{name}`" for name in wrong)
        raise UsageError(f"The preprocessing of {kind} has missing or unknown fields: {names}.")
    for name, value in fixed.items():
        if given[name] != value:
            raise UsageError(
                f"The preprocessing field `{name}` (={given[name]}) must be {value}; nothing else is supported."
            )
    return {name: tuple(given[name]) if isinstance(given[name], list) else given[name] for name in own}
