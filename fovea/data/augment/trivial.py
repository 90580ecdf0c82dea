"""TrivialAugment: Mueller and Hutter 2021, arXiv:2103.10158: one random operation of random strength for each image.

The fourteen operations and the wide space of strengths of its table; levels 0 to 30, drawn uniformly. Departure:
`solarize` begins at a threshold of 256, so that level 0 leaves every image as it is (but `autocontrast` and `equalize`,
which have no level).

Images are (N, C, H, W), uint8 0..255 or float32 on the same scale.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from fovea.data.augment.batches import pixel_centres, sampled, typed
from fovea.data.augment.colour import luminance
from fovea.data.augment.geometry import Moved

LEVELS = 30
Source = Callable[[Tensor, Tensor, Tensor, tuple[int, int]], tuple[Tensor, Tensor]]
"""x and y of moved pixels, a strength for each image, (n, 1, 1), and the size (H, W) -> x and y they come from."""


class Operation(NamedTuple):
    """What is done to float pixels 0..255, (n, C, H, W), with a strength each, (n, 1, 1, 1)."""

    apply: Callable[[Tensor, Tensor], Tensor]
    largest: float = 0.0
    """Strength at the highest level."""
    signed: bool = False
    """Whether the strength is negative for half of the images."""
    source: Source | None = None
    """Where moved pixels come from; None if none move."""


def trivial_augment(images: Tensor, generator: Generator) -> Moved:
    """Change each image by one operation, drawn with its level; uncovered pixels are black, positions are whole.

    Which operations were drawn is looked at on the host, so that each runs only on the images it is for.
    """
    result, drawn = images.to(torch.float32, copy=True), _drawn(images, generator)
    for operation, chosen, strength in drawn:
        result[chosen] = operation.apply(result[chosen], strength)
    N, _, H, W = images.shape

    def source(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        shape = N, y.shape[1], x.shape[2]
        x, y = x.expand(shape).clone(), y.expand(shape).clone()
        for operation, chosen, strength in drawn:
            if operation.source:
                x[chosen], y[chosen] = operation.source(x[chosen], y[chosen], strength[:, 0], (H, W))
        return x, y

    return Moved(typed(result.clamp_(0, 255), images), source, (H, W), "zeros")


def _drawn(images: Tensor, generator: Generator) -> list[tuple[Operation, Tensor, Tensor]]:
    """Return the operations that were drawn, each with the images it is for, (n,), and their strengths."""
    N, device = len(images), generator.device
    kinds = torch.randint(len(OPERATIONS), (N,), generator=generator, device=device).cpu()
    levels = torch.randint(LEVELS + 1, (N, 1, 1, 1), generator=generator, device=device).to(images.device)
    signs = torch.randint(2, (N, 1, 1, 1), generator=generator, device=device).to(images.device) * 2 - 1
    drawn = []
    for kind, operation in enumerate(OPERATIONS.values()):
        chosen = (kinds == kind).nonzero().flatten().to(images.device)
        if len(chosen):
            signed = signs[chosen] if operation.signed else 1
            drawn.append((operation, chosen, levels[chosen] * (operation.largest / LEVELS) * signed))
    return drawn


def _identity(pixels: Tensor, _: Tensor) -> Tensor:
    return pixels


def _shear_x(x: Tensor, y: Tensor, slope: Tensor, _: tuple[int, int]) -> tuple[Tensor, Tensor]:
    return x + slope * y, y


def _shear_y(x: Tensor, y: Tensor, slope: Tensor, _: tuple[int, int]) -> tuple[Tensor, Tensor]:
    return x, y + slope * x


def _translate_x(x: Tensor, y: Tensor, distance: Tensor, _: tuple[int, int]) -> tuple[Tensor, Tensor]:
    return x - distance.trunc(), y


def _translate_y(x: Tensor, y: Tensor, distance: Tensor, _: tuple[int, int]) -> tuple[Tensor, Tensor]:
    return x, y - distance.trunc()


def _rotate(x: Tensor, y: Tensor, degrees: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Turn by `degrees` against the clock about the middle."""
    H, W = size
    x, y = x - W / 2, y - H / 2
    angle = degrees * (math.pi / 180)
    cos, sin = angle.cos(), angle.sin()
    return cos * x - sin * y + W / 2, sin * x + cos * y + H / 2


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


def _movement(source: Source, largest: float) -> Operation:
    """Return the operation that takes each pixel from where `source` says, and black from outside."""

    def apply(pixels: Tensor, strength: Tensor) -> Tensor:
        size = pixels.shape[2], pixels.shape[3]
        x, y = source(*pixel_centres(size, pixels.device), strength[:, 0], size)
        return sampled(pixels, x, y, mode="nearest", padding="zeros")

    return Operation(apply, largest, signed=True, source=source)


OPERATIONS = {
    "identity": Operation(_identity),
    "shear-x": _movement(_shear_x, 0.99),
    "shear-y": _movement(_shear_y, 0.99),
    "translate-x": _movement(_translate_x, 32),
    "translate-y": _movement(_translate_y, 32),
    "rotate": _movement(_rotate, 135),
    "brightness": Operation(_brightness, 0.99, signed=True),
    "colour": Operation(_colour, 0.99, signed=True),
    "contrast": Operation(_contrast, 0.99, signed=True),
    "sharpness": Operation(_sharpness, 0.99, signed=True),
    "posterize": Operation(_posterize, 6),
    "solarize": Operation(_solarize, 256),
    "autocontrast": Operation(_autocontrast),
    "equalize": Operation(_equalize),
}
