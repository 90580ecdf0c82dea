"""Pruned networks against what they were: time in ONNX Runtime.

    python benchmarks/pruning.py widths                           # what narrower layers gain on this machine
    python benchmarks/pruning.py ways                             # half of cifar_resnet56 by blocks, and by widths
    python benchmarks/pruning.py cifar_resnet56                   # random weights: speed only
    python benchmarks/pruning.py model.safetensors small.safetensors     # before and after `fovea shrink`

Both networks run in turn, round by round, on one thread; the ratio of a round is that of the least times in it, by the
processor, as by the clock what else runs would count. Of a network of the zoo half of `--target` goes (`--amount`).
"""

import argparse
import json
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from machine import arguments, begun
from torch import nn

import fovea.zoo  # noqa: F401 (its import makes the networks known)
from fovea import registry
from fovea.compression.blocks import Gone, residual_blocks
from fovea.compression.channels import channel_groups, remove
from fovea.compression.pruning.clock import Form, least_time
from fovea.compression.pruning.importance import Samples
from fovea.compression.pruning.prune import Pruned, Pruning, prune
from fovea.compression.pruning.targets import Costs
from fovea.compression.pruning.widths import worthwhile
from fovea.drawing.sensitivity import sensitivity_picture
from fovea.exporting.clock import OnnxClock
from fovea.exporting.core import INPUT, float_core
from fovea.exporting.session import Session
from fovea.layers import copied

BATCHES = (1, 16)
ROUNDS, SECONDS = 9, 0.4
"""Rounds of both networks, and the time that each gets in a round."""
FEW = 16
"""Samples of noise."""


def session_of(model: nn.Module, shape: tuple[int, ...]) -> Session:
    """Return a network in ONNX Runtime."""
    return Session(float_core(model, shape).SerializeToString())


def raced(before: Session, after: Session, shape: tuple[int, ...], batch: int) -> dict[str, Any]:
    """Return the milliseconds of both, and how many times as fast the second is, with the spread of the rounds."""
    feed = {INPUT: np.random.default_rng(0).standard_normal((batch, *shape), np.float32)}
    ratios: list[float] = []
    times: dict[int, list[float]] = {0: [], 1: []}
    for _ in range(ROUNDS):
        for side, session in enumerate((before, after)):
            times[side].append(_least(session, feed))
        ratios.append(times[0][-1] / times[1][-1])
    ms = [round(1e3 * min(found), 3) for found in times.values()]
    return {
        "batch": batch,
        "ms": ms,
        "ratio": round(median(ratios), 2),
        "spread": [round(f(ratios), 2) for f in (min, max)],
    }


def _least(session: Session, feed: dict[str, Any]) -> float:
    return least_time(lambda: session.session.run(session.outputs, feed), seconds=SECONDS)


