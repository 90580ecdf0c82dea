"""Sizes that a stride does not divide: what the windows leave uncovered, and which inputs would fit."""

from collections.abc import Iterable, Iterator, Sequence
from math import prod

from fovea.measurement.axes import Place, Steps, stepped
from fovea.measurement.result import Leftover, Shape
from fovea.measurement.rules import Sliding

MOST_SIZES = 4096
"""Sizes that are tried before it is said that none fits."""


def strides(slidings: Sequence[Sliding], places: Sequence[Place], shape: Shape) -> Iterator[tuple[int, Place, Sliding]]:
    """Yield the axis of the input, its place and the window, where one of more than stride 1 slides along it."""
    for axis, place in enumerate(places):
        # windows slide over the last dimensions
        at = -1 if place.dim is None else place.dim - len(shape) + len(slidings)
        if 0 <= at < len(slidings) and slidings[at].stride > 1 and not slidings[at].partial:
            yield axis, place, slidings[at]


def leftover(axis: int, size: int, sliding: Sliding) -> Leftover | None:
    """Return what the windows leave uncovered of an axis of `size`; None if they divide it.

    >>> leftover(0, 7, Sliding(kernel=3, stride=3, padding=0, dilation=1, partial=False)).uncovered
    (6,)
    """
    rest = sliding.rest(size)
    if not rest:
        return None
    # from the end inwards: first the padding behind the axis, then pixels
    behind = min(rest, sliding.padding)
    uncovered = tuple(range(size - (rest - behind), size))
    return Leftover(axis=axis, size=size, uncovered=uncovered, padding=behind, rule=sliding.quotient(size))


def steps_to(place: Place, sliding: Sliding) -> Steps | None:
    """Return how the number of windows follows from the size of the input."""
    return stepped(place.steps, sliding.add, sliding.stride)


def nearest(strided: Iterable[Steps], size: int) -> tuple[int, ...]:
    """Return the nearest sizes below and above `size` at which every stride divides; `size` itself if it does.

    >>> nearest([((0, 2),), ((0, 2), (0, 2))], 30)  # two poolings of 2x2
    (28, 32)
    """
    chains = [steps for steps in strided if steps]
    if _fits(size, chains):
        return (size,)
    # whether a chain of strides divides repeats with their product, which chains at its beginning divide too
    period = min(MOST_SIZES, max((prod(stride for _, stride in steps) for steps in chains), default=1))
    below = next((n for n in range(size - 1, max(0, size - period - 1), -1) if _fits(n, chains)), None)
    above = next((n for n in range(size + 1, size + period + 1) if _fits(n, chains)), None)
    return tuple(n for n in (below, above) if n is not None)


def _fits(size: int, chains: Iterable[Steps]) -> bool:
    return all(_divides(size, steps) for steps in chains)


def _divides(size: int, steps: Steps) -> bool:
    """Say whether the last of these steps divides, and none leaves nothing."""
    rest = 0
    for add, stride in steps:
        size, rest = divmod(size + add, stride)
        if size < 1:
            return False
    return rest == 0  # of the last only: each stride before it ends a chain of its own
