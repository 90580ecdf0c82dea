"""What a network finds in one image: (D, 6) float64 of class, box and score."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.tasks.drawn import boxed
from fovea.tasks.prediction import LabelScore, PredictionOnImage


@dataclass(frozen=True, eq=False, repr=False)
class BoxPrediction(PredictionOnImage):
    """Objects, each with its class, its box and its score."""

    found: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 6)))
    """(D, 6) class, x0, y0, x1, y1 in pixels, half-open, score 0..1; the best first."""
    classes: tuple[str, ...] = ()

    @classmethod
    def of(cls, found: NDArray[np.float64], classes: Sequence[str]) -> "BoxPrediction":
        """Return the prediction of objects (D, 6), the best first."""
        scores = tuple(LabelScore(classes[int(row[0])], float(row[5])) for row in found)
        return cls(scores=scores, found=found, classes=tuple(classes))

    @property
    def label(self) -> str:
        """How many objects of which class."""
        counts = Counter(label for label, _ in self.scores)
        return ", ".join(f"{count} x {name}" for name, count in counts.most_common()) or "nothing"

    @property
    def probability(self) -> float:
        """The highest score of an object; 0 where there is none."""
        return self.scores[0].probability if self.scores else 0.0

    def drawn(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the image (H, W, 3) uint8 with the boxes on it."""
        return boxed(image, self.found, self.classes)

    def to_dict(self) -> dict[str, Any]:
        """Return class, score and box of each object as JSON values."""
        boxes = [
            {"label": label, "score": score, "box": [round(float(side), 2) for side in row[1:5]]}
            for (label, score), row in zip(self.scores, self.found, strict=True)
        ]
        return {"boxes": boxes}
