"""Where a network finds the points of one image, or of each object in it: (P, 3) float64 of x, y and score."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.tasks.box_prediction import BoxPrediction
from fovea.tasks.drawn import pointed
from fovea.tasks.prediction import LabelScore, PredictionOnImage


@dataclass(frozen=True, eq=False, repr=False)
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


@dataclass(frozen=True, eq=False, repr=False)
class ObjectsPrediction(PredictionOnImage):
    """The points of several objects in an image, each looked for in its box."""

    boxes: BoxPrediction = field(default_factory=BoxPrediction)
    """The objects; a score of NaN is not known."""
    objects: tuple[PointPrediction, ...] = ()
    """The points of each, in pixels of the image."""

    @classmethod
    def of(cls, boxes: BoxPrediction, objects: Sequence[PointPrediction]) -> "ObjectsPrediction":
        """Return the prediction of the objects in these boxes."""
        names = (label for label, _ in boxes.scores)
        scores = (LabelScore(name, points.probability) for name, points in zip(names, objects, strict=True))
        return cls(scores=tuple(scores), boxes=boxes, objects=tuple(objects))

    @property
    def points(self) -> NDArray[np.float64]:
        """(D, P, 3) the points of all objects."""
        return np.stack([each.points for each in self.objects]) if self.objects else np.zeros((0, 0, 3))

    @property
    def label(self) -> str:
        """How many objects of which class; their points stand in `to_dict`."""
        return self.boxes.label

    @property
    def probability(self) -> float:
        """The mean score of all points."""
        return float(np.mean([each.probability for each in self.objects])) if self.objects else float("nan")

    def drawn(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the image (H, W, 3) uint8 with boxes and points on it."""
        shown = self.boxes.drawn(image)
        factor = shown.shape[0] / image.shape[0]
        for box, each in zip(self.boxes.found[:, 1:5], self.objects, strict=True):
            side = factor * float((box[2:] - box[:2]).max())
            shown = pointed(shown, each.points * [factor, factor, 1], within=side)
        return shown

    def to_dict(self) -> dict[str, Any]:
        """Return class, box and points of each object as JSON values, and the score of its box where it is known."""
        boxes = self.boxes.to_dict()["boxes"]
        found = zip(boxes, self.objects, strict=True)
        return {"objects": [{**_known(box), **each.to_dict()} for box, each in found]}


def _known(box: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in box.items() if value == value}  # noqa: PLR0124 (NaN is not itself)
