"""Short clips as folders of frames: uint8 (T, H, W, C) where they are stored, (C, T, H, W) where a network sees them.

Frames are images: each is decoded, and brought to one size, as an image is.
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from fovea.errors import ImageError, UsageError
from fovea.inputs import register
from fovea.inputs.checked import check_whole, settled
from fovea.inputs.images import HALF, Images
from fovea.inputs.interface import NOTHING, InputKind, Stored, Survey, Usual
from fovea.inputs.plots import side_by_side, strip
from fovea.preprocess import FILL, Fit, Pixels, Preprocess
from fovea.texts import natural_key

if TYPE_CHECKING:
    import torch

    from fovea.inputs.normaliser import Standardiser

MAX_FRAMES, MAX_FILES = 256, 100_000
SAMPLE = 64
"""Clips, spread over all, that tell size and number of frames."""
USUAL_FRAMES, USUAL_SIZE = 16, 64
"""The most that is taken where nothing is set."""
LARGE_FRAME = 112
"""Pixels to which small frames are enlarged where a map lies on them."""
SHOWN = 8
"""Frames of a thumbnail."""

_FIXED = {"sampling": "even", "decoder": "pillow", "resample": "bilinear", "antialias": True, "alpha_over": "white"}
_FIXED |= {"fill": FILL}


@dataclass(frozen=True, kw_only=True)
class ClipPreprocess:
    """How a folder of frames becomes the input of a network; stored in every model file.

    Raises: UsageError for a field outside its range.
    """

    input: ClassVar[str] = "clips"

    frames: int
    """Taken evenly from the first to the last; of a clip that has fewer some more than once."""
    size: tuple[int, int]
    """(H, W) in pixels."""
    channels: int
    """1 (grey) or 3 (RGB)."""
    fit: Fit = "crop"
    """As of images."""
    mean: tuple[float, ...]
    """Per channel, of pixels scaled to 0..1."""
    std: tuple[float, ...]
    """Per channel, of pixels scaled to 0..1; above 0."""

    def __post_init__(self) -> None:
        check_whole("frames", self.frames, most=MAX_FRAMES)
        self.image  # noqa: B018 (its making checks the other fields)

    @cached_property
    def image(self) -> Preprocess:
        """How each frame is prepared."""
        fields = {"size": self.size, "channels": self.channels, "fit": self.fit}
        return Preprocess(**fields, mean=self.mean, std=self.std)  # type: ignore[arg-type]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(C, T, H, W) of the network's input."""
        return (self.channels, self.frames, *self.size)

    @property
    def stored_shape(self) -> tuple[int, int, int, int]:
        """(T, H, W, C) of a clip in the cache."""
        return (self.frames, *self.size, self.channels)

    @property
    def dtype(self) -> str:
        """The type of decoded pixels, 0..255."""
        return "uint8"

    @property
    def cache_key(self) -> list[Any]:
        """All that stored clips depend on beside their files, as JSON values."""
        return ["clips", self.frames, *self.image.cache_key]

    def read(self, source: Path | bytes | Stored) -> Pixels:
        """Return a folder of frames, or an array (t, h, w, C) or (t, h, w), as uint8 (T, H, W, C) 0..255.

        Raises:
            ImageError: a folder without frames, or a frame that cannot be decoded.
            UsageError: an array that is not a clip.
        """
        if isinstance(source, np.ndarray):
            if source.ndim not in (3, 4) or not len(source):
                raise UsageError(
                    f"A clip must be uint8 (T, H, W) or (T, H, W, C); this one is {source.dtype} {source.shape}."
                )
            taken: Sequence[Path | Pixels] = [source[index] for index in evenly(len(source), self.frames)]
        elif isinstance(source, Path):
            files = frames_in(source)
            taken = [files[index] for index in evenly(len(files), self.frames)]
        else:
            raise UsageError("A clip must be a folder of frames or an array, not bytes.")
        return np.stack([self.image.read(frame) for frame in taken])

    def fit_stored(self, sample: Stored) -> Pixels:
        """Return a clip (T, h, w, C) that is stored larger at the size of the input."""
        return np.stack([self.image.fit_stored(frame) for frame in sample])

    def roomy(self, room: float) -> "ClipPreprocess":
        """Return the same at `room` times the size, so that random crops have a choice."""
        H, W = self.size
        return replace(self, size=(round(H * room), round(W * room)))

    def normalise(self, samples: Stored) -> NDArray[np.float32]:
        """Return stored clips (N, T, H, W, C) as float32 (N, C, T, H, W): `(x / 255 - mean) / std`."""
        scaled = samples.transpose(0, 4, 1, 2, 3).astype(np.float32) / np.float32(255)
        mean, std = (np.array(values, np.float32).reshape(-1, 1, 1, 1) for values in (self.mean, self.std))
        normalised: NDArray[np.float32] = (scaled - mean) / std
        return normalised

    def with_normalisation(self, mean: tuple[float, ...], std: tuple[float, ...]) -> "ClipPreprocess":
        """Return the same with another mean and standard deviation per channel."""
        return replace(self, mean=mean, std=std)

    def to_dict(self) -> dict[str, Any]:
        """Return all that is needed to repeat this elsewhere, as JSON values."""
        fields = {"frames": self.frames, "size": list(self.size), "channels": self.channels, "fit": self.fit}
        return {"input": self.input, **fields, "mean": list(self.mean), "std": list(self.std), **_FIXED}


