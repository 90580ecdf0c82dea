"""Augmentations of whole batches of spectrograms; each is drawn on its own.

Spectrograms are (N, 1, F, T) float32 decibels, before they are normalised; results have the same shape.
Masks of time and frequency: Park et al. 2019, arXiv:1904.08779, section 2. What is masked gets the mean, as there.
"""

import math

import torch
from torch import Generator, Tensor

from fovea.data.augment.batches import uniform

MASKS = 2
"""Of each kind, as in the paper's policy LD."""


def moved(spectrograms: Tensor, generator: Generator, *, steps: int, axis: int) -> Tensor:
    """Move each spectrogram by up to `steps` along an axis, either way; what enters is its quietest value."""
    size = spectrograms.shape[axis]
    shift = (uniform(spectrograms, generator) * (2 * steps + 1)).floor()[..., None].long() - steps
    shape = [1, 1, 1, 1]
    shape[axis] = size
    places = torch.arange(size, device=spectrograms.device).view(shape) + shift
    inside = (places >= 0) & (places < size)
    found = spectrograms.gather(axis, places.clamp(0, size - 1).expand(spectrograms.shape))
    return torch.where(inside, found, spectrograms.amin((1, 2, 3), keepdim=True))


def later(spectrograms: Tensor, generator: Generator, *, frames: int) -> Tensor:
    """Move each spectrogram by up to so many frames to the left or right."""
    return moved(spectrograms, generator, steps=frames, axis=3)


def higher(spectrograms: Tensor, generator: Generator, *, bands: int) -> Tensor:
    """Move each spectrogram by up to so many bands up or down: on the mel scale, about as another voice."""
    return moved(spectrograms, generator, steps=bands, axis=2)


def _masked(spectrograms: Tensor, generator: Generator, *, most: int, axis: int) -> Tensor:
    size = spectrograms.shape[axis]
    shape = [1, 1, 1, 1]
    shape[axis] = size
    places = torch.arange(size, device=spectrograms.device).view(shape)
    hidden = torch.zeros((), dtype=torch.bool, device=spectrograms.device)
    for _ in range(MASKS):
        width = (uniform(spectrograms, generator) * (min(most, size) + 1)).floor()[..., None]
        first = (uniform(spectrograms, generator)[..., None] * (size - width + 1)).floor()
        hidden = hidden | ((places >= first) & (places < first + width))
    return torch.where(hidden, spectrograms.mean((1, 2, 3), keepdim=True), spectrograms)


def mask_time(spectrograms: Tensor, generator: Generator, *, frames: int) -> Tensor:
    """Hide two stretches of up to so many frames."""
    return _masked(spectrograms, generator, most=frames, axis=3)


def mask_bands(spectrograms: Tensor, generator: Generator, *, bands: int) -> Tensor:
    """Hide two groups of up to so many neighbouring bands."""
    return _masked(spectrograms, generator, most=bands, axis=2)


def gain(spectrograms: Tensor, generator: Generator, *, decibels: float) -> Tensor:
    """Make each spectrogram louder or quieter by up to so many decibels."""
    return spectrograms + uniform(spectrograms, generator, -decibels, decibels)[..., None]


def stretched(spectrograms: Tensor, generator: Generator, *, share: float) -> Tensor:
    """Make each spectrogram slower or faster by up to `share` about its middle; what enters is its quietest value."""
    T = spectrograms.shape[3]
    pace = torch.exp(uniform(spectrograms, generator, -1.0, 1.0) * math.log1p(share))[..., None]
    middle = (T - 1) / 2
    places = middle + (torch.arange(T, device=spectrograms.device).view(1, 1, 1, T) - middle) * pace
    inside = (places >= 0) & (places <= T - 1)
    below = places.floor().clamp(0, max(T - 2, 0)).long()
    first, second = (
        spectrograms.gather(3, at.expand(spectrograms.shape)) for at in (below, (below + 1).clamp(max=T - 1))
    )
    moved = first.lerp(second, (places - below).to(spectrograms.dtype).expand(spectrograms.shape))
    return torch.where(inside, moved, spectrograms.amin((1, 2, 3), keepdim=True))


def equalised(spectrograms: Tensor, generator: Generator, *, decibels: float) -> Tensor:
    """Add a curve over the bands of up to so many decibels at its ends, as another microphone and room would.

    A straight line and half a wave of the cosine's second harmonic, both drawn for each spectrogram.
    """
    F = spectrograms.shape[2]
    place = torch.linspace(-1, 1, F, device=spectrograms.device).view(1, 1, F, 1)
    slope, bend = (uniform(spectrograms, generator, -decibels / 2, decibels / 2)[..., None] for _ in range(2))
    return spectrograms + slope * place + bend * torch.cos(math.pi * place)
