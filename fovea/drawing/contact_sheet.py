"""Images side by side in one picture, as `fovea train --preview` writes them."""

import io
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from fovea.storage import write_atomically

SHEETS = {".png": "png", ".jpg": "jpeg", ".pdf": "pdf"}
"""Suffixes of a contact sheet, and what Pillow calls them."""
SHEET_COLUMNS = 8
SHEET_TILE = 128


def contact_sheet(pixels: Tensor, path: Path) -> Path:
    """Write uint8 images (N, C, H, W) as one picture of at most eight columns, small ones enlarged; return `path`.

    Raises: StorageError where it cannot be written.
    """
    N, C, H, W = pixels.shape
    zoom = max(1, SHEET_TILE // max(H, W))
    tiles = pixels.permute(0, 2, 3, 1).expand(N, H, W, 3).repeat_interleave(zoom, 1).repeat_interleave(zoom, 2).numpy()
    columns = min(N, SHEET_COLUMNS)
    rows = -(-N // columns)
    gap, h, w = 2, H * zoom, W * zoom
    sheet = np.full((rows * (h + gap), columns * (w + gap), 3), 255, np.uint8)
    for index, tile in enumerate(tiles):
        top, left = index // columns * (h + gap), index % columns * (w + gap)
        sheet[top : top + h, left : left + w] = tile
    with io.BytesIO() as stream:
        Image.fromarray(sheet).save(stream, SHEETS[path.suffix.lower()])
        write_atomically(path, stream.getvalue())
    return path
