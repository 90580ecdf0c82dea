"""`fovea style`: an image with the content of one and the style of another."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fovea import inputs
from fovea.display import Display
from fovea.errors import UsageError, unknown
from fovea.explanation.attribution.registry import setting
from fovea.explanation.maximise.style import Styled, Transfer, transfer_style
from fovea.files import check_there
from fovea.model.bundle import Bundle, load
from fovea.preprocess import Pixels, decode
from fovea.report.sheet import as_png
from fovea.storage import picture_path, write_atomically

SETTINGS = {each.name: each.default for each in dataclasses.fields(Transfer)}
SIZE = 384
LARGEST = 2048
"""Pixels of the longer side, at most."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StyleResult:
    """The image that was found, and where it is."""

    picture: Path
    found: Styled

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        H, W, _ = self.found.pixels.shape
        named = ("content", "style", "total_variation")
        losses = {name: [float(getattr(self.found, name)[row]) for row in (0, -1)] for name in named}
        return {
            "picture": str(self.picture),
            "size": [H, W],
            "content_layers": list(self.found.content_layers),
            "style_layers": list(self.found.style_layers),
            "losses": losses,
        }

    def summary(self) -> list[str]:
        """Return the lines for the terminal."""
        rows = {
            "Content": (self.found.content_layers, self.found.content),
            "Style": (self.found.style_layers, self.found.style),
        }
        losses = [
            f"{name:<8} {', '.join(layers)}; loss {float(values[0]):.3g} to {float(values[-1]):.3g}"
            for name, (layers, values) in rows.items()
        ]
        return [*losses, f"Picture  {self.picture}"]


def style(
    content: str | Path,
    style: str | Path,
    *,
    model: str | Path | Bundle,
    size: int = SIZE,
    content_layers: Sequence[str] = (),
    style_layers: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    display: Display | None = None,
) -> StyleResult:
    """Draw the image `content` in the style of the image `style`, by the features of `model` (Gatys et al. 2016).

    `size` is the longer side of both, in pixels. Layers are paths of modules. The default for the style is the last
    activation of each stage, and for the content that of the last stage but one. `settings` are those of
    `fovea.explanation.maximise.style.Transfer`, as text or as values. The picture is written to `out`; the default is
    CONTENT-STYLE.png.

    Raises:
        UsageError: a network that does not take images, an unknown layer or setting, or a bad size or `out`.
        BundleError, ImageError: a model file or an image that cannot be read.
        NotFoundError: an image is not there.
        StorageError: the picture cannot be written.
    """
    if not 16 <= size <= LARGEST:
        raise UsageError(f"`size` (={size}) must be from 16 to {LARGEST}.")
    transfer = _transfer(settings or {})
    picture = picture_path(out or f"{Path(content).stem}-{Path(style).stem}.png", suffixes=[".png"])
    bundle = load(model, device=device) if isinstance(model, str | Path) else model
    if not (seen := inputs.kind_of(bundle.preprocess)).pictures:
        raise UsageError(f"This network takes {seen.nouns}, and style transfer works only for images.")
    modules = dict(bundle.model.named_modules())
    for layer in (*content_layers, *style_layers):
        if layer not in modules:
            raise unknown("layer", layer, filter(None, modules))
    channels = bundle.preprocess.shape[0]
    for path in (content, style):
        check_there(path)
    images = [_sized(decode(Path(path), channels=channels), size) for path in (content, style)]
    with display or Display(quiet=True) as shown:
        found = transfer_style(
            bundle.model,
            *images,
            mean=bundle.preprocess.mean,
            std=bundle.preprocess.std,
            content_layers=content_layers or None,
            style_layers=style_layers or None,
            transfer=transfer,
            progress=shown.counter("optimising the image"),
        )
    result = StyleResult(picture=picture, found=found)
    if not all(math.isfinite(loss) for losses in result.to_dict()["losses"].values() for loss in losses):
        raise UsageError("The loss became infinite or NaN, and no picture is written; set a smaller lr or weight.")
    write_atomically(picture, as_png(found.pixels))
    return result


def _transfer(settings: Mapping[str, Any]) -> Transfer:
    for name in settings:
        if name not in SETTINGS:
            raise unknown("setting", name, SETTINGS)
    return Transfer(**{name: setting(name, str(value), SETTINGS[name]) for name, value in settings.items()})


def _sized(pixels: Pixels, size: int) -> Pixels:
    """Return an image (H, W, C) uint8 whose longer side is `size`."""
    H, W, C = pixels.shape
    scale = size / max(H, W)
    image = Image.fromarray(pixels[..., 0] if C == 1 else pixels)
    resized = np.asarray(image.resize((max(1, round(W * scale)), max(1, round(H * scale))), Image.Resampling.LANCZOS))
    return resized if C > 1 else resized[..., None]
