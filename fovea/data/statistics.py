"""Means and standard deviations of a part's pixels."""

import numpy as np

from fovea.data.dataset import Part
from fovea.inputs.interface import InputKind

MOST_IMAGES = 5000
"""Looked at, spread evenly over the part."""


def channel_statistics(part: Part, kind: InputKind) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation per channel of pixels scaled to 0..1, over at most `MOST_IMAGES`.

    Of another `kind` of input, those of what it takes them over.
    """
    chosen = np.linspace(0, len(part) - 1, min(MOST_IMAGES, len(part))).astype(int)
    total, squares, count = 0.0, 0.0, 0
    for index in chosen:
        pixels = kind.per_channel(part.decoded[index])
        total, squares, count = total + pixels.sum(0), squares + (pixels**2).sum(0), count + len(pixels)
    mean = np.asarray(total) / count
    # rounding can take the variance of a constant channel below 0, and who normalises divides by the deviation
    std = np.sqrt(np.maximum(np.asarray(squares) / count - mean**2, 1e-6))
    return tuple(round(float(m), 6) for m in mean), tuple(round(float(s), 6) for s in std)
