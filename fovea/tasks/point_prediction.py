"""Where a network finds the points of one image: (P, 3) float64 of x, y and score."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.tasks.drawn import pointed
from fovea.tasks.prediction import LabelScore, PredictionOnImage


@dataclass(frozen=True, eq=False)
class PointPrediction(PredictionOnImage):
    """Named points, each with its place and its score."""

    points: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3)))
    """(P, 3) x, y in pixels, the centre of the first at 0.5, 0.5, and score: the height of its heat map, about 0..1."""
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, points: NDArray[np.float64], names: Sequence[str]) -> "PointPrediction":
        """Return the prediction of points (P, 3)."""
        scores = tuple(LabelScore(name, float(row[2])) for name, row in zip(names, points, strict=True))
        return cls(scores=scores, points=points, names=tuple(names))

    @property
    def label(self) -> str:
        """Each point with its place."""
        return ", ".join(f"{name} {x:.1f} {y:.1f}" for name, (x, y, _) in zip(self.names, self.points, strict=True))

    @property
    def probability(self) -> float:
        """The mean score."""
        return float(self.points[:, 2].mean()) if len(self.points) else float("nan")

    def drawn(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the image (H, W, 3) uint8 with the points on it."""
        return pointed(image, self.points)

    def to_dict(self) -> dict[str, Any]:
        """Return name, place and score of each point as JSON values."""
        rows = zip(self.names, self.points, strict=True)
        found = [
            {"label": name, "x": round(float(x), 2), "y": round(float(y), 2), "score": s} for name, (x, y, s) in rows
        ]
        return {"points": found}
