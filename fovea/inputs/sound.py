"""Recordings in WAV files, read within bounds, and their log-mel spectrograms; NumPy alone, SciPy where rates differ.

WAV: Microsoft and IBM 1991, the RIFF container; PCM of 8 to 32 bits and floats. Sound is (T,) float32 from -1 to 1.
Mel scale: O'Shaughnessy 1987, m = 2595 log10(1 + f / 700); triangles between its equal steps, of height 1.
"""

import io
import struct
from collections.abc import Iterator
from functools import lru_cache
from math import gcd
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.errors import ImageError, StorageError
from fovea.files import open_regular

MAX_FILE_BYTES = 200_000_000
MAX_CHANNELS = 64
LOWEST_RATE, HIGHEST_RATE = 1_000, 384_000
MAX_CHUNKS = 1_000
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
FOREIGN = {2: "ADPCM", 6: "A-law", 7: "mu-law", 0x55: "MP3"}
LOUDEST_POWER = 1e-10
"""Below it a band counts as silent: the square of 1e-5, less than half a step of 16 bits."""

Sound = NDArray[np.float32]


class Format(NamedTuple):
    """What the header of a WAV file says."""

    coding: int
    """`PCM` or `FLOAT`."""
    channels: int
    rate: int
    """Values per second and channel, in hertz."""
    bits: int
    frames: int
    """Values of each channel."""
    begins: int
    """Where in the file they begin, in bytes."""

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.frames / self.rate


def wav_format(path: Path) -> Format:
    """Return what the header of a WAV file says. Raises: ImageError for what is none, or cannot be decoded."""
    try:
        with open_regular(path) as stream:
            return _format(stream, f"`{path}`: ")
    except (OSError, StorageError) as error:
        raise ImageError(f"`{path}`: {getattr(error, 'strerror', None) or 'it cannot be read'}") from error


