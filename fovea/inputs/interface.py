"""What the rest of the package asks of a kind of input, and of the preprocessing that one network has.

Of images, stored samples are (N, H, W, C) uint8 0..255 and network inputs (N, C, H, W) float32, normalised.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from fovea.inputs.views import Protocol as Views

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Stored = NDArray[Any]
"""One sample, or with a first dimension N several, as the cache and data sets hold them: images (H, W, C) uint8."""


class Preprocessing(Protocol):
    """How one sample becomes the input of one network; stored in every model file.

    Hashable, and free of the engine: NumPy alone.
    """

    input: ClassVar[str]
    """The name of its kind."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input of the network, channels first: (C, H, W) of images."""
        ...

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape of one sample in the cache: (H, W, C) of images."""
        ...

    @property
    def dtype(self) -> str:
        """The type of a sample in the cache, as NumPy names it."""
        ...

    @property
    def channels(self) -> int:
        """How many channels the network gets."""
        ...

    @property
    def mean(self) -> tuple[float, ...]:
        """Subtracted from each channel."""
        ...

    @property
    def std(self) -> tuple[float, ...]:
        """What each channel is divided by then."""
        ...

    @property
    def cache_key(self) -> list[Any]:
        """JSON values of all that what is stored depends on, beside its source."""
        ...

    def read(self, source: Path | bytes | Stored) -> Stored:
        """Return one sample, of `stored_shape`, from a file, its bytes or an array.

        Raises: ImageError for a file that cannot be read, UsageError for an array that is no sample.
        """
        ...

    def fit_stored(self, sample: Stored) -> Stored:
        """Return a sample that is stored larger at `stored_shape`."""
        ...

    def roomy(self, room: float) -> Self:
        """Return the same at `room` times the size, so that random crops have a choice."""
        ...

    def normalise(self, samples: Stored) -> NDArray[np.float32]:
        """Return stored samples (N, ...) as the network's input, float32 (N, *shape)."""
        ...

    def with_normalisation(self, mean: tuple[float, ...], std: tuple[float, ...]) -> Self:
        """Return the same with another mean and standard deviation per channel."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values that `InputKind.from_dict` takes; `input` names the kind where that is not images."""
        ...


class NetworkInput(Protocol):
    """Turns stored samples into a network's input, on one device. The only place where that happens."""

    def arranged(self, samples: Stored) -> "Tensor":
        """Return stored samples (N, ...) on the device, channels first, of their own type: what is augmented."""
        ...

    def __call__(self, samples: "Tensor") -> "Tensor":
        """Return arranged samples normalised, float32 (N, *shape); differentiable for float samples."""
        ...

    def undo(self, inputs: "Tensor") -> "Tensor":
        """Return normalised inputs as they were arranged, in the type of stored samples."""
        ...


class InputKind(Protocol):
    """What a kind of input is, whatever the network."""

    name: str
    augments: bool
    """Whether the augmentations of `fovea.data.augment` apply to arranged samples."""

    def geometry(self, *, size: int, fit: str, channels: int, native_size: tuple[int, int] | None) -> Preprocessing:
        """Return the preprocessing for networks of this input `size`, its normalisation still open."""
        ...

    def from_dict(self, given: Mapping[str, Any]) -> Preprocessing:
        """Return what `Preprocessing.to_dict` wrote; UsageError where it cannot be used."""
        ...

    def per_channel(self, sample: Stored) -> NDArray[np.float64]:
        """Return the values (n, C) of a stored sample, float64, on the scale of its mean and deviation."""
        ...

    def network_input(self, preprocess: Any, device: "torch.device") -> NetworkInput:
        """Return what makes network inputs on `device`."""
        ...

    def viewed(self, preprocess: Any, views: Views) -> Preprocessing:
        """Return how to store samples so that all `views` can be cut from them; UsageError where there are no such."""
        ...

    def cut(self, samples: "Tensor", preprocess: Any, views: Views) -> "Iterator[Tensor]":
        """Yield the views (N, *shape) of arranged samples."""
        ...

    def thumbnail(self, sample: Stored) -> NDArray[np.uint8]:
        """Return a stored sample as a picture (H, W, C) uint8, C being 1 or 3."""
        ...
