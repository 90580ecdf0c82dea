"""Peak memory of `fovea predict --tile` on a TIFF of 20,000 x 20,000 pixels, beside that of one tile alone.

The difference is what the size of the image costs. The image whole would take 400 MB, and its probabilities 3.2 GB.
Target: at most 1.5 GB, with PyTorch and a U-Net of width 16 in it.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile
import torch

import fovea.zoo  # noqa: F401 (registers the networks)
from fovea import registry, tasks
from fovea.card import Card
from fovea.layers import placed
from fovea.model.bundle import save_bundle
from fovea.preprocess import Preprocess

SIDE, QUICK_SIDE, TILE = 20_000, 3_000, 512


def network(path: Path) -> None:
    torch.manual_seed(0)
    arguments = {"classes": 2, "c_in": 1, "size": 256, "width": 16, "batch_norm": True, "dropout": 0.0}
    preprocess = Preprocess(size=(256, 256), channels=1, fit="letterbox", mean=(0.5,), std=(0.25,))
    target = tasks.kind("masks")(names=("ground", "cell"))
    model = placed(registry.build("unet_padded", **arguments), torch.device("cpu"))
    card = Card(
        fovea=fovea.__version__, architecture="unet_padded", arguments=arguments, target=target, preprocess=preprocess
    )
    save_bundle(path, model, card)


def image(path: Path, side: int) -> None:
    """Write noise in tiles, a row of them again and again."""
    tile = np.random.default_rng(0).integers(0, 256, (TILE, TILE), np.uint8)
    tiles = -(-side // TILE)
    each = (np.roll(tile, index % tiles, axis=1) for index in range(tiles * tiles))
    tifffile.imwrite(path, each, shape=(side, side), dtype=np.uint8, tile=(TILE, TILE), photometric="minisblack")


def measured(model: Path, picture: Path, out: Path) -> tuple[float, float]:
    """Return peak memory in megabytes and seconds of a command, run by a process of its own."""
    command = [sys.executable, "-m", "fovea", "predict", str(model), str(picture), "--tile", str(TILE)]
    code = (
        "import resource, subprocess, sys; "
        f"subprocess.run({[*command, '--out', str(out)]!r}, check=True, stdout=subprocess.DEVNULL); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    begun = time.monotonic()
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    return int(said) * (1 if sys.platform == "darwin" else 1024) / 1e6, time.monotonic() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="3,000 pixels a side")
    side = QUICK_SIDE if parser.parse_args().quick else SIDE
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        network(folder / "model.safetensors")
        image(folder / "small.tif", TILE)
        image(folder / "large.tif", side)
        small_mb, _ = measured(folder / "model.safetensors", folder / "small.tif", folder / "out")
        large_mb, seconds = measured(folder / "model.safetensors", folder / "large.tif", folder / "out")
    print(f"one tile of {TILE} px   {small_mb:,.0f} MB")
    print(f"{side:,} x {side:,} px   {large_mb:,.0f} MB, {large_mb / small_mb:.2f} of it, in {seconds:,.0f} s")


if __name__ == "__main__":
    main()
