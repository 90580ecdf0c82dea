"""Images: uint8 (H, W, C) where they are stored, normalised float32 (C, H, W) where a network sees them."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from fovea.inputs import register
from fovea.inputs.views import Protocol as Views
from fovea.preprocess import Fit, Pixels, Preprocess

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from fovea.inputs.normaliser import Normaliser

HALF = 0.5
"""Stands for mean and standard deviation until the training images are decoded."""


class Images:
    """The kind of input that photographs, digits and micrographs are."""

    name = "images"
    augments = True

    def geometry(self, *, size: int, fit: str, channels: int, native_size: tuple[int, int] | None) -> Preprocess:
        """Return the preprocessing to squares of `size` pixels, its normalisation still open."""
        half = (HALF,) * channels
        return Preprocess(size=(size, size), channels=channels, fit=cast(Fit, fit), mean=half, std=half)

    def from_dict(self, given: Mapping[str, Any]) -> Preprocess:
        """Return what `Preprocess.to_dict` wrote."""
        return Preprocess.from_dict(given)

    def per_channel(self, sample: Pixels) -> NDArray[np.float64]:
        """Return the pixels (H W, C) from 0 to 1."""
        return sample.reshape(-1, sample.shape[-1]).astype(np.float64) / 255

    def network_input(self, preprocess: Preprocess, device: "torch.device") -> "Normaliser":
        """Return the normaliser of this preprocessing."""
        from fovea.inputs.normaliser import Normaliser

        return Normaliser(preprocess, device)

    def viewed(self, preprocess: Preprocess, views: Views) -> Preprocess:
        """Return how to decode images so that all `views` can be cut from them."""
        return views.geometry(preprocess)

    def cut(self, samples: "Tensor", preprocess: Preprocess, views: Views) -> "Iterator[Tensor]":
        """Yield the views (N, C, H, W) of pixels (N, C, h, w)."""
        return views.cut(samples, preprocess.size)

    def thumbnail(self, sample: Pixels) -> Pixels:
        """Return the image itself."""
        return np.asarray(sample)


register(Images())
