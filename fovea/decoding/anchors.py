"""Boxes of detectors with anchors: logits and deltas of each anchor.

Lin et al. 2017, arXiv:1708.02002 (RetinaNet), section 4. Outputs are (N, A, K + 4) float32, anchors (A, 4) in pixels.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fovea.decoding.boxes import SIDES, clipped, found, logit, sigmoid, suppressed

Outputs = NDArray[np.floating]
Rows = NDArray[np.float64]

LARGEST = math.log(1000 / 16)
"""Of a box's logarithm of its side, in sides of the anchor."""


@dataclass(frozen=True, kw_only=True)
class Anchored:
    """How outputs (N, A, K + 4) float32 become boxes."""

    anchors: NDArray[np.floating]
    """(A, 4), in pixels of the input."""
    size: tuple[int, int]
    """Height and width of the input."""
    most: int = 100
    """Boxes of an image."""
    candidates: int = 1000
    """So many of the highest scores are looked at."""
    least: float = 0.05
    """Score from which on a box counts, 0 to 1."""
    overlap: float = 0.5
    """Intersection over union above which the lower of two boxes of a class falls."""

    def decoded(self, outputs: Outputs) -> list[Rows]:
        """Return what was found in each image: (D, 6) float64 of class, x0, y0, x1, y1, score; the best first."""
        return [self._of_image(rows) for rows in outputs]

    def _of_image(self, rows: Outputs) -> Rows:
        logits = rows[:, :-SIDES]
        (cells,) = np.nonzero(logits.ravel() >= logit(self.least))
        values = logits.ravel()[cells]
        order = np.argsort(-values, kind="stable")[: self.candidates]
        own, classes = np.divmod(cells[order], logits.shape[1])
        boxes = clipped(boxes_of(rows[own, -SIDES:], self.anchors[own]), *self.size)
        scores = sigmoid(values[order].astype(np.float64))
        stays = suppressed(boxes, scores, classes, overlap=self.overlap)[: self.most]
        return found(classes[stays], boxes[stays], scores[stays])


def boxes_of(deltas: Outputs, anchors: Outputs) -> Rows:
    """Return the boxes (A, 4) float64 for which deltas (A, 4) at anchors (A, 4) stand (Girshick et al. 2014)."""
    deltas, anchors = deltas.astype(np.float64), anchors.astype(np.float64)
    own = anchors[:, 2:] - anchors[:, :2]
    middle = anchors[:, :2] + own / 2 + deltas[:, :2] * own
    half = np.exp(np.minimum(deltas[:, 2:], LARGEST)) * own / 2
    return np.hstack([middle - half, middle + half])
