"""TrivialAugment: Mueller and Hutter 2021, arXiv:2103.10158: one random operation of random strength for each image.

The fourteen operations and the wide space of strengths of its table; levels 0 to 30, drawn uniformly. Departure:
`solarize` begins at a threshold of 256, so that level 0 leaves every image as it is (but `autocontrast` and `equalize`,
which have no level).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from fovea.data.augment.batches import pixel_grid, sampled, typed
from fovea.data.augment.colour import luminance

LEVELS = 30


class Operation(NamedTuple):
    """What is done to float pixels 0..255, (n, C, H, W), with a strength each, (n, 1, 1, 1)."""

    apply: Callable[[Tensor, Tensor], Tensor]
    largest: float = 0.0
    """Strength at the highest level."""
    signed: bool = False
    """Whether the strength is negative for half of the images."""


def trivial_augment(images: Tensor, generator: Generator) -> Tensor:
    """Change each image by one operation, drawn with its level; uncovered pixels are black, positions are whole.

    Which operations were drawn is looked at on the host, so that each runs only on the images it is for.
    """
    N, device = len(images), generator.device
    kinds = torch.randint(len(OPERATIONS), (N,), generator=generator, device=device).cpu()
    levels = torch.randint(LEVELS + 1, (N, 1, 1, 1), generator=generator, device=device).to(images.device)
    signs = torch.randint(2, (N, 1, 1, 1), generator=generator, device=device).to(images.device) * 2 - 1
    result = images.to(torch.float32, copy=True)
    for kind, (apply, largest, signed) in enumerate(OPERATIONS.values()):
        chosen = (kinds == kind).nonzero().flatten().to(images.device)
        if len(chosen):
            strength = levels[chosen] * (largest / LEVELS) * (signs[chosen] if signed else 1)
            result[chosen] = apply(result[chosen], strength)
    return typed(result.clamp_(0, 255), images)


def _identity(pixels: Tensor, _: Tensor) -> Tensor:
    return pixels


def _shear_x(pixels: Tensor, slope: Tensor) -> Tensor:
    rows, columns = _centres(pixels)
    return _moved(pixels, columns + slope[:, 0] * rows, rows)


def _shear_y(pixels: Tensor, slope: Tensor) -> Tensor:
    rows, columns = _centres(pixels)
    return _moved(pixels, columns, rows + slope[:, 0] * columns)


def _translate_x(pixels: Tensor, distance: Tensor) -> Tensor:
    rows, columns = _centres(pixels)
    return _moved(pixels, columns - distance[:, 0].trunc(), rows)


def _translate_y(pixels: Tensor, distance: Tensor) -> Tensor:
    rows, columns = _centres(pixels)
    return _moved(pixels, columns, rows - distance[:, 0].trunc())


def _rotate(pixels: Tensor, degrees: Tensor) -> Tensor:
    """Turn by `degrees` against the clock about the middle."""
    _, _, H, W = pixels.shape
    rows, columns = _centres(pixels)
    y, x = rows - H / 2, columns - W / 2
    angle = degrees[:, 0] * (math.pi / 180)
    cos, sin = angle.cos(), angle.sin()
    return _moved(pixels, cos * x - sin * y + W / 2, sin * x + cos * y + H / 2)


def _brightness(pixels: Tensor, change: Tensor) -> Tensor:
    return pixels * (1 + change)


def _colour(pixels: Tensor, change: Tensor) -> Tensor:
    return luminance(pixels).lerp(pixels, 1 + change)


def _contrast(pixels: Tensor, change: Tensor) -> Tensor:
    return luminance(pixels).mean((1, 2, 3), keepdim=True).lerp(pixels, 1 + change)


def _sharpness(pixels: Tensor, change: Tensor) -> Tensor:
    """Move away from, or towards, the pixels smoothed by [[1, 1, 1], [1, 5, 1], [1, 1, 1]] / 13; the border stays."""
    n, C, H, W = pixels.shape
    if min(H, W) < 3:
        return pixels
    kernel = torch.ones(1, 1, 3, 3, device=pixels.device)
    kernel[..., 1, 1] = 5
    smooth = pixels.clone()
    smooth[..., 1:-1, 1:-1] = F.conv2d(pixels.reshape(n * C, 1, H, W), kernel / 13).view(n, C, H - 2, W - 2)
    return smooth.lerp(pixels, 1 + change)


def _posterize(pixels: Tensor, bits: Tensor) -> Tensor:
    """Clear the lowest `bits`, rounded, of eight."""
    step = 2 ** bits.round()
    return (pixels / step).floor() * step


def _solarize(pixels: Tensor, depth: Tensor) -> Tensor:
    """Invert what is at least as bright as 256 - `depth`."""
    return torch.where(pixels >= 256 - depth, 255 - pixels, pixels)


def _autocontrast(pixels: Tensor, _: Tensor) -> Tensor:
    """Stretch each channel to 0..255; a channel of one value stays."""
    low, high = pixels.amin((2, 3), keepdim=True), pixels.amax((2, 3), keepdim=True)
    return torch.where(high > low, (pixels - low) * (255 / (high - low)), pixels)


def _equalize(pixels: Tensor, _: Tensor) -> Tensor:
    """Give each channel as flat a histogram of whole values as Pillow's `equalize` does."""
    values = pixels.round().long().flatten(2)
    counts = values.new_zeros((*values.shape[:2], 256)).scatter_add_(2, values, torch.ones_like(values))
    step = (values.shape[2] - counts.gather(2, values.amax(2, keepdim=True))) // 255
    below = counts.cumsum(2) - counts
    flat = ((below + step // 2) // step.clamp(min=1)).clamp(max=255).gather(2, values)
    return torch.where(step > 0, flat, values).view(pixels.shape).float()


def _centres(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distance of each pixel's centre from the top, (1, H, 1), and from the left, (1, 1, W)."""
    rows, columns = pixel_grid(pixels)
    return (rows + 0.5)[None], (columns + 0.5)[None, None]


def _moved(pixels: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return sampled(pixels, x, y, mode="nearest", padding="zeros")


OPERATIONS = {
    "identity": Operation(_identity),
    "shear-x": Operation(_shear_x, 0.99, signed=True),
    "shear-y": Operation(_shear_y, 0.99, signed=True),
    "translate-x": Operation(_translate_x, 32, signed=True),
    "translate-y": Operation(_translate_y, 32, signed=True),
    "rotate": Operation(_rotate, 135, signed=True),
    "brightness": Operation(_brightness, 0.99, signed=True),
    "colour": Operation(_colour, 0.99, signed=True),
    "contrast": Operation(_contrast, 0.99, signed=True),
    "sharpness": Operation(_sharpness, 0.99, signed=True),
    "posterize": Operation(_posterize, 6),
    "solarize": Operation(_solarize, 256),
    "autocontrast": Operation(_autocontrast),
    "equalize": Operation(_equalize),
}