def widths(given: argparse.Namespace) -> None:
    """Print what pairs of 3x3 convolutions take with fewer channels between them, by the time of all of them."""
    for channels, size in ((16, 32), (32, 16), (64, 8), (256, 8)):
        for batch in BATCHES:
            clock = OnnxClock(batch=batch, seconds=0.3)
            pairs = {kept: pair_time(clock, channels, kept, size) for kept in range(channels, 0, -channels // 8)}
            whole = pairs[channels]
            shares = ", ".join(f"{kept}: {seconds / whole:.2f}" for kept, seconds in pairs.items())
            chosen = worthwhile(tuple(pairs), pairs.__getitem__)
            print(f"{channels} channels, {size} x {size}, batch {batch}: {shares}; worth having: {chosen}", flush=True)


def pair_time(clock: OnnxClock, channels: int, kept: int, size: int) -> float:
    """Return the seconds of a 3x3 convolution to `kept` channels and one back."""
    geometry = ((3, 3), (1, 1), (1, 1), (1, 1), (size, size))
    return clock.layer(Form(channels, kept, 1, *geometry)) + clock.layer(Form(kept, channels, 1, *geometry))


def ways(given: argparse.Namespace) -> None:
    """Print how much faster `cifar_resnet56` is without half of its blocks, and with half of the channels in each."""
    shape = (3, 32, 32)
    model = registry.build("cifar_resnet56").eval()
    whole, macs = session_of(model, shape), Costs(target="macs").network(model, shape)
    blocks = residual_blocks(model, shape)
    fewer = copied(model)
    Gone(blocks[::2]).apply(fewer)
    narrower = copied(model)
    channels = channel_groups(narrower, shape)
    inner = [group for group in channels.free if group.name.endswith("conv1")]
    remove(narrower, channels, {group.name: range(len(group) // 2) for group in inner})
    for name, network in (("blocks", fewer), ("widths", narrower)):
        share = Costs(target="macs").network(network, shape) / macs
        session = session_of(network, shape)
        for batch in BATCHES:
            print(f"by {name}: {share:.2f} of the MACs", json.dumps(raced(whole, session, shape, batch)), flush=True)


def pruned(model: nn.Module, shape: tuple[int, ...], given: argparse.Namespace, samples: Samples) -> Pruned:
    """Return a pruned copy of a network."""
    clock = OnnxClock(batch=given.batch) if given.timed or given.target == "latency" else None
    settings = Pruning(amount=given.amount, target=given.target, importance=given.importance, clock=clock)
    began = time.monotonic()
    done = prune(copied(model), shape, settings, samples=samples)
    print(f"pruned in {time.monotonic() - began:.0f} s", *done.notes, sep="\n  ", flush=True)
    if given.plot and done.sensitivity:
        sensitivity_picture(done.sensitivity, Path(given.plot))
    return done


def drawn(shape: tuple[int, ...]) -> Samples:
    """Return noise with classes by chance, which tells nothing but lets random weights be pruned."""
    generator = torch.Generator().manual_seed(0)
    batch = torch.randn(FEW, *shape, generator=generator), torch.randint(10, (FEW,), generator=generator)
    return Samples(batches=(batch,), loss=lambda outputs, labels: nn.functional.cross_entropy(outputs, labels))


def speeds(before: nn.Module, after: nn.Module, shape: tuple[int, ...]) -> None:
    """Print how much faster the pruned network is."""
    both = [session_of(model, shape) for model in (before, after)]
    for batch in BATCHES:
        print(json.dumps(raced(both[0], both[1], shape, batch)), flush=True)


def random_network(given: argparse.Namespace) -> None:
    """Prune a network of the zoo with random weights, and time it."""
    shape = registry.entry(given.model).input
    torch.manual_seed(0)
    model = registry.build(given.model).eval()
    speeds(model, pruned(model, shape, given, drawn(shape)).model, shape)


def files(before: str, after: str) -> None:
    """Print how much faster the network in the second model file is than that in the first."""
    from fovea.model.bundle import load

    bundles = [load(path) for path in (before, after)]
    shape = tuple(bundles[0].preprocess.shape)
    costs = [Costs(target="macs").network(bundle.model, shape) for bundle in bundles]
    print(f"{costs[0] / 1e6:.1f} M multiply-adds, {costs[1] / 1e6:.1f} M: {costs[0] / costs[1]:.2f} times fewer")
    speeds(bundles[0].model, bundles[1].model, shape)


MEASURED = {"widths": widths, "ways": ways}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("model", help="`widths`, `ways`, a network of the zoo, or a model file")
    parser.add_argument("after", nargs="?", help="with a model file: the file of the network that came of it")
    parser.add_argument("--amount", type=float, default=0.5, help="share that goes")
    parser.add_argument("--target", default="macs")
    parser.add_argument("--importance", default="taylor")
    parser.add_argument("--batch", type=int, default=16, help="that layers are timed with")
    parser.add_argument("--timed", action=argparse.BooleanOptionalAction, default=True, help="only widths that pay")
    parser.add_argument("--plot", help="a PNG of the sensitivity")
    given = begun(parser)
    torch.set_num_threads(1)
    if given.model in MEASURED:
        MEASURED[given.model](given)
    elif given.after:
        files(given.model, given.after)
    else:
        random_network(given)


if __name__ == "__main__":
    main()
