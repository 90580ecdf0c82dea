"""What augmentations of whole batches share: a draw per image, positions of pixels, reading between them, rounding.

Images are (N, C, H, W), uint8 0..255 or float32 on the same scale.
"""

import torch
from torch import Generator, Tensor
from torch.nn import functional as F


def uniform(images: Tensor, generator: Generator, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Return one number in [low, high) per image, (N, 1, 1)."""
    draws = torch.rand(len(images), 1, 1, generator=generator, device=generator.device)
    return draws.to(images.device) * (high - low) + low


def pixel_centres(size: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return x, (1, 1, W), and y, (1, H, 1), of the pixels of images of `size` (H, W): 0.5, 1.5, ..."""
    y, x = (torch.arange(side, device=device) + 0.5 for side in size)
    return x[None, None], y[None, :, None]


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
    return values.contiguous(memory_format=torch.channels_last) if values.ndim == 4 else values
