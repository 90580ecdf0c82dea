"""Log-mel spectrograms of recordings: stored as float32 (bands, frames, 1), seen by a network as (1, bands, frames).

Sound is brought to one rate and one duration first. What stands in the card repeats all of it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fovea.errors import ImageError, UsageError
from fovea.inputs import register
from fovea.inputs.checked import check_choice, check_normalisation, check_number, check_whole, settled
from fovea.inputs.interface import NOTHING, InputKind, Stored, Survey, Usual
from fovea.inputs.plots import LARGE_SIDE, enlarged, grey_map, heat_map
from fovea.inputs.sound import HIGHEST_RATE, LOWEST_RATE, fitted, log_mel, read_wav, resampled, wav_format

if TYPE_CHECKING:
    import torch

    from fovea.inputs.normaliser import Standardiser

MAX_SECONDS, MAX_BANDS = 60.0, 512
SAMPLE = 1000
"""Files, spread over all, whose headers tell rate and duration."""
USUAL_RATE, USUAL_SECONDS = 16_000, 10.0
"""The most that is taken where nothing is set."""
MOST_WHOLE = 0.95
"""Share of the recordings that the usual duration holds whole."""

_FIXED = {"scale": "mel 2595 log10", "window": "hann", "level": "loudest band", "mono": "mean", "padding": "silence"}
_OWN = ("rate", "seconds", "window_ms", "hop_ms", "bands", "floor_db", "fit", "mean", "std")


@dataclass(frozen=True, kw_only=True)
class SpectrogramPreprocess:
    """How a recording becomes the input of a network; stored in every model file.

    Raises: UsageError for a field outside its range.
    """

    input: ClassVar[str] = "spectrograms"

    rate: int
    """Values a second, in hertz, to which sound is brought."""
    seconds: float
    """Duration: of a longer recording the middle, a shorter one between silence."""
    window_ms: float = 25.0
    """Length of one window, in milliseconds."""
    hop_ms: float = 15.0
    """From one window to the next, in milliseconds."""
    bands: int = 40
    """Rows of the spectrogram, the lowest frequencies first."""
    floor_db: float = 80.0
    """Decibels below the loudest band of a recording at which values are cut."""
    fit: str = "crop"
    mean: tuple[float, ...]
    """In decibels."""
    std: tuple[float, ...]
    """In decibels; above 0."""

    def __post_init__(self) -> None:
        check_whole("rate", self.rate, least=LOWEST_RATE, most=HIGHEST_RATE)
        check_number("seconds", self.seconds, least=0.01, most=MAX_SECONDS)
        check_number("window_ms", self.window_ms, least=1, most=1000)
        check_number("hop_ms", self.hop_ms, least=1, most=1000)
        check_whole("bands", self.bands, most=MAX_BANDS)
        check_number("floor_db", self.floor_db, least=1, most=200)
        check_choice("fit", self.fit, ("crop",))
        check_normalisation(self.mean, self.std, 1)
        if self.length < self.window:
            raise UsageError(
                f"`seconds` (={self.seconds:g}) must be at least one window of `window_ms` (={self.window_ms:g})."
            )

    @property
    def length(self) -> int:
        """Values of the sound."""
        return round(self.rate * self.seconds)

    @property
    def window(self) -> int:
        """Values of one window."""
        return max(2, round(self.rate * self.window_ms / 1000))

    @property
    def hop(self) -> int:
        """Values from one window to the next."""
        return max(1, round(self.rate * self.hop_ms / 1000))

    @property
    def frames(self) -> int:
        """Columns of the spectrogram."""
        return 1 + (self.length - self.window) // self.hop

    @property
    def channels(self) -> int:
        """One: recordings are made mono."""
        return 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """(1, bands, frames) of the network's input."""
        return 1, self.bands, self.frames

    @property
    def stored_shape(self) -> tuple[int, int, int]:
        """(bands, frames, 1) of a spectrogram in the cache."""
        return self.bands, self.frames, 1

    @property
    def dtype(self) -> str:
        """The type of the values, in decibels."""
        return "float32"

    @property
    def cache_key(self) -> list[Any]:
        """All that stored spectrograms depend on beside their file, as JSON values."""
        return ["spectrograms", *(getattr(self, name) for name in _OWN[:-2]), *_FIXED.values()]

    def read(self, source: Path | bytes | Stored) -> NDArray[np.float32]:
        """Return a WAV file, its bytes, or sound (T,) from -1 to 1 at the own rate: float32 (bands, frames, 1).

        Values are decibels from -`floor_db` to 0.

        Raises:
            ImageError: a file that cannot be read.
            UsageError: an array that is not a sound.
        """
        if isinstance(source, Path | bytes):
            sound, rate = read_wav(source)
        elif isinstance(source, np.ndarray) and source.ndim == 1 and source.size and source.dtype.kind == "f":
            sound, rate = source.astype(np.float32), self.rate
        else:
            raise UsageError(
                "A recording must be a WAV file, or floats (T,) from -1 to 1 at the sampling rate of the network."
            )
        sound = fitted(resampled(sound, rate, self.rate), self.length)
        sizes = {"rate": self.rate, "window": self.window, "hop": self.hop, "bands": self.bands}
        return log_mel(sound, **sizes, floor_db=self.floor_db)[..., None]

    def fit_stored(self, sample: Stored) -> Stored:
        """Return a stored spectrogram, which has the size of the input."""
        return sample

    def roomy(self, room: float) -> "SpectrogramPreprocess":
        """Return the same: spectrograms are moved within their own frames."""
        return self

    def normalise(self, samples: Stored) -> NDArray[np.float32]:
        """Return stored spectrograms (N, bands, frames, 1) as float32 (N, 1, bands, frames): `(x - mean) / std`."""
        normalised: NDArray[np.float32] = (samples.transpose(0, 3, 1, 2) - np.float32(self.mean[0])) / np.float32(
            self.std[0]
        )
        return normalised

    def with_normalisation(self, mean: tuple[float, ...], std: tuple[float, ...]) -> "SpectrogramPreprocess":
        """Return the same with another mean and standard deviation."""
        return replace(self, mean=mean, std=std)

    def to_dict(self) -> dict[str, Any]:
        """Return all that is needed to repeat this elsewhere, as JSON values."""
        fields = {name: getattr(self, name) for name in _OWN[:-2]}
        return {"input": self.input, **fields, "mean": list(self.mean), "std": list(self.std), **_FIXED}


