"""Boxes of the grid forms, in which a cell answers for the object whose middle it holds: YOLO and its second version.

Outputs are (N, 5 B + K, h, w) float32 of the first (Redmon et al. 2015, arXiv:1506.02640): x, y, w, h, confidence of B
boxes, then K classes of the cell. They are (N, B (5 + K), h, w) of the second (Redmon and Farhadi 2016,
arXiv:1612.08242): for each of B priors x, y, w, h, confidence and K classes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fovea.decoding.boxes import clipped, found, sigmoid, suppressed

Outputs = NDArray[np.floating]
Rows = NDArray[np.float64]
Floats = NDArray[np.float64]

PARTS = 5
"""Of a box: x, y, w, h, confidence."""
VOC_PRIORS = ((1.3221, 1.73145), (3.19275, 4.00944), (5.05587, 8.09892), (9.47112, 4.84053), (11.2364, 10.0071))
"""Widths and heights in cells, found by k-means on PASCAL VOC: Darknet's `yolov2-voc.cfg`."""
LARGEST = 8.0
"""Of the logarithm of a side, against overflow."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Which of the boxes with scores (Q, K) of an image stay."""

    most: int = 100
    """Boxes of an image."""
    candidates: int = 1000
    """So many of the highest scores are looked at."""
    least: float = 0.01
    """Score from which on a box counts, 0 to 1."""
    overlap: float = 0.5
    """Intersection over union above which the lower of two boxes of a class falls."""

    def rows(self, boxes: Floats, scores: Floats) -> Rows:
        """Return (D, 6) float64 of boxes (Q, 4) in pixels with scores (Q, K): class, box, score; the best first."""
        own, classes = np.nonzero(scores >= self.least)
        values = scores[own, classes]
        order = np.argsort(-values, kind="stable")[: self.candidates]
        own, classes, values = own[order], classes[order], values[order]
        stays = suppressed(boxes[own], values, classes, overlap=self.overlap)[: self.most]
        return found(classes[stays], boxes[own[stays]], values[stays])


@dataclass(frozen=True, kw_only=True)
class Grid:
    """How outputs (N, 5 B + K, h, w) float32 of the first YOLO become boxes: x and y in cells, roots of sides."""

    size: tuple[int, int]
    """Height and width of the input."""
    boxes: int = 2
    """B, of a cell."""
    kept: Kept = Kept()

    def decoded(self, outputs: Outputs) -> list[Rows]:
        """Return what was found in each image: (D, 6) float64 of class, x0, y0, x1, y1, score; the best first."""
        return [self._of_image(maps.astype(np.float64)) for maps in outputs]

    def _of_image(self, maps: Floats) -> Rows:
        _, h, w = maps.shape
        parts = maps[: self.boxes * PARTS].reshape(self.boxes, PARTS, h, w)
        x, y = _places(parts[:, 0], parts[:, 1])
        middle = np.stack([x / w, y / h], axis=-1)
        boxes = _around(middle, np.moveaxis(parts[:, 2:4], 1, -1) ** 2, self.size)
        scores = parts[:, 4, None] * maps[None, self.boxes * PARTS :]
        return self.kept.rows(boxes, np.moveaxis(scores, 1, -1).reshape(len(boxes), -1))


@dataclass(frozen=True, kw_only=True)
class PriorGrid:
    """How outputs (N, B (5 + K), h, w) float32 of the second YOLO become boxes."""

    size: tuple[int, int]
    """Height and width of the input."""
    priors: tuple[tuple[float, float], ...] = VOC_PRIORS
    """Width and height of B boxes, in cells."""
    kept: Kept = Kept()

    def decoded(self, outputs: Outputs) -> list[Rows]:
        """Return what was found in each image: (D, 6) float64 of class, x0, y0, x1, y1, score; the best first."""
        return [self._of_image(maps.astype(np.float64)) for maps in outputs]

    def _of_image(self, maps: Floats) -> Rows:
        _, h, w = maps.shape
        parts = maps.reshape(len(self.priors), -1, h, w)
        x, y = _places(sigmoid(parts[:, 0]), sigmoid(parts[:, 1]))
        sides = np.exp(np.clip(np.moveaxis(parts[:, 2:4], 1, -1), -LARGEST, LARGEST))
        sides *= np.array(self.priors)[:, None, None] / [w, h]
        boxes = _around(np.stack([x / w, y / h], axis=-1), sides, self.size)
        scores = sigmoid(parts[:, 4, None]) * softmax(parts[:, PARTS:])
        return self.kept.rows(boxes, np.moveaxis(scores, 1, -1).reshape(len(boxes), -1))


@dataclass(frozen=True, kw_only=True)
class OneBox:
    """How outputs (N, K + 4) float32 become one box: K logits, then x0, y0, x1, y1 in sides of the input."""

    size: tuple[int, int]
    """Height and width of the input."""

    def decoded(self, outputs: Outputs) -> list[Rows]:
        """Return the object of each image: (D, 6) float64 of class, x0, y0, x1, y1, score, with D = 1."""
        return [self._of_image(row.astype(np.float64)) for row in outputs]

    def _of_image(self, row: Floats) -> Rows:
        H, W = self.size
        scores = softmax(row[None, :-4])[0]
        corners = row[-4:].reshape(2, 2)
        box = np.concatenate([corners.min(axis=0), corners.max(axis=0)]) * [W, H, W, H]
        best = int(scores.argmax())
        return found([best], clipped(box[None], H, W), scores[[best]])


def softmax(logits: Floats) -> Floats:
    """Return probabilities (B, K, ...) float64 over K of logits of the same shape."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: Floats = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def _places(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return places inside cells (B, h, w) as places on the map, in cells."""
    h, w = x.shape[1:]
    return x + np.arange(w), y + np.arange(h)[:, None]


def _around(middle: Floats, sides: Floats, size: tuple[int, int]) -> Floats:
    """Return boxes (B h w, 4) in pixels of middles and sides (B, h, w, 2) in sides of the input."""
    H, W = size
    boxes = np.concatenate([middle - sides / 2, middle + sides / 2], axis=-1).reshape(-1, 4) * [W, H, W, H]
    return clipped(boxes, H, W)