def read_wav(source: Path | bytes) -> tuple[Sound, int]:
    """Return the sound of a WAV file, or of its bytes, as (T,) float32 from -1 to 1, and its rate in hertz.

    It is the mean of its channels.

    Raises:
        ImageError: it is no WAV file of PCM or floats, is too large, or ends too soon; the reason names a path.
    """
    where = "" if isinstance(source, bytes) else f"`{source}`: "
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else open_regular(source) as stream:
            form = _format(stream, where)
            stream.seek(form.begins)
            content = stream.read(form.frames * form.channels * form.bits // 8)
    except (OSError, StorageError) as error:
        raise ImageError(f"{where}{getattr(error, 'strerror', None) or 'it cannot be read'}") from error
    values = _values(content, form).reshape(-1, form.channels).mean(axis=1, dtype=np.float32)
    if not np.isfinite(values).all():
        raise ImageError(f"{where}it contains values that are not finite")
    return values, form.rate


def _format(stream: BinaryIO, where: str) -> Format:
    stream.seek(0, 2)
    size = stream.tell()
    stream.seek(0)
    if size > MAX_FILE_BYTES:
        raise ImageError(f"{where}{size:,} bytes; the limit is {MAX_FILE_BYTES:,}")
    head = stream.read(12)
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
        raise ImageError(f"{where}this is not a WAV file")
    coding = channels = rate = bits = 0
    for name, length, begins in _chunks(stream, size):
        if name == b"fmt " and length >= 16 and begins + 16 <= size:
            coding, channels, rate, bits = _fmt(stream, length)
            _check(coding, channels, rate, bits, where)
        elif name == b"data":
            if not rate:
                break
            each = channels * bits // 8
            if begins + length > size:
                raise ImageError(f"{where}it ends after {size - begins:,} of {length:,} bytes of sound")
            if length < each:
                raise ImageError(f"{where}it contains no sound")
            return Format(coding, channels, rate, bits, length // each, begins)
    raise ImageError(f"{where}a WAV file without its format, or without sound")


def _chunks(stream: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name and length of each chunk, and where its content begins."""
    place = 12
    for _ in range(MAX_CHUNKS):
        if place + 8 > size:
            return
        stream.seek(place)
        name, length = struct.unpack("<4sI", stream.read(8))
        yield name, length, place + 8
        place += 8 + length + length % 2


def _fmt(stream: BinaryIO, length: int) -> tuple[int, int, int, int]:
    content = stream.read(min(length, 40))
    coding, channels, rate, _, _, bits = struct.unpack("<HHIIHH", content[:16])
    if coding == EXTENSIBLE and len(content) >= 26:
        coding = int.from_bytes(content[24:26], "little")
    return coding, channels, rate, bits


def _check(coding: int, channels: int, rate: int, bits: int, where: str) -> None:
    allowed = {PCM: (8, 16, 24, 32), FLOAT: (32, 64)}.get(coding)
    if allowed is None:
        raise ImageError(f"{where}its sound is {FOREIGN.get(coding, f'coded as {coding}')}; convert it to PCM")
    if bits not in allowed:
        raise ImageError(f"{where}values of {bits} bits; supported are {', '.join(map(str, allowed))}")
    if not 1 <= channels <= MAX_CHANNELS:
        raise ImageError(f"{where}{channels} channels; the limit is {MAX_CHANNELS}")
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise ImageError(f"{where}{rate:,} values per second; supported are {LOWEST_RATE:,} to {HIGHEST_RATE:,}")


def _values(content: bytes, form: Format) -> Sound:
    if form.coding == FLOAT:
        return np.frombuffer(content, f"<f{form.bits // 8}").astype(np.float32)
    if form.bits == 8:  # the only one without a sign
        return (np.frombuffer(content, np.uint8).astype(np.float32) - np.float32(128)) / np.float32(128)
    if form.bits == 24:
        wide = np.zeros((len(content) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(content, np.uint8).reshape(-1, 3)
        whole, scale = wide.view("<i4")[:, 0], 2.0**31
    else:
        whole, scale = np.frombuffer(content, f"<i{form.bits // 8}"), 2.0 ** (form.bits - 1)
    values: Sound = (whole.astype(np.float64) / scale).astype(np.float32)
    return values


def resampled(sound: Sound, rate: int, wanted: int) -> Sound:
    """Return sound (T,) at another rate, its higher frequencies filtered out: float32, by SciPy's polyphase filter."""
    if rate == wanted:
        return sound
    from scipy.signal import resample_poly  # half a second that sound of the right rate does without

    shared = gcd(rate, wanted)
    return np.asarray(resample_poly(sound, wanted // shared, rate // shared), np.float32)


def fitted(sound: Sound, length: int) -> Sound:
    """Return sound (t,) as (T,): of a longer one the middle, a shorter one between silence of equal length."""
    missing = length - len(sound)
    if missing <= 0:
        first = -missing // 2
        return sound[first : first + length]
    return np.pad(sound, (missing // 2, missing - missing // 2))


def log_mel(sound: Sound, *, rate: int, window: int, hop: int, bands: int, floor_db: float) -> NDArray[np.float32]:
    """Return the log-mel spectrogram (bands, frames) of sound (T,), float32 decibels from -`floor_db` to 0.

    Hann windows of `window` values every `hop`, their power in triangular bands from 0 Hz to half the rate; 0 dB is the
    loudest band of the recording. The lowest band stands first. Of T values there are 1 + (T - window) // hop frames.
    """
    frames = np.lib.stride_tricks.sliding_window_view(sound.astype(np.float64), window)[::hop]
    size = fft_size(window)
    power = np.abs(np.fft.rfft(frames * _hann(window), size)) ** 2
    mel = power @ filters(rate, size, bands).T
    loudest = max(float(mel.max()), LOUDEST_POWER)
    decibels = 10 * np.log10(np.maximum(mel, LOUDEST_POWER * 1e-10) / loudest)
    return np.ascontiguousarray(np.clip(decibels, -floor_db, 0).T, np.float32)


def fft_size(window: int) -> int:
    """Return the smallest power of two that holds a window."""
    return 1 << (window - 1).bit_length()


@lru_cache(maxsize=8)
def _hann(window: int) -> NDArray[np.float64]:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)


@lru_cache(maxsize=8)
def filters(rate: int, size: int, bands: int) -> NDArray[np.float64]:
    """Return the triangles (bands, size // 2 + 1) that gather the frequencies of a transform of `size` values.

    Where a triangle is narrower than a step of the transform it takes the nearest frequency, so that no band is empty.
    """
    highest = 2595 * np.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, highest, bands + 2) / 2595) - 1)
    frequencies = np.arange(size // 2 + 1) * rate / size
    low, middle, high = (edges[start : start + bands, None] for start in range(3))
    found: NDArray[np.float64] = np.clip(
        np.minimum((frequencies - low) / (middle - low), (high - frequencies) / (high - middle)), 0, None
    )
    empty = np.flatnonzero(found.sum(axis=1) == 0)
    found[empty, np.abs(frequencies - middle[empty]).argmin(axis=1)] = 1
    return found
