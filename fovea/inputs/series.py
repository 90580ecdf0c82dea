"""Series: float32 (T, C) where they are stored, T steps of C channels; (C, T) where a network sees them.

Normalised by the mean and deviation of each channel over the training split.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fovea.errors import ImageError, UsageError
from fovea.inputs import register
from fovea.inputs.checked import check_choice, check_normalisation, check_whole, settled
from fovea.inputs.interface import NOTHING, InputKind, Stored, Survey, Usual
from fovea.inputs.plots import LARGE, along_lines, line_plot
from fovea.inputs.tables import read_table

if TYPE_CHECKING:
    import torch

    from fovea.inputs.normaliser import Standardiser

FITS = ("crop", "squash")
MAX_LENGTH, MAX_CHANNELS = 1_000_000, 10_000
SAMPLE = 64
"""Files, spread over all, that tell channels and length."""

_FIXED = {"padding": "last value", "resampling": "linear"}

Values = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class SeriesPreprocess:
    """How a series becomes the input of a network; stored in every model file.

    Raises: UsageError for a field outside its range.
    """

    input: ClassVar[str] = "series"

    length: int
    """Steps."""
    channels: int
    fit: str = "crop"
    """crop: of a longer one the middle, a shorter one repeats its last value; squash: resampled, linear."""
    mean: tuple[float, ...]
    """Per channel, in the unit of the values."""
    std: tuple[float, ...]
    """Per channel, in the unit of the values; above 0."""

    def __post_init__(self) -> None:
        check_whole("length", self.length, most=MAX_LENGTH)
        check_whole("channels", self.channels, most=MAX_CHANNELS)
        check_choice("fit", self.fit, FITS)
        check_normalisation(self.mean, self.std, self.channels)

    @property
    def shape(self) -> tuple[int, int]:
        """(C, T) of the network's input."""
        return self.channels, self.length

    @property
    def stored_shape(self) -> tuple[int, int]:
        """(T, C) of a series in the cache."""
        return self.length, self.channels

    @property
    def dtype(self) -> str:
        """The type of the values."""
        return "float32"

    @property
    def cache_key(self) -> list[Any]:
        """All that stored series depend on beside their source, as JSON values."""
        return ["series", self.length, self.channels, self.fit, *_FIXED.values()]

    def read(self, source: Path | bytes | Stored) -> Values:
        """Return a CSV or NumPy file, the bytes of a CSV file, or an array (T,) or (T, C), as float32 (T, C).

        It has the length of the input.

        NaN at the end of an array means that it is shorter.

        Raises:
            ImageError: it cannot be read, has another number of channels, or a value that is missing or not finite.
            UsageError: an array that is not a series.
        """
        where = f"`{source}`: " if isinstance(source, Path) else ""
        values = as_series(source) if isinstance(source, np.ndarray) else read_series(source)
        if values.shape[1] != self.channels:
            raise ImageError(f"{where}{values.shape[1]} channels, but {self.channels} are needed")
        values = without_padding(values)
        if fault := fault_of(values):
            raise ImageError(f"{where}{fault}")
        return self.fit_stored(values)

    def fit_stored(self, sample: Stored) -> Values:
        """Return a series (t, C) at the length of the input, float32 (T, C)."""
        have, T = len(sample), self.length
        if have == T:
            return np.ascontiguousarray(sample, np.float32)
        if self.fit == "squash":
            return _resampled(sample, T)
        if have > T:
            first = (have - T) // 2
            return np.ascontiguousarray(sample[first : first + T], np.float32)
        return np.concatenate([sample, np.repeat(sample[-1:], T - have, axis=0)]).astype(np.float32)

    def roomy(self, room: float) -> "SeriesPreprocess":
        """Return the same: random crops of series are stretched to their length again."""
        return self

    def normalise(self, samples: Stored) -> Values:
        """Return stored series (N, T, C) as float32 (N, C, T): `(x - mean) / std`."""
        mean, std = (np.array(values, np.float32)[:, None] for values in (self.mean, self.std))
        normalised: Values = (samples.transpose(0, 2, 1).astype(np.float32) - mean) / std
        return normalised

    def with_normalisation(self, mean: tuple[float, ...], std: tuple[float, ...]) -> "SeriesPreprocess":
        """Return the same with another mean and standard deviation per channel."""
        return replace(self, mean=mean, std=std)

    def to_dict(self) -> dict[str, Any]:
        """Return all that is needed to repeat this elsewhere, as JSON values."""
        fields = {"input": self.input, "length": self.length, "channels": self.channels, "fit": self.fit}
        return {**fields, "mean": list(self.mean), "std": list(self.std), **_FIXED}


