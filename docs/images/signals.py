"""The pictures of docs/signals.md: samples of each kind as pages show them, and one explained, from models and data.

    python docs/images/signals.py MODEL SAMPLE... --out docs/images/signals-series.png [--method gradcam]

Each SAMPLE is drawn as in the page of `fovea check`, under its class; the first is explained too.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import fovea
from fovea import inputs
from fovea.jobs.predict import samples_at

GAP = 10
WIDTH = 980


def tile(pixels: np.ndarray) -> Image.Image:
    """Return pixels (H, W, C) uint8 as an image in colour."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).convert("RGB")


def row(tiles: list[Image.Image]) -> Image.Image:
    """Return images side by side on white."""
    height = max(each.height for each in tiles)
    laid = Image.new("RGB", (sum(each.width + GAP for each in tiles) - GAP, height), "white")
    left = 0
    for each in tiles:
        laid.paste(each, (left, 0))
        left += each.width + GAP
    return laid


def picture(model: Path, given: list[str], methods: str) -> Image.Image:
    """Return the samples in a row, and below the first of them explained by each method."""
    bundle = fovea.load(model)
    kind = inputs.kind_of(bundle.preprocess)
    samples = [each for path in given for each in samples_at(path, bundle.preprocess)]
    shown = row([tile(kind.thumbnail(bundle.preprocess.read(source))) for _, source in samples])
    with tempfile.TemporaryDirectory() as folder:
        found = fovea.explain(bundle, given[0], method=methods, out=Path(folder) / "page.html")
        answer = found.explanations[0]["explanations"][0]["answer"]
        own = [path for path in found.written[0].pictures if path.stem.endswith(f"-{answer}")]
        explained = row([Image.open(path).convert("RGB") for path in own])
    whole = Image.new("RGB", (max(shown.width, explained.width), shown.height + GAP + explained.height), "white")
    whole.paste(shown, (0, 0))
    whole.paste(explained, (0, shown.height + GAP))
    return whole if whole.width <= WIDTH else whole.resize((WIDTH, round(whole.height * WIDTH / whole.width)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("samples", nargs="+")
    parser.add_argument("--method", default="gradcam,occlusion")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    picture(options.model, options.samples, options.method).save(options.out, optimize=True)
