"""How a network's accuracy falls as images are shifted, scaled, rotated, blurred, made noisy or compressed."""

from dataclasses import dataclass, replace

import numpy as np

from fovea.data.disturbances import Disturbance, disturbances
from fovea.errors import UsageError
from fovea.evaluation.outcome import Outcome
from fovea.metrics import wilson_interval
from fovea.model.predictor import Predictor
from fovea.preprocess import Pixels
from fovea.training.inference import Progress

MOST_IMAGES = 2000
CHUNK = 256
"""Images that are disturbed at a time, so that memory stays small."""
SEED = 0


@dataclass(frozen=True, kw_only=True)
class Point:
    """The accuracy at one level of a disturbance."""

    level: float
    accuracy: float
    interval: tuple[float, float]
    """Where the true accuracy lies with 95 % confidence (Wilson)."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The accuracy under one disturbance, by ascending level; the images as they are count as a level of most."""

    disturbance: str
    unit: str
    points: tuple[Point, ...]


@dataclass(frozen=True, kw_only=True)
class Robustness:
    """The accuracy of a network on images as they are, and disturbed."""

    images: int
    accuracy: float
    """On these images as they are."""
    curves: tuple[Curve, ...]

    def summary(self) -> list[str]:
        """Return lines for a person: two per disturbance, its levels and the accuracy at each."""
        lines = ["", f"disturbed ({self.images:,} images, {self.accuracy:.1%} as they are)"]
        for curve in self.curves:
            lines.append(
                f"{curve.disturbance:9} {''.join(f'{point.level:>7g}' for point in curve.points)}  {curve.unit}"
            )
            lines.append(f"{'':9} {''.join(f'{point.accuracy:7.1%}' for point in curve.points)}")
        return lines


def measure_robustness(
    predictor: Predictor, outcome: Outcome, *, batch: int = 256, progress: Progress | None = None
) -> Robustness:
    """Return the accuracy on images as they are and disturbed: on all, or on 2,000 spread over them.

    `outcome` is what the network says of them as they are, with pictures. Directions and noise are the same for every
    network.

    Raises:
        UsageError: answers are not right or wrong, or there are no pictures.
    """
    labels, picture, protocol = outcome.labels, outcome.picture, outcome.protocol
    if picture is None:
        raise UsageError("Robustness is measured on images, and this outcome has none.")
    chosen = np.unique(np.linspace(0, len(labels) - 1, min(MOST_IMAGES, len(labels))).astype(int))
    pixels, truth = np.stack([picture(int(index)) for index in chosen]), labels[chosen]

    def point(level: float, images: Pixels) -> Point:
        outputs = predictor.outputs(images, protocol, batch=batch)
        right = int(predictor.target.right(outputs, truth).sum())
        return Point(level=level, accuracy=right / len(truth), interval=wilson_interval(right, len(truth)))

    kinds = disturbances((pixels.shape[1], pixels.shape[2]))
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
    return Robustness(images=len(truth), accuracy=undisturbed.accuracy, curves=tuple(curves))


def _disturbed(pixels: Pixels, kind: Disturbance, level: float) -> Pixels:
    generator = np.random.default_rng(SEED)
    starts = range(0, len(pixels), CHUNK)
    return np.concatenate([kind.function(pixels[start : start + CHUNK], level, generator) for start in starts])


def _ascending(points: list[Point]) -> tuple[Point, ...]:
    return tuple(sorted(points, key=lambda point: point.level))
