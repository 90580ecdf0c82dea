"""The look of all pictures: their palette, and how axes are finished."""

from matplotlib.axes import Axes

INK, SOFT, LINE = "#1f2933", "#616e7c", "#cbd2d9"
"""Titles and what is drawn first; what explains; frames and grids."""
GREEN, BLUE, ORANGE = "#1d7a5f", "#2f6fb0", "#c2410c"
"""What a picture is about; text in each has a contrast of 4.5 on white."""
SEVERAL = (BLUE, ORANGE, GREEN, "#7b4fb5", "#6d4c41", "#00737f")
"""Colours of several lines in one picture, in their order."""


def finish(axes: Axes, title: str = "") -> None:
    """Give axes the grid, frame and ticks of all pictures, and a title at the left."""
    axes.set_title(title, loc="left", color=INK, fontsize=10.5, parse_math=False)
    axes.grid(color=LINE, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(SOFT)
    axes.tick_params(colors=SOFT, which="both")
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(INK)
