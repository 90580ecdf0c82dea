"""What the rest of the package asks of a kind of input, and of the preprocessing that one network has.

Of images, stored samples are (N, H, W, C) uint8 0..255 and network inputs (N, C, H, W) float32, normalised.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from fovea.errors import UsageError
from fovea.inputs.views import PLAIN
from fovea.inputs.views import Protocol as Views

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Stored = NDArray[Any]
"""One sample, or with a first dimension N several, as the cache and data sets hold them: images (H, W, C) uint8."""


class Samples(Protocol):
    """Stored samples of any number: an array (N, ...), or what reads them when they are asked for.

    Index it by number, slice or indices. Images are (N, H, W, C) uint8 0..255.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, ...): (N, H, W, C) of images."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> Any: ...


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

        Raises: ImageError for a file that cannot be read, UsageError for an array that is not a sample.
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


NOTHING: Mapping[str, Any] = MappingProxyType({})
"""No settings."""


class Survey(NamedTuple):
    """What a look at some files tells of all of them."""

    channels: int
    size: tuple[int, ...] | None
    """What they share, or what preprocessing may begin from; None if it is not set. (H, W) of images."""
    notes: tuple[str, ...] = ()


class Usual(NamedTuple):
    """How samples of a kind are learned where the user leaves it open."""

    model: str
    """A name of the zoo."""
    size: int
    """As `--size` would give it."""
    seen: int
    """A training shows about so many samples, repetitions counted."""
    most_epochs: int
    recipe: Mapping[str, Any]
    """Fields of a recipe."""
    arguments: Mapping[str, Any] = NOTHING
    """Further arguments of the network."""


class InputKind(ABC):
    """What a kind of input is, whatever the network: what only it knows, and what most kinds share."""

    name: ClassVar[str]
    noun: ClassVar[str] = "sample"
    nouns: ClassVar[str] = "samples"
    """What one of its samples is called, and several."""
    augments: ClassVar[str] = ""
    """The family of augmentations in `fovea.data.augment.families` that arranged samples take; none where empty."""
    suffixes: ClassVar[frozenset[str]] = frozenset()
    """Of files that hold one sample each, or of those whose folder is one."""
    of_folders: ClassVar[bool] = False
    """Whether a sample is a folder of files."""
    containers: ClassVar[frozenset[str]] = frozenset()
    """Suffixes of files that hold several samples each."""
    pictures: ClassVar[bool] = False
    """Whether samples are pictures: what is made for these (near duplicates, disturbances, style) needs them."""
    mirrors: ClassVar[bool] = False
    """Whether its augmentations and views mirror samples, which changes what digits and letters are."""
    unit: ClassVar[str] = ""
    """What the length of a sample is counted in; nothing where samples have none."""
    settings: ClassVar[Mapping[str, Any]] = NOTHING
    """What `geometry` takes beside the size and the way to fit, with the defaults."""

    @abstractmethod
    def geometry(
        self,
        *,
        size: int,
        fit: str,
        channels: int,
        native_size: tuple[int, ...] | None,
        settings: Mapping[str, Any] = NOTHING,
    ) -> Preprocessing:
        """Return the preprocessing for networks of this input `size`, its normalisation still open."""

    @abstractmethod
    def from_dict(self, given: Mapping[str, Any]) -> Preprocessing:
        """Return what `Preprocessing.to_dict` wrote; UsageError if it cannot be used."""

    @abstractmethod
    def per_channel(self, sample: Stored) -> NDArray[np.float64]:
        """Return the values (n, C) of a stored sample, float64, on the scale of its mean and deviation."""

    @abstractmethod
    def network_input(self, preprocess: Any, device: "torch.device") -> NetworkInput:
        """Return what makes network inputs on `device`."""

    @abstractmethod
    def thumbnail(self, sample: Stored) -> NDArray[np.uint8]:
        """Return a stored sample as a picture (H, W, C) uint8, C being 1 or 3."""

    def drawn(self, sample: Stored) -> NDArray[np.uint8]:
        """Return a stored sample as a large picture (H, W, C) uint8, C being 1 or 3, on which maps are laid."""
        return self.thumbnail(sample)

    @abstractmethod
    def laid(self, values: NDArray[np.float32], sample: Stored) -> NDArray[np.float32]:
        """Return a number for each place of a network's input, (H, W) of images, as (H, W) float32 on `drawn`."""

    @abstractmethod
    def described(self, sample: Stored) -> str:
        """Return what a stored sample is and how large, as `image, 32 x 32 pixels`."""

    def conversion(self, path: Path, preprocess: Any) -> str:
        """Return how a file's colours become those that the network sees; nothing where they stay."""
        return ""

    def viewed(self, preprocess: Any, views: Views) -> Preprocessing:
        """Return how to store samples so that all `views` can be cut from them; UsageError if there are no such."""
        if views != PLAIN:
            raise UsageError(f"Crops, mirrored copies and scales work only for images, not for {self.nouns}.")
        kept: Preprocessing = preprocess
        return kept

    def cut(self, samples: "Tensor", preprocess: Any, views: Views) -> "Iterator[Tensor]":
        """Yield the views (N, *shape) of arranged samples."""
        yield samples

    def survey(self, paths: Sequence[Path]) -> Survey:
        """Return what a look at some of the files tells: how many channels they have, and their size."""
        return Survey(1, None)

    def length_of(self, source: Path | Stored) -> float:
        """Return how long a sample is, in a file or an array as its source has it; 0 where it cannot be read."""
        return 0

    def usual(self, native_size: tuple[int, ...] | None) -> Usual | None:
        """Return how such samples are learned where it is not set; None if `fovea.plans` has a rule of its own."""
        return None

    def is_constant(self, sample: Stored) -> bool:
        """Tell whether a stored sample has the same value everywhere, in each channel."""
        values = sample.reshape(-1, sample.shape[-1])
        return bool((np.ptp(values, axis=0) == 0).all())
