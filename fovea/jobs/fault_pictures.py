"""Pictures of the faults of masks, boxes and points, for the page of `fovea check`.

Pictures are (H, W, 3) uint8 0..255.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fovea.data.dataset import Dataset, Part
from fovea.data.masks import DrawnMask, MaskFile, packed
from fovea.data.target_faults import Place
from fovea.errors import ImageError
from fovea.preprocess import Pixels, decode
from fovea.preprocess.decoding import upright_size
from fovea.preprocess.values import decode_values
from fovea.tasks.mask_colours import painted

SIDE = 360
"""Pixels of the longer side of an image."""
GAP = 8
WRONG, OTHERS = (230, 30, 40), (0, 150, 199)
PAPER = 128
"""Grey beyond an image."""
FURTHEST = 1.0
"""Of an image's sides: so much of what lies beyond it is shown."""


def fault_picture(dataset: Dataset, fault: Mapping[str, Any]) -> Pixels | None:
    """Return the image of a fault, as `Fault` has it in JSON, with what is wrong; None if it has none to show."""
    part = dataset.parts[fault["part"]]
    if fault["name"] not in part.names:  # it is one of a class
        return None
    index = part.names.index(fault["name"])
    try:
        image, size = _image(part, index)
    except ImageError:
        return None
    return _DRAWN[dataset.task](image, image.shape[1] / size[1], part.labels[index], fault["places"])


def _image(part: Part, index: int) -> tuple[Pixels, tuple[int, int]]:
    """Return an image, reduced, and its size (h, w) before that."""
    if part.files is None:
        pixels = np.asarray(part.decoded[index])
        size = pixels.shape[:2]
    else:
        pixels = decode(part.files[index], channels=3, at_least=(SIDE, SIDE))
        size = upright_size(part.files[index]) or pixels.shape[:2]
    return _reduced(pixels), (size[0], size[1])


def _reduced(pixels: Pixels) -> Pixels:
    """Return a picture (H, W, 1 or 3) with three channels, its longer side as `SIDE` or shorter."""
    image = Image.fromarray(np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3))))
    image.thumbnail((SIDE, SIDE))
    return np.asarray(image)


def _mask(label: Any, size: tuple[int, int]) -> Pixels | None:
    """Return a mask in its colours; what is no class of it in red. None if it cannot be read."""
    try:
        if isinstance(label, MaskFile):
            return _stored(label)
        mask = label.read(label.size if isinstance(label, DrawnMask) else size)
        return painted(np.asarray(mask, np.uint8))
    except ImageError:
        return None


def _stored(label: MaskFile) -> Pixels:
    stored = decode_values(label.path, colours=label.table.colours)
    values = packed(stored) if label.table.colours else stored
    known = np.isin(values, label.table.values)
    classes = np.zeros(values.shape, np.uint8)
    for value, index in zip(label.table.values, label.table.classes, strict=True):
        classes[values == value] = index
    return np.where(known[..., None], painted(classes), np.array(WRONG, np.uint8))


def _side_by_side(image: Pixels, scale: float, label: Any, _: Sequence[Place]) -> Pixels:
    """Return an image and its mask beside it, both reduced by `scale`; the image alone without one."""
    mask = _mask(label, (round(len(image) / scale), round(image.shape[1] / scale)))
    if mask is None:
        return image
    sides = [max(1, min(round(side * scale), 2 * SIDE)) for side in mask.shape[1::-1]]
    mask = np.asarray(Image.fromarray(mask).resize((sides[0], sides[1]), Image.Resampling.NEAREST))
    canvas = np.full((max(len(image), len(mask)), image.shape[1] + GAP + mask.shape[1], 3), 255, np.uint8)
    canvas[: len(image), : image.shape[1]] = image
    canvas[: len(mask), image.shape[1] + GAP :] = mask
    return canvas


def _with_boxes(image: Pixels, scale: float, boxes: NDArray[np.float32], wrong: Sequence[Place]) -> Pixels:
    """Return an image with its boxes (M, 6), those that are wrong in red."""
    return _with_places(image, _scaled(wrong, scale), boxes[boxes[:, 0] >= 0, 1:5].astype(np.float64) * scale)


def _with_points(image: Pixels, scale: float, _: NDArray[np.float32], wrong: Sequence[Place]) -> Pixels:
    """Return an image with the points that are wrong."""
    return _with_places(image, _scaled(wrong, scale), np.zeros((0, 4)))


def _scaled(places: Sequence[Place], scale: float) -> NDArray[np.float64]:
    return np.asarray(places, np.float64).reshape(-1, 4) * scale


def _with_places(image: Pixels, wrong: NDArray[np.float64], others: NDArray[np.float64]) -> Pixels:
    """Return an image with boxes (n, 4) that are wrong, and others, on grey paper that shows what lies beyond it."""
    h, w = image.shape[:2]
    sides = wrong[:, [0, 1, 2, 3, 0, 1]] if len(wrong) else np.zeros((1, 6))
    x, y = (np.clip(sides[:, axis::2], -FURTHEST * side, (1 + FURTHEST) * side) for axis, side in ((0, w), (1, h)))
    left, top = (max(0, int(np.ceil(-each.min())) + GAP * (each.min() < 0)) for each in (x, y))
    right, below = (
        max(0, int(np.ceil(each.max() - side)) + GAP * (each.max() > side)) for each, side in ((x, w), (y, h))
    )
    canvas = Image.new("RGB", (left + w + right, top + h + below), (PAPER,) * 3)
    canvas.paste(Image.fromarray(image), (left, top))
    draw = ImageDraw.Draw(canvas)
    for boxes, colour, width in ((others, OTHERS, 1), (wrong, WRONG, 3)):
        for x0, y0, x1, y1 in np.clip(boxes, -1e4, 1e4).tolist():
            (a, c), (b, d) = sorted((x0 + left, x1 + left)), sorted((y0 + top, y1 + top))
            if c - a < 1 and d - b < 1:  # a point
                draw.ellipse((a - 4, b - 4, a + 4, b + 4), fill=colour, outline=(255, 255, 255))
            else:
                draw.rectangle((a, b, max(a, c - 1), max(b, d - 1)), outline=colour, width=width)
    return np.asarray(canvas)


Drawn = Callable[[Pixels, float, Any, Sequence[Place]], Pixels]
_DRAWN: Mapping[str, Drawn] = {"masks": _side_by_side, "boxes": _with_boxes, "points": _with_points}
"""What shows a fault, by kind of target: of the reduced image, by how much it is, its label, and the places."""
