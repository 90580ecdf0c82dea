"""How long it takes to begin: `import fovea`, `fovea --help`, and `fovea predict` on one image.

Each is a process of its own, in turn with a bare `python -c "import torch"`; medians of many, after one uncounted round
that fills the page cache.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from machine import Contestant, arguments, begun, in_turn, print_figures, print_verdict
from PIL import Image

from fovea.display import Display
from fovea.jobs.train import train

FOVEA = [sys.executable, "-m", "fovea"]


def seconds(*command: str) -> Contestant:
    """Return a contestant: the seconds of a process."""

    def run() -> float:
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - began

    return run


def small_model(folder: Path) -> tuple[str, str]:
    """Return a model file of foveola and an image, made in `folder`."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (64, 32, 32, 3), np.uint8)
    np.savez(folder / "noise.npz", images=images, labels=np.arange(64) % 2)
    Image.fromarray(images[0]).save(folder / "noise.png")
    display = Display(quiet=True)
    result = train(folder / "noise.npz", out=folder / "run", display=display, model="foveola", epochs=1, threads=1)
    return str(result.model), str(folder / "noise.png")


def measure(folder: Path, *, rounds: int) -> None:
    os.environ["FOVEA_CACHE"] = str(folder)
    model, image = small_model(folder)
    contestants = {
        "import torch": seconds(sys.executable, "-c", "import torch"),
        "import torch, fovea": seconds(sys.executable, "-c", "import torch, fovea"),
        "fovea --help": seconds(*FOVEA, "--help"),
        "fovea predict, one image": seconds(*FOVEA, "predict", model, image),
    }
    in_turn(contestants, rounds=1)
    figures = in_turn(contestants, rounds=rounds)
    print_figures(figures, unit="ms", scale=1e-3)

    def more(name: str) -> float:
        return 1e3 * median(a - b for a, b in zip(figures[name], figures["import torch"], strict=True))

    print_verdict("import fovea, ms more than import torch", more("import torch, fovea"), at_most=50)
    print_verdict("fovea --help, ms", 1e3 * median(figures["fovea --help"]), at_most=400)
    print_verdict("fovea predict, ms more than import torch", more("fovea predict, one image"), at_most=600)


def main() -> None:
    args = begun(arguments(__doc__, quick="one round"))
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), rounds=1 if args.quick else 11)


if __name__ == "__main__":
    main()
