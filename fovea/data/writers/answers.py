"""What a network says of an image, as writers take it."""

from typing import Any, NamedTuple

from numpy.typing import NDArray


class Answer(NamedTuple):
    """An image and its mask, boxes or points, in the pixels of the upright image."""

    name: str
    """As the data set or the user calls the image."""
    size: tuple[int, int]
    """(h, w)"""
    found: NDArray[Any]
    """uint8 (h, w); boxes (D, 6) of class, x0, y0, x1, y1 and score; or points (P, 3) of x, y and visibility.

    Of several objects with points it is (D, P, 3).
    """
    boxes: NDArray[Any] | None = None
    """(D, 4) where each of several objects is."""
