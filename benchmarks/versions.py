"""Training steps of this checkout against those of another one, in turn: what a refactor costs.

    git worktree add ../before COMMIT
    python benchmarks/versions.py ../before

Both run in processes of their own, on the steps of `pipeline.py`, `steady_state.py` and `lenet.py`. Thread count and
precision are the same in both. A pair is one run of each; which of them is first changes from pair to pair.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

PLAIN = {"optimiser": "sgd", "momentum": 0.9, "nesterov": False, "weight_decay": 0.0, "clip": 0.0}
PLAIN |= {"schedule": "constant", "val_fraction": 0.0}
LENET = {**PLAIN, "data": "fashion-mnist", "model": "lenet5", "size": 28, "lr": 0.05, "momentum": 0.0, "augment": ()}
VGG = {**PLAIN, "data": "cifar10", "model": "vgg_block3", "batch": 64, "lr": 0.001, "augment": ("flip", "shift 3")}
WORKLOADS: dict[str, tuple[dict[str, Any], int]] = {
    "pipeline": (VGG, 40),
    "steady_state": ({"data": "cifar10", "recipe": "cifar10-94"}, 2),
    **{f"lenet, batch {batch}": ({**LENET, "batch": batch}, 20_000 // batch) for batch in (64, 128, 256, 512)},
}
"""What is trained, and steps of a run."""


class Checkout:
    """A process that trains with the package of one checkout."""

    def __init__(self, root: str, workload: str, threads: int) -> None:
        environment = {**os.environ, "PYTHONPATH": root}
        command = [sys.executable, __file__, "--serve", workload, "--threads", str(threads)]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
        )
        self.line()

    def line(self) -> str:
        """Return the next line that it prints."""
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            raise BrokenPipeError("A process has ended before its time.")
        return line

    def rate(self) -> float:
        """Return the images/s of one run."""
        if self.process.stdin is not None:
            print(file=self.process.stdin, flush=True)
        return float(self.line())


def serve(workload: str, threads: int) -> None:
    """Print the images/s of a run for every line of the standard input."""
    try:
        from fovea.display import Display
        from fovea.runs.process import as_found
        from fovea.runs.request import prepared

        around = as_found()
    except ImportError:  # a checkout from before these modules, in which `prepared` prepares the allocator
        from fovea.jobs.progress import Display  # type: ignore[no-redef,import-not-found]

        from fovea.jobs.train import prepared  # type: ignore[no-redef,attr-defined]

        around = nullcontext()  # type: ignore[assignment]
    options, steps = WORKLOADS[workload]
    options = {**options, "threads": threads, "precision": "float32"}
    with around:
        trainer = prepared(options.pop("data"), display=Display(quiet=True), **options).trainer()
        trainer.model.train()
        batches = epochs(trainer)
        run(trainer, batches, steps)
        print("ready", flush=True)
        for _ in sys.stdin:
            print(run(trainer, batches, steps), flush=True)


def epochs(trainer: Any) -> Iterator[Any]:
    """Yield the indices of one step after the other, without end."""
    while True:
        yield from trainer.batches()
        trainer.clock.epoch, trainer.clock.step = trainer.clock.epoch + 1, 0


def run(trainer: Any, batches: Iterator[Any], steps: int) -> float:
    """Return the images/s of so many steps."""
    began, images = time.perf_counter(), 0
    for indices in islice(batches, steps):
        trainer.train_step(indices)
        images += len(indices)
    return images / (time.perf_counter() - began)


def compare(workload: str, other: str, *, pairs: int, threads: int) -> None:
    """Print the ratio of this checkout to the other, pair by pair."""
    roots = {"this": str(Path(__file__).resolve().parents[1]), "other": str(Path(other).resolve())}
    checkouts = {name: Checkout(root, workload, threads) for name, root in roots.items()}
    ratios = []
    for pair in range(pairs):
        order = list(checkouts) if pair % 2 else list(checkouts)[::-1]
        rates = {name: checkouts[name].rate() for name in order}
        ratios.append(rates["this"] / rates["other"])
    for checkout in checkouts.values():
        checkout.process.kill()
        checkout.process.communicate()
    listed = " ".join(f"{ratio:.3f}" for ratio in sorted(ratios))
    print(f"{workload:18} median {median(ratios):.3f} of {pairs} pairs: {listed}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", nargs="?", default=".", help="the other checkout")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=list(WORKLOADS), default=list(WORKLOADS))
    parser.add_argument("--serve", choices=list(WORKLOADS), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve, args.threads)
        return
    for workload in args.only:
        compare(workload, args.other, pairs=args.pairs, threads=args.threads)


if __name__ == "__main__":
    main()
