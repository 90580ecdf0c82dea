"""The forms in which networks answer points: how each learns, is decoded and mirrored, and the score of a point.

They are those of `fovea.registry.FORMS`. Outputs are (N, ...) float32, P the number of points; true points (N, P, 3)
float32: x and y in pixels of the input, 0 where a point is not labelled.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fovea.decoding.peaks import points as peaks_of

if TYPE_CHECKING:
    from torch import Tensor

STRIDE = 4
"""Pixels of the input in a cell of a heat map, on each axis."""


@dataclass(frozen=True, kw_only=True)
class PointForm(ABC):
    """A form of the answers of networks for so many points, for inputs of one size."""

    points: int
    size: tuple[int, int]
    """Height and width of the input in pixels; 0 and 0 while they are not known."""

    @property
    @abstractmethod
    def output_shape(self) -> tuple[int | None, ...]:
        """The shape of the answer for one image; None if it depends on the network."""

    @abstractmethod
    def found(self, outputs: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return where points were found, (N, P, 3): x, y in pixels of the input, and score."""

    def decoder_fields(self) -> dict[str, Any]:
        """Return what `found` goes by as JSON values, for pages that decode in a browser."""
        return {"size": self.size, "stride": STRIDE}

    @abstractmethod
    def loss(self, outputs: "Tensor", points: "Tensor") -> "Tensor":
        """Return the loss of outputs for true points (N, P, 3), a scalar."""

    @abstractmethod
    def unmirrored(self, outputs: "Tensor", partners: Sequence[int]) -> "Tensor":
        """Return outputs for mirror images as those for the images; each point is what its partner was."""

    @abstractmethod
    def evidence(self, outputs: "Tensor") -> "Tensor":
        """Return the score of each point, (N, P), differentiable."""


class HeatMapForm(PointForm):
    """(N, P, h, w): a map of where each point lies (`fovea.decoding.peaks`)."""

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """(P, h, w)."""
        return (self.points, None, None)

    def found(self, outputs: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the highest places of the maps; the score is the height."""
        return peaks_of(outputs, stride=STRIDE)

    def loss(self, outputs: "Tensor", points: "Tensor") -> "Tensor":
        """Return the squared error of the maps."""
        from fovea.tasks.criteria.points import heat_map_loss

        return heat_map_loss(outputs, points, stride=STRIDE)

    def unmirrored(self, outputs: "Tensor", partners: Sequence[int]) -> "Tensor":
        """Return maps mirrored back."""
        return outputs.flip(3)[:, list(partners)]

    def evidence(self, outputs: "Tensor") -> "Tensor":
        """Return the height of each map at its highest place."""
        return outputs.amax((2, 3))


class CoordinateForm(PointForm):
    """(N, 2 P): x and y of each point in turn, in sides of the input."""

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """(2 P,)."""
        return (2 * self.points,)

    def found(self, outputs: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the points, put into the input; the score is 1, as coordinates say nothing of how sure they are."""
        H, W = self.size
        places = np.clip(outputs.reshape(len(outputs), self.points, 2).astype(np.float64), 0, 1) * [W, H]
        return np.concatenate([places, np.ones((*places.shape[:2], 1))], axis=2)

    def loss(self, outputs: "Tensor", points: "Tensor") -> "Tensor":
        """Return the absolute error of the coordinates."""
        from fovea.tasks.criteria.points import coordinates_loss

        return coordinates_loss(outputs, points, size=self.size)

    def unmirrored(self, outputs: "Tensor", partners: Sequence[int]) -> "Tensor":
        """Return coordinates with x counted from the other side."""
        import torch

        places = outputs.reshape(len(outputs), self.points, 2)[:, list(partners)]
        return torch.stack([1 - places[..., 0], places[..., 1]], dim=2).flatten(1)

    def evidence(self, outputs: "Tensor") -> "Tensor":
        """Return x + y of each point: what moves it, as no output says how sure it is."""
        return outputs.reshape(len(outputs), self.points, 2).sum(2)


POINT_FORMS: dict[str, type[PointForm]] = {"heat maps": HeatMapForm, "coordinates": CoordinateForm}
"""By their names in `fovea.registry.FORMS`."""
POINT_LOSSES = {"heat maps": "heat-maps", "coordinates": "coordinates"}
"""What a network of each form learns by."""
