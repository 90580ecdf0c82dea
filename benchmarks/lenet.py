"""LeNet-5 on Fashion-MNIST at 28x28: fovea's training step against a bare eager one, and where the time of a step goes.

The bare step is the plainest PyTorch in a process of its own: default layout, float32, all cores, SGD without momentum,
the batch cut from normalised images in memory; and once more with everything channels-last. fovea's takes uint8 images
in a new order, normalises them, counts what was right and watches the loss.
"""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from machine import (
    Contestant,
    arguments,
    begun,
    epochs,
    in_turn,
    matmul_rate,
    own_process,
    print_figures,
    print_verdict,
    rate,
    ratio,
    training,
)
from torch import nn
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from fovea.data.sources.source import find
from fovea.devices import using_threads
from fovea.display import Display
from fovea.registry import build
from fovea.runs.preparation import Prepared
from fovea.runs.request import prepared
from fovea.training.inference import part_labels

PROFILED_STEPS = 50


def fovea_plan(batch: int, **changes: Any) -> Prepared:
    """Return fovea's training of LeNet-5 with plain SGD; threads and precision are timed unless `changes` name them."""
    plain = {"optimiser": "sgd", "lr": 0.05, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0, "clip": 0.0}
    options = {**plain, "augment": (), "schedule": "constant", "val_fraction": 0.0, "size": 28, **changes}
    return prepared("fashion-mnist", display=Display(quiet=True), model="lenet5", batch=batch, **options)


def plain_lenet5() -> nn.Module:
    """Return LeNet-5 for 28x28 of PyTorch's own layers: what one would write by hand."""
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(6, 16, 5), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(256, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )


def bare_step(batch: int, layout: torch.memory_format) -> Callable[[], int]:
    """Return the plainest training step."""
    train = find("fashion-mnist").parts["train"]
    pixels, labels = torch.from_numpy(np.array(train.decoded[: 20 * batch])), part_labels(train)
    images = pixels.view(-1, 1, 28, 28).float().div(255).sub(0.29).div(0.35).clone(memory_format=layout)
    model = plain_lenet5().to(memory_format=layout)  # type: ignore[call-overload]
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05)
    firsts = itertools.cycle(range(0, 20 * batch, batch))

    def step() -> int:
        first = next(firsts)
        optimiser.zero_grad()
        F.cross_entropy(model(images[first : first + batch]), labels[first : first + batch]).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return batch

    return step


def bare(batch: int, steps: int, layout: torch.memory_format) -> Contestant:
    """Return the plainest training, with PyTorch's own number of threads."""
    step = bare_step(batch, layout)
    return lambda: rate(step, steps=steps)


def measure(batch: int, *, rounds: int, images: int) -> None:
    plan, steps = fovea_plan(batch), max(2, images // batch)
    chosen = plan.plan.recipe
    augmented = fovea_plan(batch, augment=("flip", "shift 2"), threads=chosen.threads, precision=chosen.precision)
    with (
        own_process(bare, batch, steps, torch.contiguous_format) as default,
        own_process(bare, batch, steps, torch.channels_last) as channels_last,
    ):
        contestants = {
            "bare eager step": default,
            "bare, channels-last": channels_last,
            "fovea": training(plan.trainer(), steps=steps),
            "fovea with flip and shift": training(augmented.trainer(), steps=steps),
            "matmul": lambda: matmul_rate("float32", seconds=0.2),
        }
        figures = in_turn(contestants, rounds=rounds)
    ceiling, operations = figures.pop("matmul"), 6 * macs(plan)
    print(f"batch {batch}; fovea: {chosen.threads} threads, {chosen.precision}")
    print_figures(figures, unit="images/s")
    for name, values in figures.items():
        print(f"  {name:34} {100 * operations * ratio(values, ceiling):10.1f} % of the float32 matmul rate")
    print(f"fovea / bare, channels-last: {ratio(figures['fovea'], figures['bare, channels-last']):.3g}")
    print_verdict("fovea / bare eager step", ratio(figures["fovea"], figures["bare eager step"]), at_least=1.0)


def macs(plan: Prepared) -> int:
    """Return the multiply-adds of one image."""
    H, W = plan.preprocess.size
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        build("lenet5", size=H)(torch.zeros(1, 1, H, W))
    return int(counter.get_total_flops() // 2)


def show_profile(batch: int) -> None:
    """Print where the time of the bare step and of fovea's goes, operation by operation, on one thread."""
    plan = fovea_plan(batch, threads=1, precision="float32")
    trainer, step = plan.trainer(), bare_step(batch)
    trainer.model.train()
    batches = epochs(trainer)
    for name, run in {"bare eager step": step, "fovea": lambda: trainer.train_step(next(batches))}.items():
        with using_threads(1):
            for _ in range(5):
                run()
            with profile(activities=[ProfilerActivity.CPU]) as recorded:
                for _ in range(PROFILED_STEPS):
                    run()
        print(f"{name}, batch {batch}, {PROFILED_STEPS} steps")
        print(recorded.key_averages().table(sort_by="self_cpu_time_total", row_limit=20, max_name_column_width=50))


def main() -> None:
    parser = arguments(__doc__, quick="a few steps")
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 128, 256, 512])
    parser.add_argument("--profile", action="store_true", help="show where the time goes instead")
    args = begun(parser)
    for batch in args.batches[:1] if args.quick else args.batches:
        if args.profile:
            show_profile(batch)
        else:
            measure(batch, rounds=1 if args.quick else 7, images=1_000 if args.quick else 10_000)


if __name__ == "__main__":
    main()
