"""The picture of input, kernel and output that `fovea filter` writes.

Images are (H, W, C) uint8 0..255, signals (N,) float64, kernels (h, w) or (k,) float64.
"""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from fovea.data.signals import Signal
from fovea.drawing.style import GREEN, INK, LINE, SOFT
from fovea.preprocess import Pixels

Array = NDArray[np.float64]

SIGNED = "RdBu_r"
PANEL_INCHES = 3.6
"""The height of an image in the picture."""
COLOUR_BAR_INCHES = 0.8
PANEL_PIXELS = 1200
"""Longer images are reduced to at most twice this before they are drawn."""
NUMBERED = 10
"""Images and kernels of up to so many rows and columns show their numbers."""
MAX_DENOMINATOR = 256


def image_figure(x: Pixels, weights: Array, y: Array, *, name: str) -> Figure:
    """Return the picture of an image (H, W, C), a kernel (h, w) and the output (H', W', C), side by side."""
    whole = keeps_brightness(weights)
    widths = [PANEL_INCHES * float(np.clip(image.shape[1] / image.shape[0], 0.5, 2.5)) for image in (x, y)]
    ratios = (widths[0], PANEL_INCHES * 0.6, widths[1])
    figure = _figure(sum(ratios) + (0.9 if whole else 0.9 + COLOUR_BAR_INCHES), PANEL_INCHES + 0.7)
    left, middle, right = figure.subplots(1, 3, width_ratios=ratios)
    _draw_pixels(left, x.astype(np.float64))
    _title(left, "input", _sizes(x))
    _draw_weights(middle, weights, name=name)
    (_draw_pixels if whole else _draw_values)(right, y)
    _title(right, "output", f"{_sizes(y)}, from {y.min():.4g} to {y.max():.4g}")
    return figure


def signal_figure(x: Signal, weights: Array, y: Signal, *, name: str) -> Figure:
    """Return the picture of a signal, a kernel and the output, one above the other; x and y share their axis."""
    figure = _figure(8, 6.4)
    top, middle, bottom = figure.subplots(3, 1, height_ratios=(3, 2, 3))
    bottom.sharex(top)
    _draw_samples(top, x, color=INK)
    _title(top, "input", f"{len(x.values):,} samples")
    _draw_impulses(middle, weights)
    _title(middle, _short(name), f"{len(weights)} samples, sum {weight_sum(weights)}")
    _draw_samples(bottom, x, color=LINE)
    _draw_samples(bottom, y, color=GREEN)
    _title(bottom, "output", f"{len(y.values):,} samples, from {y.values.min():.4g} to {y.values.max():.4g}")
    bottom.set_xlabel(x.time_name, color=SOFT, parse_math=False)
    for axes in (top, bottom):
        axes.set_ylabel(x.value_name, color=SOFT, parse_math=False)
    return figure


def keeps_brightness(weights: Array) -> bool:
    """Whether the sum is 1, so that the output of an image looks like an image."""
    return math.isclose(weights.sum(), 1)


def weight_sum(weights: Array) -> str:
    """Return the sum as text, without what rounding leaves of 0."""
    return f"{weights.sum().round(9) + 0.0:.4g}"


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), facecolor="white")
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.1)
    return figure


def _draw_pixels(axes: Axes, pixels: Array) -> None:
    """Draw (H, W, C) as it looks, 0 black and 255 white; what lies beyond is cut."""
    H, W, C = pixels.shape
    shown = np.clip(_reduced(pixels) / 255, 0, 1)
    image = axes.imshow(shown if C == 3 else shown[:, :, 0], cmap="gray", vmin=0, vmax=1, extent=(0, W, H, 0))
    _frame(axes)
    _draw_numbers(image, pixels)


def _draw_values(axes: Axes, y: Array) -> None:
    """Draw (H, W, 1): from blue for negative over white to red, or in grey where nothing is negative."""
    H, W, _ = y.shape
    shown = _reduced(y)[:, :, 0]
    bound = float(np.percentile(np.abs(shown), 99.5)) or float(np.abs(shown).max()) or 1.0
    signed = y.min() < 0
    image = axes.imshow(
        shown, cmap=SIGNED if signed else "gray", vmin=-bound if signed else 0, vmax=bound, extent=(0, W, H, 0)
    )
    bar = axes.figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02, extend="both" if signed else "max")
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=SOFT, labelsize=8, length=2)
    _frame(axes)
    _draw_numbers(image, y)


