"""How similar two images are: the cosine of their low frequencies, whitened over the data set they come from.

A descriptor holds the lowest coefficients of a cosine transform, as perceptual hashes do, but not quantised: scaled to
length 1, then whitened, so that what all images of a data set share does not make any two of them similar.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.data.dataset import Images

SIDE = 32
"""Pixels of a side of the thumbnails that are compared."""
CHUNK = 2048
FITTED_IMAGES = 20_000
PRIOR_IMAGES = 100
"""The covariance is drawn towards the 1/f^2 power of natural images as strongly as so many images would draw it."""
RIDGE = 0.03
"""Share of the mean variance that is added to every direction, so that noise is not amplified without end."""

Floats = NDArray[np.floating[Any]]


class Box(NamedTuple):
    """A part of an image, in fractions of its height and width."""

    top: float
    left: float
    height: float
    width: float


WHOLE = Box(0, 0, 1, 1)


def planes(thumbnails: NDArray[np.uint8]) -> Floats:
    """Return uint8 (N, H, W, C) as luma and, of colours, two differences to it: float32 (N, 1 or 3, H, W)."""
    pixels = thumbnails.astype(np.float32).transpose(0, 3, 1, 2)
    if pixels.shape[1] == 1:
        return pixels
    red, green, blue = pixels[:, 0], pixels[:, 1], pixels[:, 2]
    # ITU-R BT.601, as in JPEG
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return np.stack([luma, (blue - luma) / 2, (red - luma) / 2], axis=1)


class Likeness:
    """Descriptors of `luma` x `luma` frequencies of brightness and `colour` x `colour` of each colour difference.

    They are float32 (N, D), D = luma^2 - 1 + 2 colour^2, of grey images luma^2 - 1; images as `planes` gives them.
    """

    def __init__(self, thumbnails: Images, *, luma: int, colour: int, generator: np.random.Generator) -> None:
        self.frequencies = (luma,) if thumbnails.shape[3] == 1 else (luma, colour, colour)
        N = min(len(thumbnails), FITTED_IMAGES)
        # in order, as rows may be mapped from a file
        sample = self.coefficients(thumbnails[np.sort(generator.choice(len(thumbnails), N, replace=False))])
        weight = N / (N + PRIOR_IMAGES)
        self.mean = weight * sample.mean(0)
        centred = (sample - sample.mean(0)).astype(np.float64)
        # without the mean luma, as descriptors; these have length 1, so the prior's variances get the sum 1
        prior = np.concatenate([_natural_power(F) for F in self.frequencies])[1:]
        covariance = weight * (centred.T @ centred) / N + (1 - weight) * np.diag(prior / prior.sum())
        # in the directions of the eigenvectors all variances become 1, but for the ridge
        values, vectors = np.linalg.eigh(covariance)
        self.matrix = (vectors / np.sqrt(values + RIDGE * values.mean())).astype(np.float32)

    def coefficients(self, thumbnails: Images, *, box: Box = WHOLE) -> Floats:
        """Return the raw descriptors (N, D) of a box of each of uint8 (N, S, S, C)."""
        chunks = [
            self.of_planes(planes(thumbnails[first : first + CHUNK]), box=box)
            for first in range(0, len(thumbnails), CHUNK)
        ]
        return np.concatenate(chunks)

    def of_planes(self, images: Floats, *, box: Box = WHOLE) -> Floats:
        """Return the raw descriptors (N, D) of a box of each image (N, C, S, S): length 1, the mean luma left out."""
        columns = []
        for index, frequencies in enumerate(self.frequencies):
            rows = _cosines(frequencies, images.shape[2], start=box.top, length=box.height)
            across = _cosines(frequencies, images.shape[3], start=box.left, length=box.width)
            columns.append((rows @ images[:, index] @ across.T).reshape(len(images), -1))
        return _unit(np.concatenate(columns, axis=1)[:, 1:])

    def mirrored(self, coefficients: Floats) -> Floats:
        """Return the raw descriptors of the mirror images."""
        # cos(pi k (1 - x)) = (-1)^k cos(pi k x), for the frequencies along columns
        signs = np.concatenate([np.tile((-1.0) ** np.arange(F), F) for F in self.frequencies])[1:]
        return coefficients * signs.astype(np.float32)

    def whiten(self, coefficients: Floats) -> Floats:
        """Return descriptors (N, D) of length 1, to be compared by their products, of raw ones."""
        return _unit((coefficients - self.mean) @ self.matrix)

    def between(self, first: Floats, second: Floats) -> Floats:
        """Return the similarity (N,) of images with images, both as planes (N, C, S, S)."""
        similarity: Floats = (self.whiten(self.of_planes(first)) * self.whiten(self.of_planes(second))).sum(1)
        return similarity


def _cosines(frequencies: int, S: int, *, start: float, length: float) -> Floats:
    """Return the integrals of cos(pi k x), k < frequencies, x from 0 to 1 over a span, in each of S pixels."""
    # pixels outside of the span have no width in it, so their integrals are 0
    edges = np.clip((np.arange(S + 1) / S - start) / length, 0, 1)
    k = np.arange(1, frequencies)[:, None]
    # the integral of cos(pi k x) is sin(pi k x) / (pi k)
    waves = np.diff(np.sin(np.pi * k * edges)) / (np.pi * k)
    return np.concatenate([np.diff(edges)[None], waves]).astype(np.float32)


def _natural_power(frequencies: int) -> Floats:
    rows, columns = np.indices((frequencies, frequencies))
    power: Floats = 1 / np.maximum(rows**2 + columns**2, 1)
    return power.ravel()


def _unit(vectors: Floats) -> Floats:
    """Return rows of length 1; rows of (nearly) nothing become zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Floats = np.where(lengths > 1e-5, vectors / np.maximum(lengths, 1e-5), 0)
    return unit
