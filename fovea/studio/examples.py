"""Images to begin with, which come with scikit-learn: ten digits, and two photographs.

Their files are read where they lie: importing the library takes a second.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fovea.errors import UsageError

PHOTOGRAPHS = ("flower", "china")
DIGITS = tuple(f"digit {number}" for number in range(10))
NAMES = (*PHOTOGRAPHS, *DIGITS)
FIRST_DIGIT = DIGITS[2]
SMALL = 64
"""Pixels of a side: a grey input of at most so many begins with a digit."""


def example(name: str) -> Path | NDArray[np.uint8]:
    """Return the image called so: a file, or a digit (H, W) uint8 0..255, eight pixels wide.

    Raises: UsageError where there is none.
    """
    if name not in NAMES:
        raise UsageError(f"Unknown example `{name}`; there are {', '.join(NAMES)}.")
    return _folder() / "images" / f"{name}.jpg" if name in PHOTOGRAPHS else _digits()[DIGITS.index(name)]


def first_example(shape: tuple[int, ...]) -> str:
    """Return the name of the example for inputs (C, H, W): a digit for small grey ones, else a photograph."""
    C, *sizes = shape
    return FIRST_DIGIT if C == 1 and max(sizes) <= SMALL else PHOTOGRAPHS[0]


def _folder() -> Path:
    spec = find_spec("sklearn")
    places = None if spec is None else spec.submodule_search_locations
    if not places:
        raise UsageError("There are no examples: scikit-learn is not installed.")
    return Path(places[0]) / "datasets"


@cache
def _digits() -> NDArray[np.uint8]:
    """Return the first ten digits, 0 to 9 in order: (10, 8, 8) uint8."""
    rows = np.loadtxt(_folder() / "data" / "digits.csv.gz", delimiter=",", max_rows=10)
    return (rows[:, :-1].reshape(10, 8, 8) * 15.9).astype(np.uint8)
