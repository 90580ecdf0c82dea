"""A page of pictures and tables on one question, its pictures beside it as PNG and its numbers as `.npz`.

Pixels are (H, W, C) uint8 0..255 with 1, 3 or 4 channels.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fovea.report.page import picture, render, write_page
from fovea.report.rasters import Pixels
from fovea.storage import make_folder, write_atomically

WIDE = 1040
"""Pixels of the longer side of a picture in the page; larger ones are reduced, and whole in their files."""
SMALLEST = 320
"""What smaller pictures are enlarged to, by whole factors."""
MOST_ROWS = 100
"""Of a table in the page; JSON has all."""


class Drawn(NamedTuple):
    """One picture."""

    pixels: Pixels
    caption: str = ""
    note: str = ""
    """A second line, dim."""
    stem: str = ""
    """Of its file beside the page; one without has none."""
    width: int = 0
    """Pixels across in the page; 0 leaves it to the size of the picture."""
    side: int = WIDE
    """Pixels of the longer side in the page, to which a larger one is reduced."""

    @property
    def shown_width(self) -> int:
        """Pixels across in the page."""
        W = self.pixels.shape[1]
        return self.width or min(WIDE, W * max(1, min(12, round(SMALLEST / W))))

    @property
    def source(self) -> str:
        """The address of the picture itself."""
        return picture(self.pixels, side=self.side)


class Table(NamedTuple):
    """Rows of values as a person reads them; the first column is text, the others are numbers or text."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


class Group(NamedTuple):
    """Pictures, or a table, under a heading."""

    title: str = ""
    note: str = ""
    drawn: Sequence[Drawn] = ()
    table: Table | None = None


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """All that is said and drawn on one question."""

    title: str
    lead: str
    groups: Sequence[Group]
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """Numbers for the `.npz` beside the page."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """What is found, as JSON values."""
    lines: Sequence[str] = ()
    """What a person reads in the terminal."""


def write_sheet(sheet: Sheet, page: Path) -> list[Path]:
    """Write the page, and its pictures and numbers beside it under its name; return the paths, the page's first.

    Raises: StorageError where one cannot be written.
    """
    make_folder(page.parent)
    files = []
    for drawn in (drawn for group in sheet.groups for drawn in group.drawn if drawn.stem):
        files.append(page.with_name(f"{page.stem}-{drawn.stem}.png"))
        write_atomically(files[-1], as_png(drawn.pixels))
    if sheet.arrays:
        files.append(page.with_suffix(".npz"))
        write_atomically(files[-1], as_npz(sheet.arrays))
    write_page(page, render("sheet.html", sheet=sheet, most=MOST_ROWS))
    return [page, *files]


def as_png(pixels: Pixels) -> bytes:
    """Return pixels (H, W, 1, 3 or 4) uint8 as a PNG file."""
    with io.BytesIO() as stream:
        Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(stream, "PNG", optimize=True)
        return stream.getvalue()


def as_npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return arrays, of any shape and dtype, by name as an `.npz` file."""
    with io.BytesIO() as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)
        return stream.getvalue()
