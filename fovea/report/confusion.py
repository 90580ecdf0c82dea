"""Which class is taken for which, as a page shows it: with numbers where there is room, else as a picture."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.report.page import picture
from fovea.report.rasters import confusion_picture

WRITTEN_OUT = 20
"""Classes up to which a confusion matrix has numbers and names."""


def confusion_values(counts: NDArray[np.int64]) -> dict[str, Any]:
    """Return the cells of counts (K, K) int64, rows true and columns answered classes, or else their picture."""
    large = len(counts) > WRITTEN_OUT
    return {
        "confusion": None if large else _cells(counts),
        "confusion_picture": picture(confusion_picture(counts), side=len(counts)) if large else None,
    }


def _cells(counts: NDArray[np.int64]) -> Sequence[Sequence[tuple[int, float]]]:
    """Return (count, share of the true class) by row and column."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    pairs = zip(counts.tolist(), shares.tolist(), strict=True)
    return [list(zip(row, share, strict=True)) for row, share in pairs]
