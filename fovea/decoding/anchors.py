"""Boxes of detectors with anchors: logits and deltas of each anchor.

Lin et al. 2017, arXiv:1708.02002 (RetinaNet), section 4. Outputs are (N, A, K + 4) float32, anchors (A, 4) in pixels:
nine at every place of five maps.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.decoding.boxes import SIDES, clipped, found, logit, sigmoid, suppressed

Outputs = NDArray[np.floating]
Rows = NDArray[np.float64]

LARGEST = math.log(1000 / 16)
"""Of a box's logarithm of its side, in sides of the anchor."""

STRIDES = (8, 16, 32, 64, 128)
"""Pixels of the input from one place of each map to the next."""
ANCHOR_SIDES = (32, 64, 128, 256, 512)
"""Of the anchors on each map, in pixels: the smallest of three."""
SCALES = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))
RATIOS = (0.5, 1.0, 2.0)
"""Height by width."""


class Level(NamedTuple):
    """A map whose cells have anchors."""

    cells: tuple[int, int]
    """Rows and columns."""
    step: tuple[int, int]
    """Pixels from cell to cell, down and to the right."""
    shapes: NDArray[np.float32]
    """(9, 4): the anchors of the first cell."""


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


def pyramid_anchors(size: tuple[int, int]) -> NDArray[np.float32]:
    """Return the anchors of images of `size` (height, width), (A, 4) float32: x0, y0, x1, y1 in pixels.

    Map by map, the finest first; place by place; nine each. They are torchvision's: rounded to whole pixels, around the
    upper left corners of cells.
    """
    found = []
    for (rows, columns), step, shapes in levels(size):
        y, x = np.mgrid[:rows, :columns] * np.array(step)[:, None, None]
        places = np.stack([x, y, x, y], axis=-1).reshape(-1, 1, 4)
        found.append((places + shapes).reshape(-1, 4).astype(np.float32))
    return np.concatenate(found)


def levels(size: tuple[int, int]) -> list[Level]:
    """Return the maps whose cells have anchors in images of `size` (height, width), the finest first."""
    cells = [_cells(size, stride) for stride in STRIDES]
    return [
        Level((rows, columns), (size[0] // rows, size[1] // columns), _at_a_place(side))
        for (rows, columns), side in zip(cells, ANCHOR_SIDES, strict=True)
    ]


def mirrored_order(size: tuple[int, int]) -> NDArray[np.int64]:
    """Return for each anchor (A,) the index of the one of its shape in the column as far from the right side."""
    each, first = len(SCALES) * len(RATIOS), 0
    found = []
    for stride in STRIDES:
        rows, columns = _cells(size, stride)
        indices = first + np.arange(rows * columns * each).reshape(rows, columns, each)
        found.append(indices[:, ::-1].reshape(-1))
        first += indices.size
    return np.concatenate(found)


def _cells(size: tuple[int, int], stride: int) -> tuple[int, int]:
    """Return rows and columns of the map of this stride."""
    return -(-size[0] // stride), -(-size[1] // stride)


def _at_a_place(side: int) -> NDArray[np.float32]:
    """Return the nine boxes around 0, 0, (9, 4) float32: x0, y0, x1, y1 in pixels; three scales, ratio by ratio."""
    scales = np.array([int(side * scale) for scale in SCALES], np.float32)
    heights: NDArray[np.float32] = np.sqrt(np.array(RATIOS, np.float32))
    h, w = ((ratio[:, None] * scales).ravel() for ratio in (heights, 1 / heights))
    boxes: NDArray[np.float32] = np.stack([-w, -h, w, h], axis=1)
    return np.asarray((boxes / 2).round())
