"""`fovea filter`: a classic or custom kernel, applied to an image or a signal."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fovea.data.signals import Signal, read_signal
from fovea.display import Display
from fovea.drawing.filtering import image_figure, keeps_brightness, signal_figure, weight_sum
from fovea.drawing.saving import save_figure
from fovea.errors import UsageError, unknown
from fovea.files import check_there
from fovea.preprocess import MAX_PIXELS, Pixels, decode
from fovea.reference import filters
from fovea.reference.padding import Array, Mode, Padding, amounts
from fovea.storage import picture_path


class Steps(NamedTuple):
    """How a kernel goes over its input."""

    stride: int
    padding: Padding
    mode: Mode


@dataclass(frozen=True, kw_only=True, eq=False)
class Filtered:
    """An input, a kernel, the output, and where the picture of all three is."""

    source: str
    kernel: str
    """Its name, or the numbers as they were given."""
    weights: Array
    """(h, w) for an image, (k,) for a signal; correlated, not flipped."""
    input: Pixels | Array
    """uint8 (H, W, C), or float64 (N,)."""
    output: Array
    """(H, W, C) or (N,)."""
    picture: Path

    def to_dict(self) -> dict[str, Any]:
        """Return all but the numbers themselves as JSON values."""
        return {
            "source": self.source,
            "kernel": self.kernel,
            "kernel_shape": list(self.weights.shape),
            "input_shape": list(self.input.shape),
            "output_shape": list(self.output.shape),
            "min": float(self.output.min()),
            "max": float(self.output.max()),
            "picture": str(self.picture),
        }

    def summary(self) -> list[str]:
        """Return the lines for the terminal."""
        return [
            f"Input    {self.source}, {_size(self.input)}",
            f"Kernel   {self.kernel}, {_size(self.weights)}, sum {weight_sum(self.weights)}",
            f"Output   {_size(self.output)}, from {self.output.min():.4g} to {self.output.max():.4g}",
            f"Picture  {self.picture}",
        ]


def filter(
    source: str | Path,
    kernel: str,
    *,
    stride: int = 1,
    padding: Padding = "same",
    mode: Mode = "replicate",
    out: str | Path | None = None,
    display: Display | None = None,
) -> Filtered:
    """Correlate an image, or a signal in a `.csv` file, with `kernel`, and draw input, kernel and output.

    `kernel` is a name (see `fovea.reference.filters`), a name with a size such as `box-9`, or rows of numbers such as
    "0 -1 0; -1 5 -1; 0 -1 0". Pixels range from 0 to 255. A kernel with sum 1, which keeps the brightness, is applied
    to red, green and blue; any other kernel is applied to the grey image. `mode` is the padding mode. The picture is
    written to `out`; the default is a name made of source and kernel, in the current folder.

    Raises:
        UsageError: a kernel, size, stride, padding or mode that is not allowed, or an `out` that is the source.
        ImageError, DataError: the source cannot be read.
        NotFoundError: the source is not there.
        StorageError: the picture cannot be written.
    """
    path = Path(source)
    check_there(path)
    weights = _weights(kernel, axes=1 if path.suffix.lower() == ".csv" else 2)
    picture = _picture(path, kernel, out)
    progress = (display or Display(quiet=True)).counter("filtering")
    steps = Steps(stride, padding, mode)
    x: Pixels | Array
    if weights.ndim == 1:
        signal = read_signal(path)
        x, y = signal.values, _slid(signal.values[None], weights, steps, progress)[0]
        figure = signal_figure(signal, weights, _placed(signal, y, weights, steps), name=kernel)
    else:
        x = _image(path, colour=keeps_brightness(weights))
        y = np.moveaxis(_slid(np.moveaxis(x, 2, 0), weights, steps, progress), 0, 2)
        figure = image_figure(x, weights, y, name=kernel)
    save_figure(figure, picture)
    return Filtered(source=str(source), kernel=kernel, weights=weights, input=x, output=y, picture=picture)


def _weights(kernel: str, *, axes: int) -> Array:
    named = kernel.strip()[:1].isalpha()
    try:
        return (filters.kernel if named else filters.written)(kernel, axes=axes)
    except KeyError:
        raise _unknown(kernel, axes) from None
    except ValueError as error:
        raise UsageError(str(error)) from error


def _unknown(kernel: str, axes: int) -> UsageError:
    known = filters.names(axes)
    if filters.split(kernel)[0] in filters.names(3 - axes) and filters.split(kernel)[0] not in known:
        other, this = ("images", "signals") if axes == 1 else ("signals", "images")
        return UsageError(
            f"`{kernel}` is a kernel for {other}; kernels for {this} are {', '.join(known)}, or your own numbers, "
            f"for example {filters.EXAMPLES[axes]}."
        )
    sized = "box and later ones also with a size, for example box-9"
    see = f"Known: {', '.join(known)} ({sized}), or your own numbers, for example {filters.EXAMPLES[axes]}."
    return unknown("kernel", kernel, known, see=see)


def _picture(source: Path, kernel: str, out: str | Path | None) -> Path:
    """Return where the picture goes."""
    name = kernel if kernel.strip()[:1].isalpha() else "kernel"
    path = picture_path(f"{source.stem}-{name}.png" if out is None else out)
    if path.exists() and source.exists() and path.samefile(source):
        raise UsageError(f"`out` (={path}) is the source itself; choose another name.")
    return path


def _image(path: Path, *, colour: bool) -> Pixels:
    """Return uint8 (H, W, 3), or (H, W, 1) where no colour is wanted, or none is there."""
    pixels = decode(path, channels=3 if colour else 1)
    return pixels[:, :, :1] if (pixels == pixels[:, :, :1]).all() else pixels


def _slid(x: Pixels | Array, weights: Array, steps: Steps, progress: Callable[[int, int], None]) -> Array:
    """Return the output for (C, *sizes)."""
    try:
        pairs = amounts(steps.padding, weights.shape, (1,) * weights.ndim)
        padded = math.prod(size + sum(pair) for size, pair in zip(x.shape[1:], pairs, strict=True))
        if padded > 2 * MAX_PIXELS:
            raise UsageError(
                f"`padding` (={steps.padding}) is too large: it would enlarge the input to {padded:,} values."
            )
        return filters.slide(x, weights, **steps._asdict(), progress=progress)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _placed(signal: Signal, y: Array, weights: Array, steps: Steps) -> Signal:
    ((before, _),) = amounts(steps.padding, weights.shape, (1,))
    return signal.slid(y, width=len(weights), before=before, stride=steps.stride)


def _size(array: Pixels | Array) -> str:
    """Return the sizes of an image or kernel, as 480 x 640 x 3, or of a signal."""
    return f"{len(array):,} samples" if array.ndim == 1 else " x ".join(f"{size:,}" for size in array.shape)
