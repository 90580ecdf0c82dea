"""How long a first answer of an exported network takes: `fovea.runtime` and `fovea predict net.onnx IMAGE`.

Each is a process of its own, in turn with a bare `python -c "import onnxruntime"`; medians of many, after one uncounted
round that fills the page cache and writes the bytecode, as an installation has it.
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
from fovea.jobs.export import export
from fovea.jobs.train import train

PREDICT = "from fovea.runtime import load; print(load({!r}).predict({!r})[0].text)"
BARE = "import onnxruntime"


def seconds(*command: str, folder: Path) -> Contestant:
    """Return a contestant: the seconds of a process that is started in `folder`."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    environment["PYTHONPATH"] = str(Path(__file__).parents[1])

    def run() -> float:
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env=environment, cwd=folder)
        return time.perf_counter() - began

    return run


def small_network(folder: Path) -> tuple[str, str]:
    """Return an exported LeNet-5 that has seen the digits once, and an image, made in `folder`."""
    display = Display(quiet=True)
    run = train("digits", out=folder / "run", display=display, model="lenet5", epochs=1, threads=1)
    done = export(run.model, out=folder / "net.onnx", display=display)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "noise.png")
    return str(done.path), str(folder / "noise.png")


def measure(folder: Path, *, rounds: int) -> None:
    os.environ["FOVEA_CACHE"] = str(folder / "cache")
    network, image = small_network(folder)
    python, fovea = [sys.executable, "-c"], [sys.executable, "-m", "fovea"]
    commands = {
        BARE: [*python, BARE],
        "import onnxruntime, PIL.Image": [*python, f"{BARE}, PIL.Image"],
        "import onnxruntime, typer": [*python, f"{BARE}, typer, typer._adapters"],
        "fovea.runtime, one image": [*python, PREDICT.format(network, image)],
        "fovea predict, one image": [*fovea, "predict", network, image],
    }
    contestants = {name: seconds(*command, folder=folder) for name, command in commands.items()}
    in_turn(contestants, rounds=1)
    figures = in_turn(contestants, rounds=rounds)
    print_figures(figures, unit="ms", scale=1e-3)
    for name in list(commands)[3:]:
        more = [a - b for a, b in zip(figures[name], figures[BARE], strict=True)]
        print(f"  {name}: {1e3 * min(more):.0f} to {1e3 * max(more):.0f} ms more than {BARE}")
        print_verdict(f"{name}, ms more than {BARE}", 1e3 * median(more), at_most=400)


def main() -> None:
    args = begun(arguments(__doc__, quick="one round"))
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder).resolve(), rounds=1 if args.quick else 15)


if __name__ == "__main__":
    main()
