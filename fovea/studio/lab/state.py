"""What the address of a page of the lab asks for: `/lab?image=1 2; 3 4&kernel=1 -1&stride=2`.

Rows are divided by `;`, channels and kernels by `|`. Images are (C, H, W), kernels (C_out, C / groups, H, W), float64.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fovea.reference.padding import Array
from fovea.reference.worked import KINDS, MOST_CELLS, Operation, worked

MODES = ("zero", "reflect", "replicate", "circular")
PADDINGS = ("valid", "same", "full", "1", "2", "3")
STRIDES, DILATIONS, GROUPS = ("1", "2", "3", "4"), ("1", "2", "3"), ("1", "2", "3", "4")
CHOICES = {
    "kind": KINDS,
    "stride": STRIDES,
    "padding": PADDINGS,
    "mode": MODES,
    "dilation": DILATIONS,
    "groups": GROUPS,
}
NUMBERS = ("stride", "dilation", "groups")
MOST_SIDE = 16
"""Rows or columns of a grid."""
MOST_TEXT = 4000
"""Characters of a grid in an address."""
MOST_VALUE = 1e9
EXAMPLES: dict[str, tuple[str, str]] = {
    "002: a 5 x 5 input under a 3 x 3 kernel": (
        "3 3 2 1 0; 0 0 1 3 1; 3 1 2 2 3; 2 0 0 2 2; 2 0 0 0 1",
        "0 1 2; 2 2 0; 0 1 2",
    ),
    "004: the diagonal filter": (
        "1 0 0 0 0 1; 0 1 0 0 1 0; 0 0 1 1 0 0; 1 0 0 0 1 0; 0 1 0 0 1 0; 0 0 1 0 1 0",
        "1 -1 -1; -1 1 -1; -1 -1 1",
    ),
    "000: the example of padding": (
        "3 3 4 4 7 0; 9 7 6 5 8 2; 6 5 5 6 9 2; 7 1 3 2 7 8; 0 3 7 1 8 3; 4 0 4 3 2 2",
        "1 0 -1; 1 0 -1; 1 0 -1",
    ),
    "004: the edge of a signal": ("1 1 0 0 0 0 1 1", "1 -1"),
}


@dataclass(kw_only=True, eq=False)
class LabState:
    """A grid, a kernel, and what is done."""

    image: Array
    kernel: Array
    settings: dict[str, Any]
    refused: list[str] = field(default_factory=list)
    """What the address asks for and does not get, a sentence each."""

    def worked(self) -> dict[str, Any]:
        """Return what is done to the grid, cell by cell, as JSON values: input and kernel, and of `worked` all.

        Raises:
            ValueError: it does not fit, or there are more cells than a page shows.
        """
        if max(self.image.size, self.kernel.size) > MOST_CELLS:
            raise ValueError(f"A grid of a page has at most {MOST_CELLS} cells.")
        padding = self.settings["padding"]
        given = {**self.settings, "padding": int(padding) if padding.isdecimal() else padding}
        image, kernel = as_signal(self.image, self.kernel)
        found = worked(image, kernel, Operation(**given)).to_dict()
        if image.ndim == 2:
            found = {**found, **{name: [[row] for row in found[name]] for name in ("output", "gradient")}}
        flat = self.kernel.reshape(-1, *self.kernel.shape[2:])
        return {**found, "image": self.image.tolist(), "kernel": flat.tolist()}


def lab_state(asked: Mapping[str, str]) -> LabState:
    """Return what an address asks for; what it does not say, or says wrongly, is as in the first example."""
    example = asked.get("example", "")
    image, kernel = EXAMPLES[example if example in EXAMPLES else next(iter(EXAMPLES))]
    state = LabState(image=grids_of(image), kernel=grids_of(kernel)[None], settings=dict(DEFAULTS))
    if example and example not in EXAMPLES:
        state.refused.append("There is no such example.")
    for name, allowed in CHOICES.items():
        text = asked.get(name, str(state.settings[name]))
        text = "valid" if name == "padding" and text == "0" else text
        if text in allowed:
            state.settings[name] = int(text) if name in NUMBERS else text
        else:
            state.refused.append(f"`{name}` is one of {', '.join(allowed)}.")
    _take_grids(state, asked)
    return state


DEFAULTS = {"kind": "correlation", "stride": 1, "padding": "valid", "mode": "zero", "dilation": 1, "groups": 1}


def _take_grids(state: LabState, asked: Mapping[str, str]) -> None:
    for name in ("image", "kernel"):
        if name not in asked:
            continue
        try:
            grids = grids_of(asked[name])
        except ValueError as error:
            state.refused.append(f"`{name}`: {error}")
            continue
        if name == "image":
            state.image = grids
        else:
            state.kernel = grids[None]
    state.kernel = _divided(state.kernel.reshape(-1, *state.kernel.shape[2:]), len(state.image), state.settings)


def _divided(grids: Array, channels: int, settings: Mapping[str, Any]) -> Array:
    """Return grids (count, H, W) as kernels of so many channels, as far as the count allows."""
    if settings["kind"] in ("max", "average"):
        return grids[:1, None]
    each = max(1, channels // settings["groups"])
    if settings["kind"] == "transposed":
        return grids.reshape(channels, -1, *grids.shape[1:]) if len(grids) % channels == 0 else grids[None]
    return grids.reshape(-1, each, *grids.shape[1:]) if len(grids) % each == 0 else grids[None]


def grids_of(text: str) -> Array:
    """Return grids (count, H, W) as they are written.

    Raises:
        ValueError: no numbers, rows of different lengths, or too many.
    """
    if len(text) > MOST_TEXT:
        raise ValueError(f"It is written in at most {MOST_TEXT} characters.")
    try:
        grids = [[[float(cell) for cell in row.split()] for row in grid.split(";")] for grid in text.split("|")]
    except ValueError:
        raise ValueError("A grid holds numbers: `1 2; 3 4`.") from None
    sizes = {(len(grid), len(row)) for grid in grids for row in grid}
    if len(sizes) != 1:
        raise ValueError("All rows of all grids are equally long.")
    H, W = sizes.pop()
    if not (1 <= H <= MOST_SIDE and 1 <= W <= MOST_SIDE and len(grids) <= MOST_SIDE):
        raise ValueError(f"A grid has 1 to {MOST_SIDE} rows and columns; there are at most {MOST_SIDE} grids.")
    if len(grids) * H * W > MOST_CELLS:
        raise ValueError(f"There are at most {MOST_CELLS} cells.")
    if not all(math.isfinite(cell) and abs(cell) <= MOST_VALUE for grid in grids for row in grid for cell in row):
        raise ValueError("Cells are numbers from -1e9 to 1e9.")
    return np.array(grids)


def as_signal(image: Array, kernel: Array) -> tuple[Array, Array]:
    """Return grids of one row as signals of one axis; kernels are (O, C, H, W)."""
    if image.shape[1] == 1 and kernel.shape[2] == 1:
        return image[:, 0], kernel[:, :, 0]
    return image, kernel