class Clips(InputKind):
    """The kind of input that a few frames of a film are."""

    name = "clips"
    noun = "clip"
    nouns = "clips"
    augments = "clips"
    suffixes = Images.suffixes
    of_folders = True
    mirrors = True
    unit = "frames"
    settings = MappingProxyType({"frames": 0})

    def geometry(
        self,
        *,
        size: int,
        fit: str,
        channels: int,
        native_size: tuple[int, ...] | None,
        settings: Mapping[str, Any] = NOTHING,
    ) -> ClipPreprocess:
        """Return the preprocessing to squares of `size` pixels, its normalisation still open.

        `native_size` is the number of frames, height and width that `survey` found; `frames` of the settings, where
        they are not 0, count more.
        """
        frames = settings.get("frames") or min(native_size[0] if native_size else USUAL_FRAMES, USUAL_FRAMES)
        half = (HALF,) * channels
        squares = {"size": (size, size), "channels": channels, "fit": cast(Fit, fit)}
        return ClipPreprocess(frames=frames, **squares, mean=half, std=half)  # type: ignore[arg-type]

    def from_dict(self, given: Mapping[str, Any]) -> ClipPreprocess:
        """Return what `ClipPreprocess.to_dict` wrote; UsageError if it cannot be used."""
        return ClipPreprocess(
            **settled(given, _FIXED, ("frames", "size", "channels", "fit", "mean", "std"), kind="clips")
        )

    def per_channel(self, sample: Stored) -> NDArray[np.float64]:
        """Return the pixels (T H W, C) from 0 to 1."""
        return sample.reshape(-1, sample.shape[-1]).astype(np.float64) / 255

    def network_input(self, preprocess: ClipPreprocess, device: "torch.device") -> "Standardiser":
        """Return what brings pixels to mean 0 and deviation 1."""
        from fovea.inputs.normaliser import Standardiser

        mean, std = (tuple(255 * value for value in values) for values in (preprocess.mean, preprocess.std))
        return Standardiser(mean, std, device, dimensions=3)

    def thumbnail(self, sample: Stored) -> Pixels:
        """Return some of the frames side by side, the first at the upper left: (H, W, C) uint8."""
        return strip(sample[evenly(len(sample), min(SHOWN, len(sample)))])

    def drawn(self, sample: Stored) -> Pixels:
        """Return all frames side by side: (H, W, C) uint8."""
        return strip(sample, side=LARGE_FRAME)

    def laid(self, values: NDArray[np.float32], sample: Stored) -> NDArray[np.float32]:
        """Return a number for each pixel of each frame, (T, H, W), as the frames lie in the strip: float32."""
        laid: NDArray[np.float32] = side_by_side(values[..., None], gap=0.0, side=LARGE_FRAME)[..., 0]
        return laid

    def described(self, sample: Stored) -> str:
        """Return how many frames, and their size in pixels, width first."""
        T, H, W, _ = sample.shape
        return f"clip, {T} frames of {W} x {H} pixels, row by row"

    def survey(self, paths: Sequence[Path]) -> Survey:
        """Return the channels, the most common number of frames, and the size of the frames of some of the clips."""
        counts, headers = [], []
        for index in np.unique(np.linspace(0, len(paths) - 1, SAMPLE).astype(int)):
            try:
                files = frames_in(paths[index])
            except ImageError:  # decoding names it
                continue
            counts.append(len(files))
            headers.append(files[0])
        if not counts:
            return Survey(3, None)
        channels, size, _ = Images().survey(headers)
        usual, (H, W) = Counter(counts).most_common(1)[0][0], size or (USUAL_SIZE, USUAL_SIZE)
        spread = f"clips of {min(counts)} to {max(counts)} frames" if len(set(counts)) > 1 else ""
        notes = (f"{spread}; --set frames= sets how many are taken from each",) if spread else ()
        return Survey(channels, (usual, H, W), notes)

    def length_of(self, source: Path | Stored) -> float:
        """Return the number of frames."""
        try:
            return len(frames_in(source) if isinstance(source, Path) else source)
        except ImageError:  # decoding names it
            return 0

    def usual(self, native_size: tuple[int, ...] | None) -> Usual:
        """Return the plan of a small network with kernels over time and space."""
        recipe = {"optimiser": "adamw", "lr": 0.002, "weight_decay": 0.02, "batch": 32, "clip": 1.0}
        recipe |= {"augment": ("shift 2",)}
        side = max(native_size[1:]) if native_size else USUAL_SIZE
        return Usual("r3d_8", min(max(side, 16), USUAL_SIZE), 8_000, 60, recipe)


def frames_in(folder: Path) -> list[Path]:
    """Return the frames in a folder, in the natural order of their names. Raises: ImageError if there are none."""
    try:
        names = [name for name in os.listdir(folder) if not name.startswith(".")]
    except OSError as error:
        raise ImageError(f"`{folder}`: {error.strerror or 'it cannot be read'}") from error
    frames = [name for name in names if os.path.splitext(name)[1].lower() in Images.suffixes]
    if not frames:
        raise ImageError(f"`{folder}`: it contains no frames")
    if len(frames) > MAX_FILES:
        raise ImageError(f"`{folder}`: {len(frames):,} frames; the limit is {MAX_FILES:,}")
    return [folder / name for name in sorted(frames, key=natural_key)]


def evenly(count: int, wanted: int) -> list[int]:
    """Return `wanted` indices from the first to the last of `count`, evenly; one alone is that in the middle.

    >>> evenly(10, 4), evenly(2, 4), evenly(9, 1)
    ([0, 3, 6, 9], [0, 0, 1, 1], [4])
    """
    if wanted == 1:
        return [(count - 1) // 2]
    return [round(place) for place in np.linspace(0, count - 1, wanted).tolist()]


register(Clips())