class Series(InputKind):
    """The kind of input that measurements over time are."""

    name = "series"
    noun = "series"
    nouns = "series"
    augments = "series"
    suffixes = frozenset({".csv", ".npy"})
    unit = "steps"
    containers = frozenset({".npz", ".ts", ".tsv", ".arff", ".csv"})

    def geometry(
        self,
        *,
        size: int,
        fit: str,
        channels: int,
        native_size: tuple[int, ...] | None,
        settings: Mapping[str, Any] = NOTHING,
    ) -> SeriesPreprocess:
        """Return the preprocessing to `size` steps, its normalisation still open."""
        return SeriesPreprocess(length=size, channels=channels, fit=fit, mean=(0.0,) * channels, std=(1.0,) * channels)

    def from_dict(self, given: Mapping[str, Any]) -> SeriesPreprocess:
        """Return what `SeriesPreprocess.to_dict` wrote; UsageError if it cannot be used."""
        return SeriesPreprocess(**settled(given, _FIXED, ("length", "channels", "fit", "mean", "std"), kind="series"))

    def per_channel(self, sample: Stored) -> NDArray[np.float64]:
        """Return the values (T, C), float64."""
        return sample.astype(np.float64)

    def network_input(self, preprocess: SeriesPreprocess, device: "torch.device") -> "Standardiser":
        """Return what subtracts the mean and divides by the deviation."""
        from fovea.inputs.normaliser import Standardiser

        return Standardiser(preprocess.mean, preprocess.std, device, dimensions=1)

    def thumbnail(self, sample: Stored) -> NDArray[np.uint8]:
        """Return a plot of the series, a line for each channel: (H, W, 3) uint8."""
        return line_plot(sample)

    def drawn(self, sample: Stored) -> NDArray[np.uint8]:
        """Return a large plot of the series: (H, W, 3) uint8."""
        return line_plot(sample, **LARGE)

    def laid(self, values: NDArray[np.float32], sample: Stored) -> NDArray[np.float32]:
        """Return a number for each step, (T,), along the lines of the plot: (H, W) float32, 0 beside them."""
        return along_lines(values, sample, **LARGE)

    def described(self, sample: Stored) -> str:
        """Return how many steps and channels."""
        steps, channels = sample.shape
        return f"series, {steps:,} steps" + (f" of {channels} channels" if channels > 1 else "")

    def survey(self, paths: Sequence[Path]) -> Survey:
        """Return the channels of some of the files, and the longest length among them."""
        found = []
        for index in np.unique(np.linspace(0, len(paths) - 1, SAMPLE).astype(int)):
            try:
                found.append(read_series(paths[index]).shape)
            except ImageError:  # decoding names it
                continue
        if not found:
            return Survey(1, None)
        lengths = [length for length, _ in found]
        return Survey(max(channels for _, channels in found), (max(lengths),), lengths_note(lengths))

    def length_of(self, source: Path | Stored) -> float:
        """Return the steps of a series."""
        try:
            values = read_series(source) if isinstance(source, Path) else as_series(source)
        except ImageError:  # decoding names it
            return 0
        return len(without_padding(values))

    def usual(self, native_size: tuple[int, ...] | None) -> Usual:
        """Return the plan of a small convolutional network over the whole length."""
        # Wang et al. 2016, arXiv:1611.06455, section III: Adam at 0.001; there batches of 16
        recipe = {"optimiser": "adam", "lr": 0.001, "weight_decay": 0.0, "batch": 16, "schedule": "cosine"}
        return Usual("fcn_1d", native_size[0] if native_size else 128, 60_000, 300, recipe)


def lengths_note(lengths: Sequence[int]) -> tuple[str, ...]:
    """Return a line where series have different lengths; nothing where all share one."""
    if len(set(lengths)) < 2:
        return ()
    text = f"lengths differ, {min(lengths):,} to {max(lengths):,} steps, median {int(np.median(lengths)):,}"
    return (f"{text}: --size sets a common length; --fit crop (the default) cuts and pads, --fit squash resamples",)


def read_series(path: Path | bytes) -> Values:
    """Return the series in a file, (T, C) float32, or in the bytes of a CSV file. Raises: ImageError."""
    if isinstance(path, bytes) or path.suffix.lower() != ".npy":
        return read_table(path)
    try:
        return as_series(np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise ImageError(f"`{path}`: this is not a NumPy file of one series, (T,) or (T, C)") from error


def as_series(array: Stored) -> Values:
    """Return an array (T,) or (T, C) of numbers as float32 (T, C). Raises: UsageError for another one."""
    if array.ndim not in (1, 2) or array.size == 0 or array.dtype.kind not in "fiu":
        raise UsageError(
            f"A series must be an array of numbers (T,) or (T, C); this one is {array.dtype} {array.shape}."
        )
    if array.size > MAX_LENGTH * 10:
        raise UsageError(f"A series of {array.size:,} values is too long; the limit is {MAX_LENGTH * 10:,}.")
    return np.asarray(array if array.ndim == 2 else array[:, None], np.float32)


def without_padding(values: Values) -> Values:
    """Return a series (T, C) without the steps at its end that are NaN in every channel."""
    known = np.flatnonzero(~np.isnan(values).all(axis=1))
    return values[: known[-1] + 1] if len(known) else values[:0]


def fault_of(values: Values) -> str:
    """Return the faults of a series (T, C); nothing where all is known and finite."""
    if not len(values):
        return "it contains no values"
    wrong = np.argwhere(~np.isfinite(values))
    if not len(wrong):
        return ""
    step, channel = (int(place) for place in wrong[0])
    what = "a missing value (NaN)" if np.isnan(values[step, channel]) else "an infinite value"
    more = f", and {len(wrong) - 1:,} more" if len(wrong) > 1 else ""
    return f"{what} at step {step} of channel {channel}{more}"


def _resampled(sample: Stored, length: int) -> Values:
    """Return a series (t, C) at `length` steps, linear between its own; its ends stay where they are."""
    own, asked = np.arange(len(sample)), np.linspace(0, len(sample) - 1, length)
    columns = [np.interp(asked, own, sample[:, channel]) for channel in range(sample.shape[1])]
    return np.stack(columns, axis=1).astype(np.float32)


register(Series())