def _draw_weights(axes: Axes, weights: Array, *, name: str) -> None:
    """Draw (h, w): colours, and numbers where there are few; sums of ninths as `1/9 x` whole numbers."""
    h, w = weights.shape
    bound = float(np.abs(weights).max()) or 1.0
    image = axes.imshow(weights, cmap=SIGNED, vmin=-1.6 * bound, vmax=1.6 * bound, extent=(0, w, h, 0))
    _frame(axes)
    denominator = _denominator(weights) if max(h, w) <= NUMBERED else 1
    _draw_numbers(image, (weights * denominator)[:, :, None])
    scale = f"1/{denominator} \N{MULTIPLICATION SIGN}, " if denominator > 1 else ""
    _title(axes, _short(name), f"{scale}{_sizes(weights)}, sum {weight_sum(weights)}")


def _draw_numbers(image: AxesImage, values: Array) -> None:
    """Write each value of (H, W, 1) into its cell, where they are few."""
    H, W, C = values.shape
    if C > 1 or max(H, W) > NUMBERED:
        return
    light = image.to_rgba(np.asarray(image.get_array()))[:, :, :3].mean(2) > 0.55
    for (row, column), value in np.ndenumerate(values[:, :, 0]):
        style = {"color": INK if light[row, column] else "white", "size": 15 - max(H, W)}
        image.axes.text(column + 0.5, row + 0.5, f"{value + 0.0:.4g}", ha="center", va="center", **style)


def _draw_samples(axes: Axes, signal: Signal, *, color: str) -> None:
    """Draw a line, with a dot for each sample where they are few."""
    times = signal.start + signal.step * np.arange(len(signal.values))
    dots: dict[str, Any] = {"marker": "o", "markersize": 2.5} if len(times) <= 300 else {}
    axes.plot(times, signal.values, color=color, linewidth=1.2, **dots)
    _soften(axes)


def _draw_impulses(axes: Axes, weights: Array) -> None:
    """Draw each weight as a stem above its distance from the middle."""
    offsets = np.arange(len(weights)) - (len(weights) - 1) / 2
    axes.axhline(0, color=LINE, linewidth=1)
    axes.vlines(offsets, 0, weights, color=GREEN, linewidth=1.2)
    axes.plot(offsets, weights, "o", color=GREEN, markersize=3)
    axes.set_ylabel("weight", color=SOFT)
    axes.set_xlabel("samples from the middle", color=SOFT, size=8)
    _soften(axes)


def _title(axes: Axes, text: str, detail: str) -> None:
    axes.set_title(text, loc="left", color=INK, size=11, weight="bold")
    axes.set_title(detail, loc="right", color=SOFT, size=8.5)


def _frame(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color(LINE)


def _soften(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(LINE)
    axes.tick_params(colors=SOFT, labelsize=8)


def _reduced(image: Array) -> Array:
    """Return (H, W, C) as means of squares, small enough to be drawn quickly."""
    H, W, C = image.shape
    k = max(1, max(H, W) // PANEL_PIXELS)
    if min(H, W) < k or k == 1:
        return image
    mean: Array = image[: H // k * k, : W // k * k].reshape(H // k, k, W // k, k, C).mean((1, 3))
    return mean


def _denominator(weights: Array) -> int:
    """Return the smallest number that makes all weights whole, or 1 where none does."""
    for denominator in range(1, MAX_DENOMINATOR + 1):
        if np.allclose(weights * denominator, np.round(weights * denominator), rtol=0, atol=1e-9):
            return denominator
    return 1


def _sizes(array: Array | Pixels) -> str:
    return f"{array.shape[0]} \N{MULTIPLICATION SIGN} {array.shape[1]}"


def _short(name: str) -> str:
    return name if name[:1].isalpha() else "kernel"
