"""Copies among images of a few pixels, where different ones are very similar: handwritten ones in 8 x 8 pixels.

So few pixels hold no details that tell a crop from another image. A copy shows the whole image, mirrored at most, and
is much nearer to it than other images are: the ratio test of Lowe 2004, section 7.1, on all pixels.
"""

import numpy as np
from numpy.typing import NDArray

from fovea.data.dataset import Images
from fovea.data.duplicates.candidates import Candidates
from fovea.data.duplicates.likeness import CHUNK, Floats, planes

TINY = 16
"""Images with a side of fewer pixels are tiny: fewer than the frequencies that are compared otherwise."""
NEIGHBOUR, RATIO = 20, 0.22
"""A copy is nearer than this share of the distance to the 20th neighbour, of both images."""


def is_tiny(size: tuple[int, ...] | None) -> bool:
    """Tell whether images of this height and width are tiny; those of several sizes (None) are not."""
    return size is not None and min(size) < TINY


def true_copies(thumbnails: Images, candidates: Candidates) -> tuple[NDArray[np.bool_], Floats]:
    """Tell of each pair (CANDIDATE) among uint8 (N, S, S, C) whether it is a copy, and how similar it is (-1..1).

    The likeness is the correlation of the pixels, whatever brightness and contrast.
    """
    vectors = _unit(planes(np.asarray(thumbnails)))
    alike = np.zeros(len(candidates), np.float32)
    for mirrored in (False, True):
        rows = np.flatnonzero(candidates["mirrored"] == mirrored)
        for first in range(0, len(rows), CHUNK):
            some = rows[first : first + CHUNK]
            inner, outer = (thumbnails[candidates[end][some]] for end in ("inner", "outer"))
            other = _unit(planes(outer[:, :, ::-1] if mirrored else outer))
            alike[some] = (_unit(planes(inner)) * other).sum(1)
    # of unit vectors the squared distance is 2 (1 - correlation)
    asked = np.unique([candidates["inner"], candidates["outer"]])
    most = np.full(len(thumbnails), np.inf, np.float32)
    most[asked] = RATIO**2 * (1 - _neighbours(vectors, asked))
    bound = np.minimum(most[candidates["inner"]], most[candidates["outer"]])
    return (candidates["view"] == 0) & (1 - alike < bound), alike


def _neighbours(vectors: Floats, asked: NDArray[np.int64]) -> Floats:
    """Return the correlation of each that is asked for with its 20th nearest neighbour."""
    N = len(vectors)
    rank = min(NEIGHBOUR, N // 2) + 1  # each is its own nearest
    found = [
        np.partition(vectors[asked[first : first + CHUNK]] @ vectors.T, N - rank, axis=1)[:, N - rank]
        for first in range(0, len(asked), CHUNK)
    ]
    return np.concatenate([np.zeros(0, np.float32), *found])


def _unit(images: Floats) -> Floats:
    """Return images (N, C, S, S) as rows of mean 0 and length 1; plain ones become zeros."""
    rows = images.reshape(len(images), images.shape[1], -1)
    flat = (rows - rows.mean(2, keepdims=True)).reshape(len(images), -1)
    lengths = np.linalg.norm(flat, axis=1, keepdims=True)
    unit: Floats = np.where(lengths > 1, flat / np.maximum(lengths, 1), 0)
    return unit
