"""How an image that is optimised is written as parameters, and what keeps it like an image.

Images are (N, C, H, W) float 0..1. The method is the preconditioning of Olah, Mordvintsev and Schubert 2017,
"Feature Visualization", doi:10.23915/distill.00007: the same images, in coordinates in which a step of the same size
in each of them makes natural ones.
"""

import math
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from fovea.errors import UsageError

NATURAL_COLOURS = torch.tensor(
    [[0.0820, 0.0721, 0.0675], [0.0721, 0.0763, 0.0753], [0.0675, 0.0753, 0.0861]], dtype=torch.float64
)
"""Covariance of red, green and blue 0..1, measured on 94 photographs of ImageNet at 256 x 256."""

DARKEST = 1 / 512
"""Half a step of 8 bits: what black becomes before its logit is taken, and white on the other side."""


class Parametrisation(Protocol):
    """A way to write images as parameters."""

    def parameters(self, images: Tensor) -> Tensor:
        """Return the parameters, float of any shape, of images (N, C, H, W)."""
        ...

    def images(self, parameters: Tensor) -> Tensor:
        """Return the images (N, C, H, W) of parameters, float; differentiable."""
        ...


@dataclass(frozen=True, kw_only=True)
class Colours:
    """Turns independent values into channels that vary together as those of images do, about a mean."""

    mean: Tensor
    """(C,) 0..1."""
    root: Tensor
    """(C, C): the root of the covariance over its largest norm of a row; the identity for independent channels."""

    @classmethod
    def of(cls, mean: Tensor, covariance: Tensor | None) -> "Colours":
        """Return those of a mean (C,) 0..1 and a covariance (C, C), float; None makes the channels independent."""
        if covariance is None:
            return cls(mean=mean, root=torch.eye(len(mean)).to(mean))
        if covariance.shape != (len(mean), len(mean)):
            raise UsageError(
                f"`colours` is a covariance of {tuple(covariance.shape)}, but the network takes {len(mean)} channel(s)."
            )
        values, vectors = torch.linalg.eigh(covariance.double().cpu())
        root = vectors * values.clamp(min=values.max() * 1e-4).sqrt()  # also where two channels are the same
        return cls(mean=mean, root=(root / root.norm(dim=1).max()).to(mean))

    def mixed(self, values: Tensor) -> Tensor:
        """Return independent values (N, C, H, W), float, as channels, without the mean."""
        return torch.einsum("ck,nkhw->nchw", self.root.to(values), values)

    def unmixed(self, channels: Tensor) -> Tensor:
        """Return the independent values (N, C, H, W), float, of channels without the mean."""
        return torch.einsum("kc,nchw->nkhw", torch.linalg.inv(self.root).to(channels), channels)


def colour_covariance(images: Tensor) -> Tensor:
    """Return the (C, C) float64 covariance of the channels of uint8 images (N, C, H, W), on the scale 0..1."""
    values = images.transpose(0, 1).flatten(1).double() / 255
    return torch.cov(values).reshape(len(values), len(values))


@dataclass(frozen=True)
class Pixels:
    """The values of the pixels themselves, about the mean and in independent colours."""

    colours: Colours

    def parameters(self, images: Tensor) -> Tensor:
        """Return (N, C, H, W) float."""
        return self.colours.unmixed(images - self.colours.mean.to(images).view(1, -1, 1, 1))

    def images(self, parameters: Tensor) -> Tensor:
        """Return the images (N, C, H, W) of float parameters, beyond 0..1 where these say so."""
        return self.colours.mixed(parameters) + self.colours.mean.to(parameters).view(1, -1, 1, 1)


@dataclass(frozen=True)
class Fourier:
    """The coefficients of the Fourier transform over those of natural images, 1 / f: all of them about as large.

    The image is sigmoid(colours(inverse transform(scale * coefficients)) + logit(mean)): within 0..1 whatever they are.
    """

    colours: Colours
    size: tuple[int, int]
    """H, W."""
    decay: float = 1.0
    """The amplitude of frequency f, in cycles per pixel, falls as f^-decay; 0 leaves the spectrum white."""
    scale: Tensor = field(init=False)
    """(H, W // 2 + 1): what coefficients of unit variance are multiplied by to give pixels of unit variance."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", spectrum(self.size, self.decay))

    def parameters(self, images: Tensor) -> Tensor:
        """Return the coefficients (N, C, H, W // 2 + 1, 2): real and imaginary parts, float."""
        values = torch.logit(images, DARKEST) - self._middle(images)
        coefficients = torch.fft.rfft2(self.colours.unmixed(values), norm="ortho")
        return torch.view_as_real(coefficients / self.scale.to(values))

    def images(self, parameters: Tensor) -> Tensor:
        """Return the images (N, C, H, W), 0..1, of float coefficients."""
        coefficients = torch.view_as_complex(parameters.contiguous()) * self.scale.to(parameters)
        values = torch.fft.irfft2(coefficients, s=self.size, norm="ortho")
        return torch.sigmoid(self.colours.mixed(values) + self._middle(values))

    def _middle(self, like: Tensor) -> Tensor:
        return torch.logit(self.colours.mean.to(like), DARKEST).view(1, -1, 1, 1)


def spectrum(size: tuple[int, int], decay: float) -> Tensor:
    """Return f^-decay for the coefficients (H, W // 2 + 1), float64, of a real transform, scaled.

    Real and imaginary parts of unit variance give pixels of unit variance. f is in cycles per pixel, at least one cycle
    along the longer side: so the mean of the image has a finite share.
    """
    H, W = size
    rows, columns = torch.fft.fftfreq(H, dtype=torch.float64), torch.fft.rfftfreq(W, dtype=torch.float64)
    f = torch.hypot(rows[:, None], columns[None]).clamp(min=1 / max(H, W))
    scale = f**-decay
    # a column has a real and an imaginary part and stands for its mirror image too; of the first and, of an even width,
    # the last a real image has only one of the four
    counts = torch.full((len(columns),), 4.0, dtype=torch.float64)
    counts[0] = 1
    if W % 2 == 0:
        counts[-1] = 1
    mean_square = float((scale.square() * counts).sum()) / (H * W)
    return scale / math.sqrt(mean_square)


def total_variation(images: Tensor) -> Tensor:
    """Return (N,) for images (N, C, H, W), float: mean size of the differences of neighbours, across plus down.

    Rudin, Osher and Fatemi 1992, in its anisotropic form and as a mean, so that a weight holds for images of any size.
    """
    across, down = images.diff(dim=3).abs(), images.diff(dim=2).abs()
    return sum((part.flatten(1).mean(1) for part in (across, down) if part.numel()), images.new_zeros(len(images)))
