"""What an export is proven on: real samples where there are some, else generated ones that look natural."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fovea.inputs.interface import Preprocessing, Stored

USUAL = 64
"""Samples of a proof."""
GENERATED = "generated samples"


class Samples(NamedTuple):
    """Stored samples, and where they are from."""

    stored: Stored
    """(N, ...) as `Preprocessing.read` returns them."""
    source: str
    """For a person."""


def generated(preprocess: Preprocessing, *, count: int = USUAL, size: Sequence[int] = ()) -> Samples:
    """Return samples with the spectrum of natural ones, amplitude falling as 1 / frequency, and the card's contrast.

    Their mean and deviation vary around those that the preprocessing subtracts. `size` stands for all axes of a sample
    but the channels, where it is not that of the input.
    """
    *own, C = preprocess.stored_shape
    sizes = tuple(size) or tuple(own)
    generator = np.random.default_rng(0)
    radius = _frequencies(sizes)
    noise = generator.standard_normal((count, *sizes, C))
    # channels agree with each other, as colours of one scene do
    noise = 0.5 * noise + noise.mean(axis=-1, keepdims=True) * np.sqrt(C)
    axes = tuple(range(1, len(sizes) + 1))
    values = np.fft.ifftn(np.fft.fftn(noise, axes=axes) / radius[..., None], axes=axes).real
    values /= values.std(axis=axes, keepdims=True) + 1e-12
    contrast = generator.uniform(0.5, 1.5, (count, *(1,) * len(sizes), 1))
    offset = generator.normal(0, 0.7, (count, *(1,) * len(sizes), 1))
    mean, std = np.array(preprocess.mean), np.array(preprocess.std)
    scaled = mean + std * (contrast * values + offset)
    if preprocess.dtype == "uint8":
        return Samples((255 * scaled).round().clip(0, 255).astype(np.uint8), GENERATED)
    return Samples(scaled.astype(preprocess.dtype), GENERATED)


def _frequencies(sizes: Sequence[int]) -> Stored:
    """Return the frequency at each place of a transform over `sizes`, float64, that of the mean as 1 cycle."""
    squares = np.zeros(sizes)
    for axis, length in enumerate(sizes):
        shape = [1] * len(sizes)
        shape[axis] = length
        squares = squares + (np.fft.fftfreq(length) * max(sizes)).reshape(shape) ** 2
    return np.sqrt(np.maximum(squares, 1.0))
