"""What `fovea measure --memory` estimates against what a real step takes, for inference and for training.

Measured is, on the processor, what a dispatch mode sees live while the step runs on data; on CUDA, the allocator's
peak, workspaces included. The step is the second of SGD with momentum.
"""

from collections.abc import Iterator

import torch
from machine import arguments, begun
from torch import Tensor, nn

import fovea.zoo  # noqa: F401 (its import makes the networks known)
from fovea.devices import device_named
from fovea.measurement.memory import differentiate, estimate_memory, infer, peak_bytes
from fovea.registry import build, entry

NETWORKS = ("vgg16", "resnet50", "densenet121")
WITHIN = 0.15


class Step:
    """A network with its optimiser, and a batch, on a device."""

    def __init__(self, name: str, batch: int, device: str) -> None:
        self.model = build(name).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.x = torch.randn(batch, *entry(name).input, device=device)
        self.optimiser = torch.optim.SGD(self.model.parameters(), lr=0.01, momentum=0.9, fused=True)

    def infer(self) -> None:
        """Pass the batch through the network."""
        infer(self.model, self.x)

    def train(self) -> None:
        """Take one step."""
        differentiate(self.model, self.x)
        self.optimiser.step()
        self.optimiser.zero_grad()

    def held(self) -> Iterator[Tensor]:
        """Yield what lives before and after it."""
        yield from (self.x, *self.model.parameters(), *self.model.buffers())
        yield from (state["momentum_buffer"] for state in self.optimiser.state.values() if state)


def measured(name: str, batch: int, device: str) -> tuple[int, int]:
    """Return the peak bytes of inference and of a training step."""
    torch.manual_seed(0)
    if device == "cpu":
        step = Step(name, batch, device)
        inference = peak_bytes(step.infer, held=step.held())
        step.train()
        return inference, peak_bytes(step.train, held=step.held())
    before = torch.cuda.memory_allocated()
    step = Step(name, batch, device)
    step.infer()
    peaks = []
    for run in (step.infer, step.train):
        if run == step.train:
            run()
        torch.cuda.reset_peak_memory_stats()
        run()
        torch.cuda.synchronize()
        peaks.append(torch.cuda.max_memory_allocated() - before)
    return peaks[0], peaks[1]


def estimated(name: str, batch: int) -> tuple[int, int]:
    """Return what Fovea says of the same."""
    with torch.device("meta"):
        model: nn.Module = build(name)
    found = estimate_memory(model, entry(name).input, batch=batch)
    return found.inference_bytes, found.training_bytes or 0


def main() -> None:
    """Print a line for each network, batch and kind of step, and the verdict."""
    parser = arguments(__doc__)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--batch", type=int, nargs="+", default=[2, 8])
    parser.add_argument("--device", default="auto")
    args = begun(parser)
    device = device_named(args.device).type
    print(f"on {device}", flush=True)
    ratios = []
    for name in args.networks:
        for batch in args.batch:
            pairs = zip(estimated(name, batch), measured(name, batch, device), strict=True)
            for kind, (guess, truth) in zip(("inference", "training"), pairs, strict=True):
                ratios.append(guess / truth)
                line = f"estimated {guess / 1e6:9,.1f} MB, measured {truth / 1e6:9,.1f} MB, ratio {guess / truth:.3f}"
                print(f"{name:12} batch {batch:3} {kind:9}  {line}", flush=True)
    furthest = max(ratios, key=lambda ratio: abs(ratio - 1))
    verdict = "reached" if abs(furthest - 1) <= WITHIN else "MISSED"
    print(f"furthest ratio {furthest:.3f}, target {1 - WITHIN:g} to {1 + WITHIN:g}: {verdict}")


if __name__ == "__main__":
    main()
