"""Augmentations that change the colours of whole batches and move nothing; images as in `recipes`.

Images are (N, C, H, W), uint8 0..255 or float32 on the same scale.
"""

import torch
from torch import Generator, Tensor

from fovea.data.augment.batches import typed, uniform

GREY = (0.299, 0.587, 0.114)
"""Luminance of red, green and blue (ITU-R BT.601), as in greyscale conversion by Pillow."""


def luminance(pixels: Tensor) -> Tensor:
    """Return the grey of float pixels, (N, 3, H, W) -> (N, 1, H, W); without three channels the pixels themselves."""
    if pixels.shape[1] != len(GREY):
        return pixels
    return (pixels.permute(0, 2, 3, 1) @ torch.tensor(GREY, device=pixels.device))[:, None]


def colour_jitter(images: Tensor, generator: Generator, *, strength: float) -> Tensor:
    """Scale brightness, contrast and, with three channels, saturation, each by 1 - `strength` to 1 + `strength`.

    Contrast is about the mean grey of the image, saturation about the grey of the pixel. Values are cut to 0..255 once,
    at the end.
    """
    brightness, contrast, saturation = (
        uniform(images, generator, 1 - strength, 1 + strength)[:, None] for _ in range(3)
    )
    pixels = images.float()
    grey = luminance(pixels)
    mean = grey.mean((1, 2, 3), keepdim=True)
    pixels = grey.lerp(pixels, saturation)
    return typed((pixels * contrast + mean * (1 - contrast)).mul_(brightness).clamp_(0, 255), images)


def grey(images: Tensor, generator: Generator, *, probability: float) -> Tensor:
    """Give, with `probability`, all three channels of an image its luminance; other numbers of channels stay."""
    chosen = uniform(images, generator) < probability
    pixels = images.float()
    return typed(torch.where(chosen[:, None], luminance(pixels), pixels), images)


def pca_shift(images: Tensor, generator: Generator, *, strength: float) -> Tensor:
    """Add one colour to each image, along the principal axes of the colours: Krizhevsky et al. 2012, section 4.1.

    The paper adds P (a * l), with eigenvectors P and eigenvalues l of the covariance S of all training pixels on the
    scale 0..1, and a normal with deviation `strength` (there 0.1). S z with z normal is the same, as S = P diag(l) P^T.
    Departure: S is that of the batch, so that nothing beside the images is needed.
    """
    N, C, _, _ = images.shape
    pixels = images.float()
    covariance = torch.cov(pixels.transpose(0, 1).flatten(1) / 255, correction=0).reshape(C, C)
    draws = torch.randn(N, C, generator=generator, device=generator.device).to(images.device)
    colours = 255 * strength * (draws @ covariance)
    return typed((pixels + colours[:, :, None, None]).clamp_(0, 255), images)
