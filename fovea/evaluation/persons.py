"""How well objects are found by their points, as COCO scores persons, where the data knows how large each of them is.

A network sees each object in its true box (from the top down), so that what is scored is where its points are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from fovea.data.dataset import Dataset, Part
from fovea.evaluation.outcome import Outcome
from fovea.metrics.boxes import EACH, ap_interval
from fovea.metrics.points import COCO_DEVIATIONS, PointScores, compared_points, point_scores
from fovea.preprocess.decoding import upright_size
from fovea.tasks.places import Frame
from fovea.texts import percent

SIDES = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
COCO_POINTS = ("nose", *(f"{side}_{name}" for name in ("eye", "ear", *SIDES) for side in ("left", "right")))
"""The points of COCO's persons, in the order of `COCO_DEVIATIONS`."""
OF_COCO, ALIKE = "the COCO values for persons", "the mean of the COCO values for every point"


@dataclass(frozen=True, kw_only=True)
class PersonScores:
    """Figures from 0 to 1 of objects in their true boxes."""

    persons: int
    images: int
    scores: PointScores
    """COCO's ten figures, by object keypoint similarity (OKS); NaN where there is no object of a size."""
    interval: tuple[float, float]
    """Where `ap` lies with 95 % confidence, by the bootstrap over images."""
    deviations: str
    """Which deviations of the points the similarity goes by."""

    def summary(self) -> list[str]:
        """Return lines for the terminal."""
        said, (low, high) = self.scores, self.interval
        medium, large = (_percent(value) for value in (said.ap_medium, said.ap_large))
        counted = f"{self.persons:,} in {self.images:,} images"
        return [
            "",
            f"objects: {counted}, each in its true box (deviations of points: {self.deviations})",
            f"OKS-AP {percent(said.ap, 2)} ({100 * low:.2f} to {percent(high, 2)}), AP50 {percent(said.ap50, 2)}, "
            f"AP75 {percent(said.ap75, 2)}, medium {medium}, large {large}, AR {percent(said.ar, 2)}",
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        figures = {name: None if np.isnan(value) else value for name, value in self.scores._asdict().items()}
        more = {"interval": self.interval, "deviations": self.deviations}
        return {"persons": self.persons, "images": self.images, **figures, **more}


class _Person(NamedTuple):
    image: Path
    truth: NDArray[np.float64]
    """(P, 3) in pixels of the image, as `found`."""
    found: NDArray[np.float64]
    area: float


def measure_persons(outcome: Outcome, found: Dataset, decoded: Dataset, frame: Frame) -> PersonScores | None:
    """Return how well the objects of a data set of points are found; None if it has none, or not their areas.

    `outcome` is of the data set `found`, whose samples that could be read are `decoded`, laid by `frame`.
    """
    if any(part.areas is None for part in found.parts.values()):
        return None
    persons = list(_persons(outcome, found, decoded, frame))
    by_image: dict[Path, list[_Person]] = {}
    for person in persons:
        by_image.setdefault(person.image, []).append(person)
    deviations, said = _deviations(outcome.target.classes)
    compared = [
        compared_points(
            np.stack([person.truth for person in own]),
            np.array([person.area for person in own]),
            np.stack([person.found for person in own]),
            np.array([person.found[:, 2].mean() for person in own]),
            deviations=deviations,
        )
        for own in by_image.values()
    ]
    scores, matches = point_scores(compared)
    return PersonScores(
        persons=len(persons),
        images=len(by_image),
        scores=scores,
        interval=ap_interval([matches], EACH),
        deviations=said,
    )


def _persons(outcome: Outcome, found: Dataset, decoded: Dataset, frame: Frame) -> Iterator[_Person]:
    """Yield the samples that could be read, as they lie on their images."""
    outputs = iter(outcome.outputs.numpy().astype(np.float64))
    for name, part in decoded.parts.items():
        given = found.parts[name]
        rows = {called: row for row, called in enumerate(given.names)}
        truth = outcome.target.matched(given.labels, found.classes)
        for called, answer in zip(part.names, outputs, strict=False):
            yield _person(given, rows[called], truth[rows[called]], answer, frame)


def _person(part: Part, row: int, truth: NDArray[Any], answer: NDArray[np.float64], frame: Frame) -> _Person:
    image = cast(tuple[Path, ...], part.files)[row]
    if part.regions is None:
        corner, size = np.zeros(2), upright_size(image) or (1, 1)
    else:
        x0, y0, x1, y1 = part.regions[row].tolist()
        corner, size = np.array([x0, y0], np.float64), (y1 - y0, x1 - x0)
    place = np.array([*corner, 0.0])
    return _Person(
        image,
        truth.astype(np.float64) + place * (truth[:, 2:] > 0),
        frame.points_in_image(answer, size) + place,
        float(cast(Any, part.areas)[row]),
    )


def _deviations(names: tuple[str, ...]) -> tuple[NDArray[np.float64], str]:
    """Return the deviation of each point (P,), in square roots of the area, and what they are."""
    known = dict(zip(COCO_POINTS, COCO_DEVIATIONS.tolist(), strict=True))
    if set(names) <= known.keys():
        return np.array([known[name] for name in names]), OF_COCO
    return np.full(len(names), COCO_DEVIATIONS.mean()), ALIKE


def _percent(value: float) -> str:
    return "-" if np.isnan(value) else percent(value, 2)
