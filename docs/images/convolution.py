"""Draw the figures of docs/convolution.md with the reference: python docs/images/convolution.py."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fovea.drawing.style import GREEN, INK, LINE, SOFT
from fovea.reference.convolution import convolve, correlate
from fovea.reference.matrix import convolution_matrix
from fovea.reference.padding import pad
from fovea.reference.transposed import transposed

BLUES, GREENS = ("#0b3c5d", "#328cc1", "#a3d5f7"), (GREEN, "#62b58f", "#c3e6cb")
REDS = ("#c2410c", "#f08a5d", "#fbd1b7")
NINE = ListedColormap(["white", *BLUES, *GREENS, *REDS])
"""A colour for each of the nine weights of a 3x3 kernel; white for zero."""


def main() -> None:
    """Write every figure beside this file."""
    for name, figure in figures():
        figure.savefig(Path(__file__).with_name(f"convolution-{name}.png"), dpi=110, bbox_inches="tight")


def figures() -> Iterator[tuple[str, Figure]]:
    """Yield the figures with their names."""
    yield "impulse", draw_impulse()
    yield "matrix", draw_matrix()
    yield "layers", draw_layers()
    yield "padding", draw_padding()
    yield "transposed", draw_transposed()


def draw_impulse() -> Figure:
    """A single bright pixel shows which of the two operations flips the kernel."""
    kernel = np.array([[1.0, 1, 1], [1, 1, 0], [1, 0, 0]])
    impulse = np.zeros((1, 1, 7, 7))
    impulse[0, 0, 3, 3] = 1
    figure = Figure(figsize=(10, 2.8), facecolor="white")
    panels = {
        "input: one pixel": impulse[0, 0],
        "kernel": kernel,
        "correlation: kernel reflected": correlate(impulse, kernel[None, None], padding="same")[0, 0],
        "convolution: kernel as it is": convolve(impulse, kernel[None, None], padding="same")[0, 0],
    }
    for axes, (title, image) in zip(figure.subplots(1, 4, width_ratios=(7, 3, 7, 7)), panels.items(), strict=True):
        cells(axes, image, title, cmap=ListedColormap(["white", GREEN]))
    return figure


def draw_matrix() -> Figure:
    """The matrix of a 3x3 kernel on 8x8 pixels, and its transpose, a colour for each weight."""
    weights = np.arange(1.0, 10).reshape(1, 1, 3, 3)
    C = convolution_matrix(weights, (1, 8, 8)).toarray()
    figure = Figure(figsize=(11, 4.6), facecolor="white")
    small, wide, tall = figure.subplots(1, 3, width_ratios=(1.2, 6, 3.5))
    cells(small, weights[0, 0], "kernel", cmap=NINE, top=9)
    for axes, matrix, title in ((wide, C, "C: 36 x 64, output from input"), (tall, C.T, "C$^T$: gradient back")):
        axes.imshow(matrix, cmap=NINE, vmin=0, vmax=9, interpolation="nearest")
        axes.set_title(title, size=10, color=INK)
        axes.set_xticks(np.arange(0, matrix.shape[1] + 1, 8 if matrix is C else 6) - 0.5, [])
        axes.set_yticks(np.arange(0, matrix.shape[0] + 1, 6 if matrix is C else 8) - 0.5, [])
        grid(axes)
    wide.set_xlabel("input pixels, a block for each row of the image", size=9, color=SOFT)
    wide.set_ylabel("output pixels", size=9, color=SOFT)
    tall.set_xlabel("output pixels", size=9, color=SOFT)
    return figure


def draw_layers() -> Figure:
    """Which weights are zero and which are one and the same, in the matrix of three layers on a row of 10 pixels."""
    window = convolution_matrix(np.ones((1, 1, 3)), (1, 10)).toarray()
    dense = 1 + np.arange(80.0).reshape(8, 10)
    untied = np.where(window > 0, dense, 0)
    tied = convolution_matrix(np.array([[[8.0, 40, 72]]]), (1, 10)).toarray()
    figure = Figure(figsize=(11, 3.1), facecolor="white")
    titles = ("dense: 80 weights", "locally connected: 24 weights", "convolution: 3 weights")
    colours = ListedColormap(["white", *colormaps["turbo"](np.random.default_rng(3).permutation(80) / 79)])
    for axes, matrix, title in zip(figure.subplots(1, 3), (dense, untied, tied), titles, strict=True):
        axes.imshow(matrix, cmap=colours, vmin=0, vmax=80)
        axes.set_title(title, size=10, color=INK)
        axes.set_xticks(np.arange(11) - 0.5, [])
        axes.set_yticks(np.arange(9) - 0.5, [])
        grid(axes)
    return figure


def draw_padding() -> Figure:
    """A 4x4 image padded by 3 on every side, in the five modes."""
    image = np.array([[1.0, 2, 3, 4], [3, 4, 5, 6], [5, 6, 7, 8], [9, 9, 8, 8]])[None, None]
    figure = Figure(figsize=(13, 3), facecolor="white")
    for axes, mode in zip(figure.subplots(1, 5), ("zero", "constant", "reflect", "replicate", "circular"), strict=True):
        cells(axes, pad(image, [(3, 3), (3, 3)], mode=mode, value=5.0)[0, 0], mode, cmap="Greens", top=9, numbers=True)
        axes.add_patch(Rectangle((2.5, 2.5), 4, 4, fill=False, edgecolor="#c2410c", linewidth=2))
    return figure


def draw_transposed() -> Figure:
    """Each pixel of a 2x2 input lays a 3x3 kernel down, two pixels apart; where they meet they add up."""
    x, kernel = np.array([[1.0, 2], [3, 4]]), np.array([[1.0, 1, 1], [1, 1, 1], [1, 1, 1]])
    figure = Figure(figsize=(8, 2.8), facecolor="white")
    panels = {
        "input": x,
        "kernel": kernel,
        "transposed, stride 2": transposed(x[None, None], kernel[None, None], stride=2)[0, 0],
    }
    for axes, (title, image) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        cells(axes, image, title, cmap="Greens", top=14, numbers=True)
    return figure


def cells(
    axes: Axes, image: np.ndarray, title: str, *, cmap: Colormap | str, top: float = 1, numbers: bool = False
) -> None:
    """Draw the pixels of an image as cells, values 0 to `top`."""
    axes.imshow(image, cmap=cmap, vmin=0, vmax=top)
    axes.set_title(title, size=10, color=INK)
    axes.set_xticks(np.arange(image.shape[1] + 1) - 0.5, [])
    axes.set_yticks(np.arange(image.shape[0] + 1) - 0.5, [])
    grid(axes)
    for (row, column), value in np.ndenumerate(image) if numbers else ():
        colour = "white" if value > 0.6 * top else INK
        axes.text(column, row, f"{value:g}", size=8, color=colour, ha="center", va="center")


def grid(axes: Axes) -> None:
    """Draw light lines at the ticks, without marks."""
    axes.grid(color=LINE, linewidth=0.6)
    axes.tick_params(length=0)
    axes.spines[:].set_color(LINE)


if __name__ == "__main__":
    main()
