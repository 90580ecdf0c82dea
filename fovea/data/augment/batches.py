"""What augmentations of whole batches share: a draw per image, positions of pixels, reading between them, rounding."""

import torch
from torch import Generator, Tensor
from torch.nn import functional as F


def uniform(images: Tensor, generator: Generator, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Return one number in [low, high) per image, (N, 1, 1)."""
    draws = torch.rand(len(images), 1, 1, generator=generator, device=generator.device)
    return draws.to(images.device) * (high - low) + low


def pixel_grid(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return row and column numbers, (H, 1) and (W,), that broadcast over (N, H, W)."""
    _, _, H, W = images.shape
    return torch.arange(H, device=images.device)[:, None], torch.arange(W, device=images.device)


def sampled(images: Tensor, x: Tensor, y: Tensor, *, mode: str = "bilinear", padding: str = "reflection") -> Tensor:
    """Return the images at `x`, (N, 1 or H', W'), and `y`, (N, H', 1 or W'), in pixels from the left and top edges."""
    _, _, H, W = images.shape
    shape = len(images), y.shape[1], x.shape[2]
    grid = torch.stack(((x * (2 / W) - 1).expand(shape), (y * (2 / H) - 1).expand(shape)), dim=-1)
    return typed(F.grid_sample(images.float(), grid, mode=mode, padding_mode=padding, align_corners=False), images)


def typed(values: Tensor, images: Tensor) -> Tensor:
    """Return float `values` in the type of `images`: rounded where that is uint8."""
    if images.dtype == torch.uint8:
        values = values.add_(0.5).to(torch.uint8)
    return values.contiguous(memory_format=torch.channels_last)
