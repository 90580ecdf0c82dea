"""What an export is proven on: real samples where there are some, else generated ones that look natural."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.inputs.interface import Preprocessing, Stored

FEWEST = 16
"""Fewer samples than these are completed with generated ones: outputs must vary for a comparison to mean anything."""
USUAL = 64
"""Samples of a proof."""
GENERATED = "generated samples"


class Samples(NamedTuple):
    """Stored samples, and where they are from."""

    stored: Stored
    """(N, ...) as `Preprocessing.read` returns them."""
    source: str
    """For a person."""


def completed(found: Samples, preprocess: Preprocessing) -> Samples:
    """Return samples that are enough for a proof: few are followed by generated ones."""
    count = len(found.stored)
    if count >= FEWEST:
        return found
    more = generated(preprocess, count=FEWEST - count)
    return Samples(np.concatenate([found.stored, more.stored]), f"{found.source} ({count}) and {more.source}")


def generated(preprocess: Preprocessing, *, count: int = USUAL, size: Sequence[int] = ()) -> Samples:
    """Return samples with the spectrum of natural ones, amplitude falling as 1 / frequency, and the card's contrast.

    Their mean and deviation vary around those that the preprocessing subtracts. `size` stands for all axes of a sample
    but the channels, where it is not that of the input.
    """
    from scipy import fft

    C, shape = preprocess.channels, preprocess.stored_shape
    last = shape[-1] == C  # else the channels are the first axis
    sizes = tuple(size) or (shape[:-1] if last else shape[1:])
    generator = np.random.default_rng(0)
    fall = 1 / _frequencies(sizes)[..., None]
    axes = tuple(range(len(sizes)))
    mean, std = (np.array(values, np.float32) for values in (preprocess.mean, preprocess.std))
    samples = []
    for _ in range(count):
        noise = generator.standard_normal((*sizes, C), dtype=np.float32)
        # channels agree with each other, as colours of one scene do
        noise = noise / 2 + noise.mean(axis=-1, keepdims=True) * np.float32(C**0.5)
        values = fft.irfftn(fft.rfftn(noise, axes=axes) * fall, s=sizes, axes=axes)
        values *= generator.uniform(0.5, 1.5) / (values.std() + 1e-9)
        samples.append(mean + std * (values + generator.normal(0, 0.7)))
    scaled = np.stack(samples) if last else np.moveaxis(np.stack(samples), -1, 1)
    if preprocess.dtype == "uint8":
        return Samples((255 * scaled).round().clip(0, 255).astype(np.uint8), GENERATED)
    return Samples(scaled.astype(preprocess.dtype), GENERATED)


def _frequencies(sizes: Sequence[int]) -> NDArray[np.float32]:
    """Return the frequency at each place of a real transform over `sizes`, float32, that of the mean as 1 cycle."""
    *others, last = sizes
    along = [*(np.fft.fftfreq(length, 1 / max(sizes)) for length in others), np.fft.rfftfreq(last, 1 / max(sizes))]
    squares = sum(grid**2 for grid in np.meshgrid(*along, indexing="ij"))
    frequencies: NDArray[np.float32] = np.sqrt(np.maximum(squares, 1.0)).astype(np.float32)
    return frequencies
