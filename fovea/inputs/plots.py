"""Small pictures of what is no image: lines and strips, with NumPy and Pillow alone.

Pictures are (H, W, 3) uint8 0..255.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Picture = NDArray[np.uint8]

WIDTH, HEIGHT, MARGIN = 160, 88, 4
SCALE = 2
"""Lines are drawn so many times larger and reduced, which smooths them."""
LARGE = {"width": 480, "height": 200}
"""Pixels of a plot on which a map is laid."""
THICK = 7
"""Pixels of a line that shows a map."""
PAPER, INK = (255, 255, 255), (50, 50, 60)
COLOURS = (INK, (214, 96, 36), (44, 140, 75), (160, 60, 150), (190, 150, 20), (90, 90, 90))
"""Of the first channels; further ones begin anew."""
MOST_LINES = 12
"""Channels that are drawn."""


def line_plot(values: NDArray[np.floating], *, width: int = WIDTH, height: int = HEIGHT) -> Picture:
    """Return a plot of (T, C) numbers, a line for each channel, all on one scale: (H, W, 3) uint8."""
    points, size = places(values, width=width * SCALE, height=height * SCALE)
    image = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(image)
    for channel, line in enumerate(points[:MOST_LINES]):
        draw.line(line, fill=COLOURS[channel % len(COLOURS)], width=SCALE + 1, joint="curve")
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


def along_lines(
    values: NDArray[np.floating], series: NDArray[np.floating], *, width: int, height: int
) -> NDArray[np.float32]:
    """Return numbers (T,) on the lines of a plot of `series` (T, C): (H, W) float32, 0 beside the lines."""
    points, _ = places(series, width=width * SCALE, height=height * SCALE)
    mask = Image.new("L", (width, height))
    draw = ImageDraw.Draw(mask)
    for line in points[:MOST_LINES]:
        draw.line([(x / SCALE, y / SCALE) for x, y in line], fill=1, width=THICK, joint="curve")
    steps = [x / SCALE for x, _ in points[0]]
    at_columns = np.interp(np.arange(width), steps, values)
    laid: NDArray[np.float32] = (np.asarray(mask) * at_columns[None]).astype(np.float32)
    return laid


def places(
    values: NDArray[np.floating], *, width: int, height: int
) -> tuple[list[list[tuple[float, float]]], tuple[int, int]]:
    """Return for each channel of (T, C) numbers where its steps lie, as (x, y) in pixels, and the size (W, H)."""
    T, C = values.shape
    finite = np.where(np.isfinite(values), values, 0).astype(np.float64)
    low, high = float(finite.min(initial=np.inf)), float(finite.max(initial=-np.inf))
    span = high - low if high > low else 1.0
    margin = MARGIN * SCALE
    x = np.linspace(margin, width - 1 - margin, T)
    y = height - 1 - margin - (finite - low) / span * (height - 1 - 2 * margin)
    if high <= low:
        y = np.full_like(y, height / 2)
    return [list(zip(x.tolist(), y[:, channel].tolist(), strict=True)) for channel in range(C)], (width, height)


GAP, COLUMNS, FRAME_SIDE = 2, 4, 38
"""Pixels between the frames of a strip, how many stand in a row, and the side to which small ones are enlarged."""


def strip(frames: NDArray[np.uint8], *, side: int = FRAME_SIDE) -> Picture:
    """Return frames (T, H, W, C) side by side in rows, small ones enlarged up to `side`: (H, W, C) uint8."""
    laid: Picture = side_by_side(frames, gap=255, side=side)
    return laid


def side_by_side(frames: NDArray[Any], *, gap: float, side: int, columns: int = COLUMNS) -> NDArray[Any]:
    """Return frames (T, H, W, C) of any dtype in rows of `columns`, small ones enlarged, with `gap` between."""
    times = max(1, side // max(frames.shape[1:3]))
    large = np.repeat(np.repeat(frames, times, axis=1), times, axis=2)
    T, H, W, C = large.shape
    rows, columns = -(-T // columns), min(T, columns)
    laid = np.full((rows * (H + GAP) - GAP, columns * (W + GAP) - GAP, C), gap, frames.dtype)
    for index, frame in enumerate(large):
        top, left = index // columns * (H + GAP), index % columns * (W + GAP)
        laid[top : top + H, left : left + W] = frame
    return laid


DARK_TO_LIGHT = np.array(
    [(12, 10, 45), (60, 20, 110), (130, 35, 130), (200, 60, 100), (245, 120, 60), (252, 190, 80), (252, 250, 200)]
)
"""Colours from the smallest value to the largest: each is lighter than the one before."""
SHORTEST_SIDE, LARGE_SIDE = 96, 240
"""Pixels of the shorter side to which maps are enlarged: in a thumbnail, and where another map lies on them."""


def heat_map(values: NDArray[np.floating]) -> Picture:
    """Return numbers (h, w) in colours from dark to light, small ones enlarged: (H, W, 3) uint8."""
    shares = _shares(values)
    place = shares * (len(DARK_TO_LIGHT) - 1)
    below = np.minimum(place.astype(int), len(DARK_TO_LIGHT) - 2)
    rest = (place - below)[..., None]
    colours = DARK_TO_LIGHT[below] * (1 - rest) + DARK_TO_LIGHT[below + 1] * rest
    return enlarged(colours.round().astype(np.uint8))


def grey_map(values: NDArray[np.floating]) -> Picture:
    """Return numbers (h, w) in grey, the largest white, small ones enlarged for a map to lie on: (H, W, 1) uint8."""
    large: Picture = enlarged((255 * _shares(values)).round().astype(np.uint8), least=LARGE_SIDE)[..., None]
    return large


def _shares(values: NDArray[np.floating]) -> NDArray[np.float64]:
    low, high = float(values.min()), float(values.max())
    return (values.astype(np.float64) - low) / (high - low) if high > low else np.zeros(values.shape)


def enlarged(values: NDArray[Any], *, least: int = SHORTEST_SIDE) -> NDArray[Any]:
    """Return a map (h, w) or picture (h, w, C) of any dtype, a small one with its pixels repeated."""
    times = max(1, -(-least // min(values.shape[:2])))
    return np.repeat(np.repeat(values, times, axis=0), times, axis=1)
