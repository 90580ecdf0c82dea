"""Training steps whose next batch is augmented ahead, in a second thread, as a ratio to augmenting it in the step.

LeNet-5 on digits with small affine moves; foveola on noise of 96 pixels that stands for photographs, with crops and
colour jitter; foveola on CIFAR-10 by `cifar10-94`. A training tries both ways first and keeps the faster.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from machine import Contestant, arguments, begun, epochs, in_turn, print_figures, rate, ratio

from fovea.devices import using_threads
from fovea.display import Display
from fovea.runs.process import as_found
from fovea.runs.request import prepared
from fovea.training.engine import Trainer

IMAGES, SIZE = 640, 120
PHOTOGRAPHS = {"model": "foveola", "stride": 2, "size": 96, "optimiser": "muon", "lr": 0.06, "batch": 64}


def noise(folder: str) -> Path:
    """Return a file of images of noise, as large as random crops of 96 pixels are stored."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (IMAGES, SIZE, SIZE, 3), np.uint8)
    np.savez(Path(folder) / "noise.npz", x_train=pixels, y_train=np.arange(IMAGES) % 4)
    return Path(folder) / "noise.npz"


def stepping(trainer: Trainer, *, ahead: bool, steps: int) -> Contestant:
    """Return the images/s of training steps, loaded ahead or not."""
    batches = epochs(trainer)

    def step() -> int:
        indices = next(batches)
        trainer.train_step(indices)
        return len(indices)

    def run() -> float:
        with as_found(), using_threads(trainer.recipe.threads), trainer.loader.ahead(chosen=ahead):
            return rate(step, steps=steps)

    return run


def compare(name: str, data: str, *, rounds: int, steps: int, **options: Any) -> None:
    training = prepared(data, display=Display(quiet=True), precision="float32", **options)
    ways = {
        "in the step": stepping(training.trainer(), ahead=False, steps=steps),
        "ahead": stepping(training.trainer(), ahead=True, steps=steps),
    }
    figures = in_turn(ways, rounds=rounds)
    recipe = training.plan.recipe
    print(f"{name}: {recipe.threads} threads, batches of {recipe.batch}, augmented by {', '.join(recipe.augment)}")
    print_figures(figures, unit="images/s")
    print(f"ahead / in the step: {ratio(figures['ahead'], figures['in the step']):.3g}", flush=True)


def main() -> None:
    parser = arguments(__doc__, quick="a few steps")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--without-cifar", action="store_true", help="leave out the longest")
    args = begun(parser)
    rounds = 1 if args.quick else 5
    with tempfile.TemporaryDirectory() as folder:
        photographs = noise(folder)
        for threads in args.threads:
            timed = {"rounds": rounds, "threads": threads}
            compare("digits", "digits", steps=4 if args.quick else 60, **timed)
            compare("photographs", str(photographs), steps=2 if args.quick else 8, **timed, **PHOTOGRAPHS)
            if not args.without_cifar:
                compare("CIFAR-10", "cifar10", steps=1 if args.quick else 3, recipe="cifar10-94", **timed)


if __name__ == "__main__":
    main()
