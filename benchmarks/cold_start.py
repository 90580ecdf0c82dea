"""How long a first answer of an exported network takes: `fovea.runtime` and `fovea predict net.onnx IMAGE`.

Each is a process of its own, in turn with a bare `python -c "import onnxruntime"`; medians of many, after one uncounted
round that fills the page cache and writes the bytecode, as an installation has it. Beside the clock stands the time of
the processor, which other load on the machine stretches less.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
from machine import arguments, begun, print_figures, print_verdict
from PIL import Image

from fovea.display import Display
from fovea.jobs.export import export
from fovea.jobs.train import train

PREDICT = "from fovea.runtime import load; print(load({!r}).predict({!r})[0].text)"
BARE = "import onnxruntime"


class Times(NamedTuple):
    """What a process took, in seconds."""

    clock: float
    processor: float


def process(*command: str, folder: Path) -> Callable[[], Times]:
    """Return what runs a process in `folder`, and gives its times."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    environment["PYTHONPATH"] = str(Path(__file__).parents[1])

    def run() -> Times:
        began, used = time.perf_counter(), os.times()
        subprocess.run(command, check=True, capture_output=True, env=environment, cwd=folder)
        now = os.times()
        children = now.children_user + now.children_system - used.children_user - used.children_system
        return Times(time.perf_counter() - began, children)

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
    runs = {name: process(*command, folder=folder) for name, command in commands.items()}
    for run in runs.values():
        run()
    found = [{name: run() for name, run in runs.items()} for _ in range(rounds)]
    for unit in Times._fields:
        print(f"{unit}:")
        figures = {name: [getattr(times[name], unit) for times in found] for name in runs}
        print_figures(figures, unit="ms", scale=1e-3)
        for name in list(runs)[3:]:
            more = [1e3 * (a - b) for a, b in zip(figures[name], figures[BARE], strict=True)]
            print(f"  {name}: {min(more):.0f} to {max(more):.0f} ms more than {BARE}")
            print_verdict(f"{name}, {unit}, ms more than {BARE}", median(more), at_most=400)


def main() -> None:
    args = begun(arguments(__doc__, quick="one round"))
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder).resolve(), rounds=1 if args.quick else 15)


if __name__ == "__main__":
    main()
