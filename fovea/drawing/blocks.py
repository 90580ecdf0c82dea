"""A pass of one image as blocks of maps in space, a block a layer, with pictures of the maps that are most active.

Of networks of many layers a block stands for a stage, and shows the last layer of it. Layers are of shape (C, H, W),
(C, L) or (K,), float.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from fovea.drawing.mosaic import as_maps
from fovea.errors import UsageError
from fovea.explanation.units.layers import Layer, Layers

MOST_BLOCKS = 24
"""More layers are grouped by stage."""
MAPS = 12
"""Of a block: those with the largest mean size, in the order of the channels."""
SIDE = 24
"""Pixels of the longer side of a map's picture, at most."""
COLOURS = "inferno"
COLUMNS = 16
"""Pictures in a row of the sheet."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Layers that follow each other and are one block."""

    name: str
    layers: tuple[Layer, ...]

    @property
    def whole(self) -> bool:
        """Whether it stands for several layers."""
        return len(self.layers) > 1


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What is shown in space."""

    blocks: tuple[dict[str, Any], ...]
    """As JSON values, from the input on: the number of the layer, that of the group (-1 where it is a layer alone), the
    title, (C, H, W), the channels of the maps that are shown, and where on the sheet each is: x, y, width, height."""
    sheet: Image.Image
    """The pictures of the maps."""


def groups_of(layers: Sequence[Layer]) -> list[Group]:
    """Return the blocks of a network: its layers, or where they are too many its stages, at most `MOST_BLOCKS`."""
    if len(layers) <= MOST_BLOCKS:
        return [Group(name=layer.title, layers=(layer,)) for layer in layers]
    stages = [(name, tuple(some)) for name, some in groupby(layers, _stage)]
    each = -(-len(stages) // MOST_BLOCKS)
    joined = [stages[first : first + each] for first in range(0, len(stages), each)]
    return [
        Group(
            name=some[0][0] if len(some) == 1 else f"{some[0][0]} to {some[-1][0]}",
            layers=tuple(layer for _, layers in some for layer in layers),
        )
        for some in joined
    ]


def scene(layers: Layers, group: int = -1) -> Scene:
    """Return the blocks of a pass; of a `group`, by its number, those of its layers.

    Raises: UsageError where there is no such group.
    """
    groups = groups_of(layers.all)
    if not -1 <= group < len(groups):
        raise UsageError(f"There is no group {group}; there are {len(groups)}.")
    if group >= 0:
        shown = [Group(name=layer.title, layers=(layer,)) for layer in groups[group].layers]
    else:
        shown = groups
    blocks, pictures = list[dict[str, Any]](), list[NDArray[np.uint8]]()
    for number, one in enumerate(shown):
        channels, made = _maps(layers.maps(one.layers[-1]))
        places = [_place(len(pictures) + index, picture) for index, picture in enumerate(made)]
        pictures += made
        blocks.append(_block(one, number if one.whole else -1, channels, places))
    return Scene(blocks=tuple(blocks), sheet=_sheet(pictures))


def _stage(layer: Layer) -> str:
    """Return the first part of a layer's path; of the input and what stands in no module, what it does."""
    path, colon, operation = layer.title.rpartition(": ")
    return path.split(".")[0] if colon else operation


def _block(group: Group, number: int, channels: Sequence[int], places: Sequence[Any]) -> dict[str, Any]:
    last = group.layers[-1]
    return {
        "layer": last.number,
        "group": number,
        "title": f"{group.name}, {len(group.layers)} layers" if group.whole else group.name,
        "shape": list(as_maps(last.shape)),
        "words": " x ".join(map(str, last.shape)),
        "channels": list(channels),
        "places": list(places),
    }


def _maps(values: NDArray[np.float64]) -> tuple[list[int], list[NDArray[np.uint8]]]:
    """Return the channels of the most active maps of a layer, and their pictures (h, w, 3) uint8, on one scale."""
    maps = np.abs(np.nan_to_num(values)).reshape(as_maps(values.shape))
    strongest = np.argsort(-maps.mean(axis=(1, 2)), kind="stable")[:MAPS]
    channels = sorted(int(channel) for channel in strongest)
    shares = maps[channels] / (float(maps.max()) or 1.0)
    H, W = shares.shape[1:]
    size = (max(1, min(W, round(SIDE * W / max(H, W)))), max(1, min(H, round(SIDE * H / max(H, W)))))
    small = [Image.fromarray(np.float32(share)).resize(size, Image.Resampling.BOX) for share in shares]
    seen = np.stack([np.asarray(each, np.float64) for each in small]) ** 0.5  # what is weak is seen too
    return channels, list(colormaps[COLOURS](seen, bytes=True)[..., :3])


def _place(number: int, picture: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Return where a picture lies on the sheet: x, y, width, height."""
    row, column = divmod(number, COLUMNS)
    return column * SIDE, row * SIDE, picture.shape[1], picture.shape[0]


def _sheet(pictures: Sequence[NDArray[np.uint8]]) -> Image.Image:
    sheet = np.zeros((-(-len(pictures) // COLUMNS) * SIDE, COLUMNS * SIDE, 3), np.uint8)
    for number, picture in enumerate(pictures):
        x, y, width, height = _place(number, picture)
        sheet[y : y + height, x : x + width] = picture
    return Image.fromarray(sheet)
