"""A photograph under a kernel."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from fovea.reference import filters
from fovea.report.lessons.drawn import Drawn, Settings, kind
from fovea.report.page import picture

SHRINK = 3
SIDE = 320
"""Pixels of the longer side as it is shown."""


@cache
def photograph() -> NDArray[np.uint8]:
    """Return a photograph (H, W), uint8, of scikit-learn's samples."""
    from sklearn.datasets import load_sample_image

    grey = load_sample_image("china.jpg").mean(axis=2)
    return np.asarray(grey[::SHRINK, ::SHRINK], np.uint8)


@kind("filter")
def filtered(settings: Settings) -> Drawn:
    """Return the photograph and what a kernel makes of it: red above zero, blue below, where its weights sum to 0."""
    name = settings["kernel"]
    weights = filters.kernel(name, axes=2)
    image = photograph()
    out = filters.slide(image[None], weights)[0]
    difference = abs(weights.sum()) < 1e-9
    shown = signed(out) if difference else np.clip(out, 0, 255).astype(np.uint8)
    words = (
        f"{name}, {len(weights)} x {len(weights)}: weights sum to {weights.sum():.3g}, output {out.min():.0f} to "
        f"{out.max():.0f}."
    )
    return Drawn(
        words=words,
        photographs=[
            ("input", picture(image[..., None], side=SIDE)),
            (name, picture(shown if difference else shown[..., None], side=SIDE)),
        ],
    )


def signed(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return values (H, W) as uint8 colours (H, W, 3): white at zero, red above, blue below."""
    share = np.clip(values / (np.percentile(np.abs(values), 99) or 1.0), -1, 1)[..., None]
    red, blue = np.array([178, 24, 43]), np.array([33, 102, 172])
    colour = np.where(share > 0, red, blue)
    return np.asarray(255 + np.abs(share) * (colour - 255), np.uint8)
