"""How a network's score falls as images are shifted, scaled, rotated, blurred, made noisy or compressed."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from fovea.data.disturbances import Disturbance, disturbances
from fovea.errors import UsageError
from fovea.evaluation.outcome import Outcome
from fovea.evaluation.scored import Scored, ScoredWithin
from fovea.model.predictor import Predictor
from fovea.preprocess import Pixels
from fovea.tasks.score import ACCURACY
from fovea.tasks.task import Labels
from fovea.training.inference import Progress

MOST_IMAGES = 2000
CHUNK = 256
"""Images that are disturbed at a time, so that memory stays small."""
SEED = 0
NARROWEST = 8
"""Characters of a column, as ` 100.0 %`."""


@dataclass(frozen=True, kw_only=True)
class Point(ScoredWithin):
    """The score at one level of a disturbance."""

    level: float
    score: float

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values: `level`, the score under the metric's name, and `interval`."""
        return {"level": self.level, **super().to_dict()}


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The score under one disturbance, by ascending level; the images as they are count as a level of most."""

    disturbance: str
    unit: str
    points: tuple[Point, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values: `disturbance`, `unit` and `points`."""
        points = [point.to_dict() for point in self.points]
        return {"disturbance": self.disturbance, "unit": self.unit, "points": points}


@dataclass(frozen=True, kw_only=True)
class Robustness(Scored):
    """The score of a network on images as they are, and disturbed."""

    images: int
    score: float
    """On these images as they are."""
    curves: tuple[Curve, ...]

    def summary(self) -> list[str]:
        """Return lines for the terminal: two per disturbance, its levels and the score at each."""
        title = "" if self.metric == ACCURACY else f"{self.metric.title} "
        lines = ["", f"disturbed ({self.images:,} images, {title}{self.text} as they are)"]
        texts = [f" {point.text}" for curve in self.curves for point in curve.points]
        wide = max(NARROWEST, *map(len, texts))
        for curve in self.curves:
            levels = "".join(f"{point.level:>{wide}g}" for point in curve.points)
            lines.append(f"{curve.disturbance:9} {levels}  {curve.unit}")
            lines.append(f"{'':9} {''.join(f'{point.text:>{wide}}' for point in curve.points)}")
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values: `images`, the score under the metric's name, and `curves`."""
        return {"images": self.images, **super().to_dict(), "curves": [curve.to_dict() for curve in self.curves]}


def measure_robustness(
    predictor: Predictor, outcome: Outcome, *, batch: int = 256, progress: Progress | None = None
) -> Robustness:
    """Return the score on images as they are and disturbed: on all, or on 2,000 spread over them.

    `outcome` is what the network says of them as they are, with pictures. Directions and noise are the same for every
    network. Of targets that lie on images those disturbances are left out that move pixels.

    Raises:
        UsageError: the score is not defined on these images, or there are no pictures.
    """
    labels, picture, protocol = outcome.labels, outcome.picture, outcome.protocol
    if picture is None:
        raise UsageError("Robustness is measured on images, and this outcome has no images.")
    chosen = np.unique(np.linspace(0, len(labels) - 1, min(MOST_IMAGES, len(labels))).astype(int))
    pixels, truth = np.stack([picture(int(index)) for index in chosen]), labels[chosen]

    def point(level: float, images: Pixels) -> Point:
        return _scored(predictor, predictor.outputs(images, protocol, batch=batch), truth, level=level)

    fixed = predictor.target.lies_on_image  # then nothing may move
    kinds = [kind for kind in disturbances((pixels.shape[1], pixels.shape[2])) if not (fixed and kind.moves)]
    undisturbed = point(0.0, pixels)
    found: dict[str, list[Point]] = {
        kind.name: [] if kind.neutral is None else [replace(undisturbed, level=kind.neutral)] for kind in kinds
    }
    steps = [(kind, level) for kind in kinds for level in kind.levels]
    for done, (kind, level) in enumerate(steps, start=1):
        found[kind.name].append(point(level, _disturbed(pixels, kind, level)))
        if progress is not None:
            progress(done, len(steps))
    curves = (Curve(disturbance=kind.name, unit=kind.unit, points=_ascending(found[kind.name])) for kind in kinds)
    return Robustness(images=len(truth), metric=undisturbed.metric, score=undisturbed.score, curves=tuple(curves))


def _scored(predictor: Predictor, outputs: Tensor, labels: Labels, *, level: float) -> Point:
    """Return the score of outputs (N, K) against the labels (N,)."""
    metric = predictor.target.metric
    score, interval = predictor.target.measured(outputs, labels)
    if score is None:
        raise UsageError(
            f"`--robust` measures the {metric.title}, which is undefined for these images. Leave `--robust` out, or "
            "choose another split with `--split`."
        )
    return Point(level=level, metric=metric, score=score, interval=interval)


def _disturbed(pixels: Pixels, kind: Disturbance, level: float) -> Pixels:
    generator = np.random.default_rng(SEED)
    starts = range(0, len(pixels), CHUNK)
    return np.concatenate([kind.function(pixels[start : start + CHUNK], level, generator) for start in starts])


def _ascending(points: list[Point]) -> tuple[Point, ...]:
    return tuple(sorted(points, key=lambda point: point.level))
