"""`fovea predict --boxes`: the points of each object in an image, which is searched for in its box, enlarged.

From the top down, as Xiao, Wu and Wei 2018 (arXiv:1804.06208, section 3) have it. Boxes are those of a list, or what
another network finds. They are x0, y0, x1, y1 in pixels of the upright image.
"""

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from fovea.budget import batch_within
from fovea.data.sources.annotations.objects import ENLARGED, enlarged
from fovea.data.sources.source import DataSource
from fovea.display import Display
from fovea.errors import ImageError, UsageError, unknown
from fovea.inputs.views import Protocol as Views
from fovea.jobs.predict import FilePrediction, predict
from fovea.model.opening import open_model
from fovea.model.predictor import Predictor
from fovea.preprocess import Pixels, decode
from fovea.tasks.box_prediction import BoxPrediction
from fovea.tasks.places import Frame
from fovea.tasks.point_prediction import ObjectsPrediction, PointPrediction

Region = tuple[int, int, int, int]
MODELS = (".safetensors", ".onnx")
"""What ends the name of a network; all else is data with boxes."""


class Boxes(Protocol):
    """Where boxes come from."""

    def of(self, image: str) -> BoxPrediction:
        """Return the boxes of an image. Raises: ImageError if there is no saying."""
        ...


@dataclass(frozen=True)
class Listed:
    """Boxes of data, whose scores are NaN."""

    name: str
    boxes: dict[str, BoxPrediction]
    """By the real path of the image."""

    def of(self, image: str) -> BoxPrediction:
        """Return the boxes that are listed."""
        found = self.boxes.get(os.path.realpath(image))
        if found is None:
            raise ImageError(f"`{self.name}` lists no such image.")
        return found


@dataclass(frozen=True)
class Found:
    """Boxes that a network finds."""

    detector: Predictor
    classes: tuple[str, ...]
    """Those that count; empty for all."""
    min_score: float | None
    batch: int

    def of(self, image: str) -> BoxPrediction:
        """Return the boxes that are found."""
        (said,) = predict(self.detector, [image], min_score=self.min_score, batch=self.batch)
        if said.prediction is None:
            raise ImageError(said.error)
        return _chosen(cast(BoxPrediction, said.prediction), self.classes)


@dataclass(frozen=True, kw_only=True)
class AskedBoxes:
    """What is asked of boxes."""

    source: str | Path | Predictor
    """Data with boxes, or a network that finds them."""
    classes: tuple[str, ...] = ()
    min_score: float | None = None
    device: str = "auto"
    batch: int = 64

    def opened(self, predictor: Predictor, display: Display | None) -> Boxes:
        """Return where the boxes come from that `predictor` looks into.

        Raises:
            UsageError: networks that do not go together, a class that is unknown, a score for boxes without any.
            DataError: data that cannot be used.
        """
        if not predictor.target.of_objects:
            raise UsageError(
                "`boxes` works only for models that predict points, and this model predicts "
                f"{predictor.target.noun}; leave it out."
            )
        if isinstance(self.source, str | Path) and Path(self.source).suffix.lower() not in MODELS:
            return self._listed(self.source, display)
        detector = open_model(self.source, device=self.device) if isinstance(self.source, str | Path) else self.source
        if detector.target.name != "boxes":
            raise UsageError(
                f"`boxes` must be a model that predicts boxes, and this model predicts {detector.target.noun}; give "
                "another."
            )
        _check_known(self.classes, detector.target.classes)
        return Found(detector, self.classes, self.min_score, self.batch)

    def _listed(self, source: str | Path, display: Display | None) -> Listed:
        if self.min_score is not None:
            raise UsageError(
                "`min_score` works only for boxes found by a model; all boxes of a list are used. Leave it out."
            )
        data = DataSource(data=source, task="boxes").find(progress=display.fetched if display else None)
        _check_known(self.classes, data.classes)
        listed = {
            os.path.realpath(file): _chosen(_given(rows, data.classes), self.classes)
            for part in data.parts.values()
            for file, rows in zip(part.files or (), part.labels, strict=True)
        }
        return Listed(str(source), listed)


def _given(rows: NDArray[np.float32], classes: Sequence[str]) -> BoxPrediction:
    """Return boxes (M, 6) of data as if they were found; crowds and empty rows are left out."""
    kept = rows[(rows[:, 0] >= 0) & (rows[:, 5] == 0)].astype(np.float64)
    kept[:, 5] = np.nan
    return BoxPrediction.of(kept, classes)


def _check_known(classes: Sequence[str], known: Sequence[str]) -> None:
    for name in classes:
        if name not in known:
            raise unknown("class", name, known)


def _chosen(boxes: BoxPrediction, wanted: Sequence[str]) -> BoxPrediction:
    """Return the boxes of some classes; of all where none are named."""
    kept = [label in (wanted or (label,)) for label, _ in boxes.scores]
    return BoxPrediction.of(boxes.found[np.array(kept, bool)], boxes.classes)


def top_down_predictions(
    predictor: Predictor, boxes: Boxes, paths: Iterable[str], *, views: Views, batch: int
) -> Iterator[FilePrediction]:
    """Yield a prediction for each image, of the points of all objects in it, or why it cannot be read.

    Points are means over `views` of each object.
    """
    stored = predictor.preprocess.stored_shape
    batch = batch_within(batch, 2 * math.prod(stored) * np.dtype(predictor.preprocess.dtype).itemsize)
    for path in paths:
        try:
            yield FilePrediction(image=path, prediction=_prediction(predictor, boxes, path, views, batch))
        except ImageError as error:
            yield FilePrediction(image=path, error=str(error).removeprefix(f"`{Path(path)}`: "))


def _prediction(predictor: Predictor, boxes: Boxes, path: str, views: Views, batch: int) -> ObjectsPrediction:
    pixels = decode(Path(path), channels=predictor.preprocess.channels)
    size = pixels.shape[:2]
    found = _inside(boxes.of(path), size)
    regions = [enlarged(row[1:5].tolist(), size, by=ENLARGED) for row in found.found]
    objects: list[PointPrediction] = []
    for first in range(0, len(regions), batch):
        objects += _points(predictor, pixels, regions[first : first + batch], views)
    return ObjectsPrediction.of(found, objects)


def _inside(boxes: BoxPrediction, size: tuple[int, int]) -> BoxPrediction:
    """Return the boxes that share pixels with an image of `size` (H, W)."""
    H, W = size
    x0, y0, x1, y1 = boxes.found[:, 1:5].T
    return BoxPrediction.of(boxes.found[(x0 < W) & (y0 < H) & (x1 > 0) & (y1 > 0)], boxes.classes)


def _points(predictor: Predictor, pixels: Pixels, regions: Sequence[Region], views: Views) -> Iterator[PointPrediction]:
    """Yield the points of the object in each region of an image (H, W, C) uint8, in pixels of the image."""
    frame = cast(Frame, predictor.preprocess)
    cut = [np.ascontiguousarray(pixels[y0:y1, x0:x1]) for x0, y0, x1, y1 in regions]
    rows = predictor.scores(np.stack([predictor.preprocess.read(each) for each in cut]), views, batch=len(cut))
    for row, (x0, y0, x1, y1) in zip(rows, regions, strict=True):
        own = predictor.target.in_image(predictor.target.prediction(row), frame, (y1 - y0, x1 - x0))
        own = cast(PointPrediction, own)
        yield PointPrediction.of(own.points + [x0, y0, 0], own.names)
