"""The pages of explanations: one image each with maps laid over it, and a gallery of several.

Pixels are (H, W, C) uint8 0..255, maps (h, w) float32.
"""

import base64
import hashlib
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.errors import UsageError
from fovea.explanation.explained import Explanation, Place
from fovea.report.page import picture, render, write_page
from fovea.report.rasters import Pixels, in_colour, overlay
from fovea.report.sheet import as_npz, as_png
from fovea.storage import check_writable, make_folder, page_path, write_atomically

LARGEST = 448
"""Pixels of the longer side of an image in a page."""
COVER = 0.65
"""How much of the image an overlay hides at first, and in the pictures that are written."""
SCRIPT = (
    'const cover = document.getElementById("cover");'
    "const show = () => document.body.style.setProperty('--cover', cover.value / 100);"
    'cover.addEventListener("input", show); show();'
)
"""Moves the overlays with the slider. The page runs this script and no other: it names the script's digest."""


class Written(NamedTuple):
    """The files of one image."""

    page: Path
    maps: Path
    """`.npz`: one array (h, w) float32 for each method and answer, in the order of the page, and their names."""
    pictures: tuple[Path, ...]
    """One per map, laid over the image."""


class Album:
    """Writes explanations as they come: a page for the `only` image, or a folder with a page each and a gallery."""

    def __init__(self, out: str | Path | None, *, only: Path | None) -> None:
        self.written: list[Written] = []
        self._shown: list[dict[str, Any]] = []
        self._only = only
        if only is not None:
            self._page = page_path(out or f"{_plain(only.stem)}-explained.html", option="out")
            if self._page.suffix.lower() != ".html":
                raise UsageError(f"`out` (={out}) must end in .html: it is the page of one image.")
            self._folder = self._page.parent
            return
        self._folder = Path(out or "explained")
        if self._folder.suffix.lower() == ".html":
            raise UsageError(f"`out` (={out}) is a page, and several inputs have a folder; leave out `.html`.")
        check_writable(self._folder)
        self._page = self._folder / "index.html"

    def add(self, explanation: Explanation) -> None:
        """Write the page of one image, its pictures and its maps."""
        make_folder(self._folder)
        stem = self._page.stem if self._only is not None else f"{len(self.written):03d}-{_stem(explanation.image)}"
        shown = [_shown(explanation, place) for place in explanation.places]
        pictures = list[Path]()
        for place, (_, heat) in zip(explanation.places, shown, strict=True):
            name = f"{stem}-{_plain(place.method.name)}-{_plain(place.question)}"
            alike = sum(re.fullmatch(rf"{re.escape(name)}(-\d+)?\.png", path.name) is not None for path in pictures)
            pictures.append(self._folder / f"{name}{f'-{alike + 1}' if alike else ''}.png")
            write_atomically(pictures[-1], as_png(_blended(explanation.pixels, heat)))
        maps = self._folder / f"{stem}.npz"
        write_atomically(maps, as_npz(_maps(explanation.places)))
        page = self._folder / f"{stem}.html"
        write_page(page, explanation_page(explanation, shown))
        self.written.append(Written(page, maps, tuple(pictures)))
        if self._only is None:
            self._shown.append({"explanation": explanation, "page": page.name, "shown": _thumbnail(explanation, shown)})

    def finish(self) -> Path:
        """Return the page of the only image, or that of the gallery, which is written now."""
        if self._only is None:
            widest = min(5, max(len(one["shown"]) for one in self._shown))
            write_page(self._page, render("gallery.html", images=self._shown, widest=widest))
        return self._page


def explanation_page(explanation: Explanation, shown: list[tuple[str, Pixels]]) -> str:
    """Return the page of one image as HTML; `shown` are the overlays as addresses and as pixels (H, W, 4)."""
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    H, W = explanation.pixels.shape[:2]
    return render(
        "explanation.html",
        explanation=explanation,
        image=picture(in_colour(explanation.pixels), side=max(H, W)),
        width=W * max(1, min(8, LARGEST // W)) if W < LARGEST else LARGEST,
        overlays=[{"place": p, "source": source} for p, (source, _) in zip(explanation.places, shown, strict=True)],
        script=SCRIPT,
        digest=digest,
        cover=round(100 * COVER),
    )


def _shown(explanation: Explanation, place: Place) -> tuple[str, Pixels]:
    H, W = explanation.pixels.shape[:2]
    heat = overlay(explanation.laid(place.found), signed=place.method.signed)
    return picture(heat, side=max(H, W)), heat


def _thumbnail(explanation: Explanation, shown: list[tuple[str, Pixels]]) -> list[str]:
    return [picture(_blended(explanation.pixels, heat)) for _, heat in shown]


def _blended(pixels: Pixels, heat: Pixels) -> Pixels:
    """Return the image (H, W, 3) with the overlay (H, W, 4) on it."""
    share = COVER * heat[..., 3:] / 255
    return (in_colour(pixels) * (1 - share) + heat[..., :3] * share).round().astype(np.uint8)


def _maps(places: tuple[Place, ...]) -> dict[str, NDArray[Any]]:
    """Return the raw maps (h, w) float32, as `map0` and so on, and their `names`."""
    maps: dict[str, NDArray[Any]] = {
        f"map{number}": place.found.values[0].numpy() for number, place in enumerate(places)
    }
    return {"names": np.array([f"{place.method.name}: {place.question}" for place in places]), **maps}


def _stem(image: str) -> str:
    return _plain(Path(image).stem)


def _plain(text: str) -> str:
    """Return text as a part of a file's name, of at most 60 bytes."""
    return re.sub(r"[^\w.+-]+", "-", text).encode()[:60].decode(errors="ignore").strip("-.") or "image"
