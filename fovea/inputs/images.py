"""Images: uint8 (H, W, C) where they are stored, normalised float32 (C, H, W) where a network sees them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from fovea.inputs import register
from fovea.inputs.interface import NOTHING, InputKind, Stored, Survey
from fovea.inputs.views import Protocol as Views
from fovea.preprocess import Fit, Pixels, Preprocess, conversion, read_header

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from fovea.inputs.normaliser import Normaliser

HALF = 0.5
"""Stands for mean and standard deviation until the training images are decoded."""


SAMPLE = 16
"""Images, spread over the files, whose headers tell channels and size."""


class Images(InputKind):
    """The kind of input that photographs, digits and micrographs are."""

    name = "images"
    noun = "image"
    nouns = "images"
    augments = "images"
    suffixes = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
    pictures = True
    mirrors = True
    settings = MappingProxyType({"overlap": 0})

    def geometry(
        self,
        *,
        size: int,
        fit: str,
        channels: int,
        native_size: tuple[int, ...] | None,
        settings: Mapping[str, Any] = NOTHING,
    ) -> Preprocess:
        """Return the preprocessing to squares of `size` pixels, its normalisation still open."""
        half = (HALF,) * channels
        overlap = int(settings.get("overlap", 0))
        return Preprocess(
            size=(size, size), channels=channels, fit=cast(Fit, fit), mean=half, std=half, overlap=overlap
        )

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

    def laid(self, values: NDArray[np.float32], sample: Stored) -> NDArray[np.float32]:
        """Return the values themselves: each lies on its pixel."""
        return values

    def described(self, sample: Stored) -> str:
        """Return the size in pixels, width first."""
        return f"image, {sample.shape[1]} x {sample.shape[0]} pixels"

    def conversion(self, path: Path, preprocess: Preprocess) -> str:
        """Return how a file's colours become grey or RGB; nothing where they stay."""
        return conversion(path, channels=preprocess.channels)

    def survey(self, paths: Sequence[Path]) -> Survey:
        """Return 1 channel if all of a sample spread over the files is grey, else 3; and (H, W) if all share that."""
        # of fewer files than `SAMPLE` some are drawn more than once: each is read once
        chosen = np.unique(np.linspace(0, len(paths) - 1, SAMPLE).astype(int))
        headers = [header for index in chosen if (header := read_header(paths[index]))]
        grey = all(mode in ("1", "L", "LA") or mode.startswith("I") for mode, _ in headers)
        sizes = {(H, W) for _, (W, H) in headers}
        return Survey(1 if headers and grey else 3, sizes.pop() if len(sizes) == 1 else None)

    def thumbnail(self, sample: Pixels) -> Pixels:
        """Return the image itself."""
        return np.asarray(sample)


register(Images())
