"""What a network saw and said of its validation images: what drift is measured against, once it is served."""

import numpy as np
from numpy.typing import NDArray

from fovea.data.dataset import Images
from fovea.drift import Reference, measures_of
from fovea.inputs.interface import Preprocessing
from fovea.model.predictor import Predictor

MOST = 2000
"""Images that count, spread evenly over the part: enough for tenths."""
AT_ONCE = 64


def chosen_images(count: int) -> NDArray[np.int64]:
    """Return the indices (M,) int64 of those of `count` images that a reference is made of."""
    chosen: NDArray[np.int64] = np.unique(np.linspace(0, count - 1, min(count, MOST)).astype(np.int64))
    return chosen


def reference_of(split: str, images: Images, rows: NDArray[np.float64], preprocess: Preprocessing) -> Reference:
    """Return the reference of stored images (N, ...), which may be roomy, and their decoded rows (N, K) float64."""
    chosen = chosen_images(len(rows))
    measured = []
    for first in range(0, len(chosen), AT_ONCE):
        some = chosen[first : first + AT_ONCE]
        samples = np.stack([preprocess.fit_stored(np.asarray(images[int(index)])) for index in some])
        measured.append(measures_of(samples, rows[some]))
    return Reference.of(split, np.concatenate(measured))


def reference_by(predictor: Predictor, split: str, images: Images) -> Reference:
    """Return the reference of stored images (N, ...) uint8 of images, which the network is asked about here."""
    chosen = chosen_images(len(images))
    measured = []
    for first in range(0, len(chosen), AT_ONCE):
        samples = np.stack([np.asarray(images[int(index)]) for index in chosen[first : first + AT_ONCE]])
        measured.append(measures_of(samples, predictor.target.watched(predictor.scores(samples))))
    return Reference.of(split, np.concatenate(measured))
