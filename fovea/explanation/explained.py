"""What was explained of one image: the answers, and where each method sees them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.explanation.attribution.registry import Attribution, Method
from fovea.explanation.trust.badge import Badge
from fovea.tasks.prediction import Prediction


class Place(NamedTuple):
    """How much each position of one image supports one answer, by one method."""

    method: Method
    answer: str
    against: str
    """The answer whose evidence is subtracted; empty if none is."""
    found: Attribution
    """Of this one image."""
    seconds: float
    badge: Badge = Badge()
    """Which checks the method passed on this network."""

    @property
    def question(self) -> str:
        """What is explained."""
        return f"{self.answer} rather than {self.against}" if self.against else self.answer

    @property
    def figures(self) -> dict[str, float]:
        """What the method says of its own exactness, by name, where it can be said."""
        values = {name: float(of_image[0]) for name, of_image in self.found.figures.items()}
        return {name: value for name, value in values.items() if math.isfinite(value)}

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values, without the map."""
        named = {"against": self.against, "layer": self.found.layer}
        given = {name: value for name, value in named.items() if value}
        return {
            "method": self.method.name,
            "answer": self.answer,
            **given,
            "seconds": self.seconds,
            **self.figures,
            "trust": self.badge.checks or None,
        }


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What a network says of one image, and where it sees that."""

    image: str
    """The path, or the name in its data set."""
    prediction: Prediction
    truth: str = ""
    """The right answer; empty if it is not known."""
    truth_probability: float | None = None
    pixels: NDArray[np.uint8]
    """(H, W, C) uint8 0..255: the input of the network, or a picture of it."""
    laid: Callable[[Attribution], NDArray[np.float32]]
    """Returns a map as it lies on the picture: (H, W) float32."""
    described: str
    """What it is, and how large, as `image, 32 x 32 pixels`."""
    places: tuple[Place, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values, without the maps."""
        return {
            "image": self.image,
            **self.prediction.to_dict(),
            **({"truth": self.truth} if self.truth else {}),
            "explanations": [place.to_dict() for place in self.places],
        }
