"""Disturbances of images, to measure what a network bears: moved, scaled, rotated, blurred, noisy, compressed images.

Images are uint8 (N, H, W, C) 0..255 and stay so. What comes into view repeats the border. Directions and noise are
drawn from a NumPy generator.
"""

import io
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional as F

from fovea.preprocess import Pixels

Disturb = Callable[[Pixels, float, Generator], Pixels]

SHIFTS = (1 / 28, 2 / 28, 3 / 28, 4 / 28, 6 / 28, 8 / 28)
BLURS = (0.01, 0.02, 0.03, 0.05, 0.08)
"""Shares of an image's shorter side."""


class Disturbance(NamedTuple):
    """A way to degrade images, and its strength."""

    name: str
    unit: str
    function: Disturb
    levels: tuple[float, ...]
    """From little to much; scales from small to large."""
    neutral: float | None
    """The level that changes nothing; None if there is none."""
    moves: bool = False
    """Whether pixels are elsewhere then, and with them what lies on the image."""


_SCALES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.1, 1.2, 1.4, 1.7, 2.0)
_ANGLES = (5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0)


def disturbances(size: tuple[int, int]) -> tuple[Disturbance, ...]:
    """Return what images of `size` (H, W) are put through; distances go with the shorter side."""
    side = min(size)
    shifts = tuple(sorted({float(max(1, round(share * side))) for share in SHIFTS}))
    blurs = tuple(round(share * side, 2) for share in BLURS)
    return (
        Disturbance("shift", "pixels, in one of four directions", shift, shifts, 0.0, moves=True),
        Disturbance("scale", "times the size", scale, _SCALES, 1.0, moves=True),
        Disturbance("rotation", "degrees, in either direction", rotate, _ANGLES, 0.0, moves=True),
        Disturbance("blur", "pixels, standard deviation of the Gaussian", blur, blurs, 0.0),
        Disturbance(
            "noise", "standard deviation, in grey levels (0 to 255)", noise, (8.0, 16.0, 32.0, 48.0, 64.0, 96.0), 0.0
        ),
        Disturbance("JPEG", "quality", jpeg, (5.0, 10.0, 20.0, 30.0, 50.0, 75.0, 95.0), None),
    )


def shift(images: Pixels, pixels: float, generator: Generator) -> Pixels:
    """Move each image by so many whole `pixels` up, down, left or right."""
    N, H, W, _ = images.shape
    by = int(pixels)
    steps = np.array([(-by, 0), (by, 0), (0, -by), (0, by)])[generator.integers(4, size=N)]
    rows = np.clip(np.arange(H) - steps[:, :1], 0, H - 1)
    columns = np.clip(np.arange(W) - steps[:, 1:], 0, W - 1)
    # indices (N, 1, 1), (N, H, 1) and (N, 1, W) broadcast to (N, H, W); channels come along
    moved: Pixels = images[np.arange(N)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return moved


def scale(images: Pixels, factor: float, _: Generator) -> Pixels:
    """Show what is in each image `factor` times as large, about its centre."""
    # the matrix says where a pixel is read: twice as large is half as far from the centre
    return _sampled(images, np.tile(np.eye(2) / factor, (len(images), 1, 1)))


def rotate(images: Pixels, degrees: float, generator: Generator) -> Pixels:
    """Turn each image about its centre by `degrees`, one way or the other."""
    angle = np.deg2rad(degrees) * generator.choice((-1, 1), len(images))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return _sampled(images, turn.transpose(2, 0, 1))


def blur(images: Pixels, deviation: float, _: Generator) -> Pixels:
    """Blur each image with a Gaussian of that standard `deviation` in pixels, cut off at three of them."""
    from scipy.ndimage import gaussian_filter

    sigma = (0, deviation, deviation, 0)  # along H and W only
    return _as_pixels(gaussian_filter(images.astype(np.float32), sigma, mode="nearest", truncate=3.0))


def noise(images: Pixels, deviation: float, generator: Generator) -> Pixels:
    """Add Gaussian noise of that standard `deviation` to each value, cut to 0..255."""
    return _as_pixels(images + np.float32(deviation) * generator.standard_normal(images.shape, np.float32))


def jpeg(images: Pixels, quality: float, _: Generator) -> Pixels:
    """Compress each image as a JPEG of that `quality` (1 to 95, as Pillow counts), and decode it again."""
    return np.stack([_compressed(image, int(quality)) for image in images])


def _compressed(image: Pixels, quality: int) -> Pixels:
    with io.BytesIO() as stream:
        # Pillow wants grey as (H, W)
        Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(stream, "JPEG", quality=quality)
        with Image.open(stream) as again:
            return np.asarray(again).reshape(image.shape)


def _sampled(images: Pixels, matrices: NDArray[np.float64]) -> Pixels:
    """Return each image where its (2, 2) matrix sends the pixels (x, y), counted from the centre; bilinear."""
    _, H, W, _ = images.shape
    square = np.array([[1, H / W], [W / H, 1]])  # positions are in half widths and half heights
    theta = np.concatenate([matrices * square, np.zeros((len(images), 2, 1))], axis=2)
    # a copy, as PyTorch warns of arrays that cannot be written, such as mapped files
    pixels = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float()
    grid = F.affine_grid(torch.from_numpy(theta).float(), list(pixels.shape), align_corners=False)
    sampled = F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)
    return _as_pixels(sampled.permute(0, 2, 3, 1).numpy())


def _as_pixels(values: NDArray[np.float32]) -> Pixels:
    return values.round().clip(0, 255).astype(np.uint8)