class Spectrograms(InputKind):
    """The kind of input that recordings of sound are."""

    name = "spectrograms"
    noun = "recording"
    nouns = "recordings"
    augments = "spectrograms"
    suffixes = frozenset({".wav", ".wave"})
    unit = "seconds"
    settings = MappingProxyType({"rate": 0, "seconds": 0.0, "window_ms": 25.0, "hop_ms": 15.0, "floor_db": 80.0})

    def geometry(
        self,
        *,
        size: int,
        fit: str,
        channels: int,
        native_size: tuple[int, ...] | None,
        settings: Mapping[str, Any] = NOTHING,
    ) -> SpectrogramPreprocess:
        """Return the preprocessing to `size` bands, its normalisation still open.

        `native_size` is the duration in milliseconds and the rate in hertz that `survey` found; `rate` and `seconds`
        of the settings, where they are not 0, count more.
        """
        milliseconds, rate = native_size or (1000, USUAL_RATE)
        given = {**self.settings, **settings}
        given["rate"] = given["rate"] or min(rate, USUAL_RATE)
        given["seconds"] = given["seconds"] or milliseconds / 1000
        return SpectrogramPreprocess(bands=size, fit=fit, mean=(0.0,), std=(1.0,), **given)

    def from_dict(self, given: Mapping[str, Any]) -> SpectrogramPreprocess:
        """Return what `SpectrogramPreprocess.to_dict` wrote; UsageError if it cannot be used."""
        return SpectrogramPreprocess(**settled(given, _FIXED, _OWN, kind="recordings"))

    def per_channel(self, sample: Stored) -> NDArray[np.float64]:
        """Return the values (N, 1) of a spectrogram in decibels, float64."""
        return sample.reshape(-1, 1).astype(np.float64)

    def network_input(self, preprocess: SpectrogramPreprocess, device: "torch.device") -> "Standardiser":
        """Return what subtracts the mean and divides by the deviation."""
        from fovea.inputs.normaliser import Standardiser

        return Standardiser(preprocess.mean, preprocess.std, device, dimensions=2)

    def thumbnail(self, sample: Stored) -> NDArray[np.uint8]:
        """Return the spectrogram in colours, time from left to right, the lowest band below: (H, W, 3) uint8."""
        return heat_map(sample[::-1, :, 0])

    def drawn(self, sample: Stored) -> NDArray[np.uint8]:
        """Return the spectrogram in grey, so that colours can lie on it: (H, W, 1) uint8."""
        return grey_map(sample[::-1, :, 0])

    def laid(self, values: NDArray[np.float32], sample: Stored) -> NDArray[np.float32]:
        """Return a number for each band and frame as it lies on the picture: (H, W) float32."""
        return enlarged(values[::-1], least=LARGE_SIDE)

    def described(self, sample: Stored) -> str:
        """Return how many bands and frames."""
        return f"recording, {sample.shape[0]} bands of {sample.shape[1]} frames, the lowest band at the bottom"

    def survey(self, paths: Sequence[Path]) -> Survey:
        """Return the duration, in milliseconds, that holds most of the recordings whole, and the most common rate."""
        found = []
        for index in np.unique(np.linspace(0, len(paths) - 1, SAMPLE).astype(int)):
            try:
                found.append(wav_format(paths[index]))
            except ImageError:  # decoding names it
                continue
        if not found:
            return Survey(1, None)
        seconds = np.array([form.seconds for form in found])
        taken = min(float(np.quantile(seconds, MOST_WHOLE)), USUAL_SECONDS)
        milliseconds = max(100, 100 * int(np.ceil(10 * taken - 1e-6)))
        rate = Counter(form.rate for form in found).most_common(1)[0][0]
        note = f"recordings of {seconds.min():.2g} to {seconds.max():.3g} s at {rate:,} Hz in most files"
        return Survey(1, (milliseconds, rate), (f"{note}: {milliseconds / 1000:g} s are taken; --set seconds=, rate=",))

    def length_of(self, source: Path | Stored) -> float:
        """Return the seconds of a recording, to a hundredth."""
        try:
            return round(wav_format(source).seconds, 2) if isinstance(source, Path) else 0
        except ImageError:  # decoding names it
            return 0

    def usual(self, native_size: tuple[int, ...] | None) -> Usual:
        """Return the plan of a small network for images over time and frequency."""
        recipe = {"optimiser": "adamw", "lr": 0.002, "weight_decay": 0.05, "batch": 32, "clip": 1.0}
        recipe |= {"augment": ("shift 7", "stretch 0.2", "pitch 3", "equalise 6", "mask_time 6", "mask_bands 5")}
        return Usual("foveola", 40, 50_000, 100, recipe, {"stride": 2, "width": 0.25})


register(Spectrograms())
