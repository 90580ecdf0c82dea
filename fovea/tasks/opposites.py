"""Which points change places in a mirrored image, as the left and the right eye: by their names, or by their places.

Points are (N, P, 3) float32.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Opposites = tuple[int, ...]
"""For each point the index of the one on the other side; its own where it is in the middle."""

SIDES = {"left": "right", "right": "left", "l": "r", "r": "l"}
LARGEST_RESIDUAL = 0.05
"""Of the extent of the mean shape: how far it may be from its mirror image, root mean square."""


def opposites_by_name(names: Sequence[str]) -> Opposites | None:
    """Return the opposites that names tell by left and right, or l and r, as words; None if no name does.

    >>> opposites_by_name(["nose", "left_eye", "right_eye"]), opposites_by_name(["a", "b"])
    ((0, 2, 1), None)
    """
    words = [_words(name) for name in names]
    index = {each: number for number, each in enumerate(words)}
    found = [index.get(tuple(SIDES.get(word, word) for word in each)) for each in words]
    # both must mean each other: of names that differ only in their marks one is left
    partners = [
        number if partner is None or found[partner] != number else partner for number, partner in enumerate(found)
    ]
    return tuple(partners) if partners != [*range(len(names))] else None


def opposites_by_place(points: NDArray[Any]) -> Opposites | None:
    """Return the opposites in the mean shape of points (N, P, 3), x, y and visibility; None if it is not symmetric.

    Each image counts whose points are all labelled, moved to its centre and scaled to its spread. The mean is mirrored
    about its upright axis, and the points assigned to each other at the least squared distance.
    """
    from scipy.optimize import linear_sum_assignment

    whole = points[(points[..., 2] > 0).all(axis=1), :, :2].astype(np.float64)
    if not len(whole) or whole.shape[1] < 2:
        return None
    centred = whole - whole.mean(axis=1, keepdims=True)
    spread = np.sqrt(np.square(centred).mean(axis=(1, 2), keepdims=True))
    mean = (centred / np.maximum(spread, 1e-9)).mean(axis=0)
    squares = np.square(mean[:, None] - mean[None] * (-1, 1)).sum(axis=2)
    _, partners = linear_sum_assignment(squares)
    residual = np.sqrt(squares[np.arange(len(mean)), partners].mean())
    symmetric = residual <= LARGEST_RESIDUAL * np.ptp(mean, axis=0).max()
    paired = (partners[partners] == np.arange(len(mean))).all() and (partners != np.arange(len(mean))).any()
    return tuple(partners.tolist()) if symmetric and paired else None


def _words(name: str) -> tuple[str, ...]:
    """Return the words of a name, also of one as `leftEye`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return tuple(word.lower() for word in re.split(r"[\W_]+", spaced) if word)
