"""Augmentations of whole batches of series; each series is drawn on its own.

Series are (N, C, T) float32 in the unit of their values, before they are normalised; results have the same shape.
Jitter, scaling and window slicing: Um et al. 2017, arXiv:1706.00527, section 3; Le Guennec et al. 2016.
"""

import torch
from torch import Generator, Tensor

from fovea.data.augment.batches import uniform


def along(series: Tensor, positions: Tensor) -> Tensor:
    """Return series (N, C, T) read at `positions` (N, t), in steps from the first, linear; ends are repeated."""
    T = series.shape[-1]
    places = positions.clamp(0, T - 1)
    below = places.floor().long().clamp(max=max(T - 2, 0))
    share = (places - below)[:, None]
    C = series.shape[1]
    first, second = (series.gather(2, at[:, None].expand(-1, C, -1)) for at in (below, (below + 1).clamp(max=T - 1)))
    return first.lerp(second, share.to(series.dtype))


def shifted(series: Tensor, generator: Generator, *, steps: int) -> Tensor:
    """Move each series by up to `steps` either way, a whole number; what enters repeats its end."""
    T = series.shape[-1]
    moved = (uniform(series, generator) * (2 * steps + 1)).floor()[:, :, 0] - steps
    return along(series, torch.arange(T, device=series.device)[None] + moved)


def window(series: Tensor, generator: Generator, *, share: float) -> Tensor:
    """Take a random window of at least `share` of each series, and stretch it to the whole length."""
    T = series.shape[-1]
    length = uniform(series, generator, share, 1.0)[:, :, 0] * (T - 1)
    first = uniform(series, generator)[:, :, 0] * (T - 1 - length)
    return along(series, first + length * torch.linspace(0, 1, T, device=series.device)[None])


def scaled(series: Tensor, generator: Generator, *, strength: float) -> Tensor:
    """Scale each channel of each series about its mean by 1 - `strength` to 1 + `strength`."""
    N, C, _ = series.shape
    draws = torch.rand(N, C, 1, generator=generator, device=generator.device).to(series.device)
    mean = series.mean(2, keepdim=True)
    return mean + (series - mean) * (1 + strength * (2 * draws - 1))


def jittered(series: Tensor, generator: Generator, *, sigma: float) -> Tensor:
    """Add normal noise whose deviation is `sigma` times that of each channel of each series."""
    noise = torch.randn(series.shape, generator=generator, device=generator.device).to(series.device)
    deviation = series.std(2, correction=0, keepdim=True)
    return series + sigma * deviation * noise
