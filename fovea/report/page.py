"""HTML pages in one file: templates of this folder, everything escaped, pictures inside, no script, no other host."""

import base64
import io
import re
from functools import cache
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from numpy.typing import NDArray
from PIL import Image

import fovea
from fovea.storage import write_atomically
from fovea.texts import percent, shown

THUMBNAIL = 160
"""Pixels of the longer side of a picture in a page; larger ones are reduced."""


def render(template: str, **values: object) -> str:
    """Return the page that `template` (a file beside this one) makes of `values`; what is text in them stays text."""
    page: str = _environment().get_template(template).render(version=fovea.__version__, **values)
    return page


def write_page(path: Path, page: str) -> None:
    """Write a page whole or not at all; bytes of a name that are no text stand as `\\xff`.

    Raises: StorageError where it cannot be written.
    """
    write_atomically(path, page.encode(errors="backslashreplace"))


def picture(pixels: NDArray[np.uint8], *, side: int = THUMBNAIL) -> str:
    """Return uint8 (H, W, C) as a `data:` address for `<img src>`.

    PNG, pixel by pixel, where neither side is longer than `side`; else reduced to it, as JPEG unless it is transparent.
    """
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    kind = "PNG" if max(image.size) <= side or pixels.shape[2] == 4 else "JPEG"
    image.thumbnail((side, side))
    with io.BytesIO() as stream:
        image.save(stream, kind, optimize=True, quality=85)
        return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent, encoding="utf-8"),
        autoescape=True,
        finalize=_finalised,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(thousands=_thousands, percent=percent, broken=_broken, coded=_coded, spaced=_spaced)
    return environment


def _finalised(value: object) -> object:
    """Return what a page holds for a value: lines of text as `shown`; what is escaped or no text, as it is."""
    return "\n".join(map(shown, value.split("\n"))) if type(value) is str else value


def _broken(name: object) -> Markup:
    """Return a name that a line may break after its signs, escaped; a number stays whole."""
    return Markup(re.sub(r"(?<=[/_\\])(?=\w)|(?<=[.-])(?=[^\W\d])", "<wbr>", str(escape(_finalised(name)))))


def _coded(text: object) -> Markup:
    """Return a text whose words in backticks are set as code, escaped."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(_finalised(text)))))


def _spaced(text: str) -> str:
    """Return a text whose percentages are written as those of pages, `93.7 %`."""
    return re.sub(r"(?<=\d)%", " %", text)


def _thousands(value: int) -> str:
    """Return a whole number with its thousands apart, as `60,000`."""
    return f"{value:,}"
