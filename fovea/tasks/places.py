"""What kinds of target that lie on an image ask of the geometry around them: where it was put, and how it was moved.

Masks are (H, W) uint8, boxes (B, 4) and points (P, 2) float64 in pixels; tensors of a batch (N, ...), boxes and points
float32.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor


class Frame(Protocol):
    """A preprocessing that knows where the pixels of an image come to lie in the input of a network."""

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the input, in pixels."""
        ...

    def mask_in_input(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a mask (h, w) uint8 of the image as one of the input, (H, W)."""
        ...

    def mask_in_image(self, mask: NDArray[np.uint8], size: tuple[int, int], *, void: int = ...) -> NDArray[np.uint8]:
        """Return a mask (H, W) of the input as one of an image of `size` (h, w).

        `void`, 255 where nothing else is said, stands where the input shows nothing.
        """
        ...

    def classes_in_image(
        self, mask: NDArray[np.uint8], probability: NDArray[np.float32], size: tuple[int, int], *, classes: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Return a mask (H, W) of the input and its probability for an image of `size` (h, w), interpolated."""
        ...

    def boxes_in_input(self, boxes: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
        """Return boxes (b, 4) of an image of `size` (h, w) as boxes of the input, in pixels."""
        ...

    def boxes_in_image(self, boxes: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
        """Return boxes (b, 4) of the input as boxes of an image of `size` (h, w), in pixels."""
        ...

    def points_in_image(self, points: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
        """Return points (p, 2) of the input as points of an image of `size` (h, w), in pixels."""
        ...

    def points_in_input(self, points: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
        """Return points (p, 2) of an image of `size` (h, w) as points of the input, in pixels."""
        ...


class Movement(Protocol):
    """How the images of a batch were moved."""

    def moved_mask(self, mask: "Tensor", *, fill: int = 0) -> "Tensor":
        """Return masks (N, h, w) as those of the moved images, (N, H, W); `fill` stands where nothing was."""
        ...

    def moved_points(self, points: "Tensor") -> "Tensor":
        """Return points (N, P, 2) as those of the moved images."""
        ...

    def moved_boxes(self, boxes: "Tensor") -> "Tensor":
        """Return boxes (N, M, 6) as those of the moved images; class -1 where too little of one is left."""
        ...

    def moved_keypoints(self, points: "Tensor", *, opposite: Sequence[int]) -> "Tensor":
        """Return points (N, P, 3) as those of the moved images; in mirrored ones each is what its opposite was."""
        ...


class StoredTarget(Protocol):
    """How a target that is a file becomes a row of the cache."""

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape of a row."""
        ...

    @property
    def dtype(self) -> str:
        """The type of its values."""
        ...

    @property
    def cache_key(self) -> list[Any]:
        """JSON values of all that a row depends on, beside its source."""
        ...

    def read(self, source: "tuple[TargetSource, tuple[int, int]]") -> NDArray[Any]:
        """Return one row, of a target and the size (h, w) of its image; ImageError if it cannot be read."""
        ...


class TargetSource(Protocol):
    """A target that is a file, or is drawn, as data sets hold it before it is read."""

    @property
    def key(self) -> str:
        """A text that differs where what is read differs."""
        ...

    def read(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Return the target of an image of `size` (h, w); ImageError if it does not fit."""
        ...
