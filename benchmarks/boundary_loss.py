"""A training step of U-Net (width 16, 256 pixels, batch 8) with the boundary loss, against one with the cross-entropy.

The weights of the boundary loss are computed on the processor for every mask of every step, since masks move with their
images. Masks are discs that nearly touch, as cells do. What is measured is the time of the processor, over all threads:
it stands other load.
"""

import time

import numpy as np
import torch
from machine import arguments, begun, in_turn, print_figures, ratio

import fovea.zoo  # noqa: F401 (its networks are registered)
from fovea.registry import build
from fovea.tasks.masks import Masks

SIDE, BATCH, CLASSES = 256, 8, ("background", "cell")


def cells(count: int, generator: np.random.Generator) -> np.ndarray:
    """Return a mask (256, 256) uint8 of discs that keep a pixel and more apart."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    mask, placed = np.zeros((SIDE, SIDE), np.uint8), []
    while len(placed) < count:
        y, x, radius = (*generator.integers(0, SIDE, 2), int(generator.integers(4, 9)))
        if all(np.hypot(y - b, x - a) > radius + other + 1.5 for b, a, other in placed):
            placed.append((y, x, radius))
            mask[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = 1
    return mask


def main() -> None:
    parser = arguments(__doc__, quick="one step")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--objects", nargs="+", type=int, default=[20, 130])
    args = begun(parser)
    net = build("unet_padded", classes=2, c_in=1, width=16, batch_norm=True, dropout=0.0)
    net = net.to(memory_format=torch.channels_last)
    images = torch.randn(BATCH, 1, SIDE, SIDE).to(memory_format=torch.channels_last)
    for objects in args.objects:
        generator = np.random.default_rng(0)
        masks = torch.from_numpy(np.stack([cells(objects, generator) for _ in range(BATCH)]))

        def seconds(loss: str, masks: torch.Tensor = masks) -> float:
            criterion, begin = Masks(names=CLASSES, loss=loss).criterion(), time.process_time()
            criterion(net(images), masks).backward()
            return time.process_time() - begin

        figures = in_turn(
            {name: lambda name=name: seconds(f"mask-{name}") for name in ("cross-entropy", "boundary")},
            rounds=1 if args.quick else args.rounds,
        )
        print(f"{objects} objects, {torch.get_num_threads()} threads")
        print_figures(figures, unit="ms a step", scale=1e-3)
        share = ratio(figures["boundary"], figures["cross-entropy"])
        print(f"a step with the boundary loss, in steps with the cross-entropy: {share}")


if __name__ == "__main__":
    main()
