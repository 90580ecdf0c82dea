"""Boxes of the centre form: a map of centres per class, and four distances at each cell.

Outputs are (N, K + 4, h, w) float32: K logits, then the logarithms of the distances left, top, right and bottom from
the centre of the cell to the sides of the box, in units of the stride.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fovea.decoding.boxes import SIDES, clipped, found, logit, sigmoid, suppressed
from fovea.decoding.peaks import peaks

Outputs = NDArray[np.floating]
Rows = NDArray[np.float64]

LARGEST = 8.0
"""Of the logarithms: a distance of 2,981 cells."""


@dataclass(frozen=True, kw_only=True)
class Centres:
    """How outputs (N, K + 4, h, w) float32 become boxes."""

    stride: int = 4
    """Pixels of the input in a cell, on each axis."""
    most: int = 100
    """Boxes of an image."""
    least: float = 0.01
    """Score from which on a box counts, 0 to 1."""
    overlap: float = 0.6
    """Intersection over union above which the lower of two boxes of a class falls; 1 leaves all."""

    def decoded(self, outputs: Outputs) -> list[Rows]:
        """Return what was found in each image: (D, 6) float64 of class, x0, y0, x1, y1, score; the best first."""
        return [self._of_image(maps) for maps in outputs]

    def _of_image(self, maps: Outputs) -> Rows:
        K, (h, w) = len(maps) - SIDES, maps.shape[1:]
        centres = peaks(maps[:K], most=self.most, least=logit(self.least))
        at = np.stack([centres.columns, centres.rows], axis=1) + 0.5
        sides = distances(maps[K:, centres.rows, centres.columns].T.astype(np.float64))
        boxes = np.hstack([at - sides[:, :2], at + sides[:, 2:]]) * self.stride
        boxes = clipped(boxes, h * self.stride, w * self.stride)
        scores = sigmoid(centres.values.astype(np.float64))
        stays = suppressed(boxes, scores, centres.maps, overlap=self.overlap)
        return found(centres.maps[stays], boxes[stays], scores[stays])


def distances(outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distances of any shape, float64 above 0, for which outputs stand; bounded against overflow."""
    return np.exp(np.clip(outputs, -LARGEST, LARGEST))
