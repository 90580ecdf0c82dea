"""The same weights give the same answer here and in the libraries that have the same network: a row per network.

For every network whose card names torchvision or timm as a peer: random weights of theirs, renamed by our rules, in
both; the largest difference of logits in float32 and float64, and of any parameter's gradient in float64, each relative
to the largest value compared. Fails where a logit differs by 1e-4 (float32) or 1e-9 (float64), or a gradient by 1e-9.

Usage: benchmarks/parity.sh, then benchmarks/.parity/bin/python benchmarks/parity.py [PATTERN]
"""

import sys
import warnings
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

import fovea.zoo  # noqa: F401 (its import makes the networks known)
from fovea import registry
from fovea.errors import ShapeError
from fovea.model.weights import AUXILIARY

Make = Callable[[str], nn.Module]

LIMITS = {"float32": 1e-4, "float64": 1e-9, "gradients": 1e-9}
OPERATORS = torch.library.Library("torchvision", "FRAGMENT")


class Row(NamedTuple):
    """A network compared with its peer."""

    name: str
    library: str
    there: str
    size: int
    differences: dict[str, float]

    def holds(self) -> bool:
        """Return whether every difference is below its limit."""
        return all(self.differences[key] < limit for key, limit in LIMITS.items())


def peers() -> dict[str, Make]:
    """Return what makes a network by name in each library, with random weights."""
    compiled = sorted(Path(find_spec("torchvision").origin).parent.glob("_C.*"))
    try:
        torch.ops.load_library(str(compiled[0]))
    except (OSError, IndexError):  # built for another PyTorch; its networks use none of these
        for name in ("nms", "qnms"):
            OPERATORS.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import timm
        import torchvision
    return {"torchvision": torchvision.models.get_model, "timm": timm.create_model}


def pair(name: str, peer: registry.Peer, make: Make, *, size: int) -> tuple[nn.Module, nn.Module]:
    """Return our network and theirs with the same random weights, in evaluation mode."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = make(peer.name).eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):  # what is 0 or 1 in new ones would hide a mistake
            for tensor in (module.running_var, module.weight.data):
                tensor.uniform_(0.5, 1.5)
            for tensor in (module.running_mean, module.bias.data):
                tensor.normal_(0, 0.1)
    ours = registry.build(name, size=size).eval()
    shapes = {key: tensor.shape for key, tensor in ours.state_dict().items()}
    renamed = {peer.renamed(key): tensor for key, tensor in theirs.state_dict().items()}
    renamed = {key: tensor for key, tensor in renamed.items() if not AUXILIARY.match(key)}  # for training only
    ours.load_state_dict({key: tensor.reshape(shapes.get(key, tensor.shape)) for key, tensor in renamed.items()})
    return ours, theirs


def difference(a: Tensor, b: Tensor) -> float:
    return ((a - b).abs().max() / b.abs().max().clamp_min(torch.finfo(b.dtype).tiny)).item()


def gradients(logits: Tensor, model: nn.Module) -> dict[str, Tensor]:
    """Return each parameter's gradient of a fixed combination of the logits."""
    logits.backward(torch.linspace(-1, 1, logits.numel(), dtype=logits.dtype).view_as(logits))
    return {key: parameter.grad for key, parameter in model.named_parameters() if parameter.grad is not None}


def compare(ours: nn.Module, theirs: nn.Module, images: Tensor, peer: registry.Peer) -> dict[str, float]:
    with torch.no_grad():
        single = difference(ours(images), theirs(images))
    ours, theirs, images = ours.double(), theirs.double(), images.double()
    logits, expected = ours(images), theirs(images)
    double = difference(logits, expected)
    own = gradients(logits, ours)
    worst = max(
        difference(own[peer.renamed(key)].reshape(grad.shape), grad)
        for key, grad in gradients(expected, theirs).items()
    )
    return {"float32": single, "float64": double, "gradients": worst}


def size_of(name: str) -> int:
    """Return the smallest of 64, 96 and the card's size at which the network has as many weights as its card says."""
    card = registry.entry(name)
    for size in (64, 96):
        try:
            with torch.device("meta"):
                model = registry.build(name, size=size)
        except ShapeError:
            continue
        if sum(parameter.numel() for parameter in model.parameters()) == card.params:
            return size
    return card.input[-1]  # dense layers that are as large as the input makes them


def rows(pattern: str) -> Iterator[Row]:
    makers = peers()
    for name in filter(partial(fnmatch, pat=pattern), registry.names()):
        card = registry.entry(name)
        for library in sorted(card.peers.keys() & makers.keys()):
            torch.manual_seed(0)
            peer, size = card.peers[library], size_of(name)
            ours, theirs = pair(name, peer, makers[library], size=size)
            c_in, *axes = card.input
            images = torch.randn(2, c_in, *axes[:-2], *[size] * len(axes[-2:]))
            yield Row(name, library, peer.name, size, compare(ours, theirs, images, peer))


def main() -> int:
    print(f"torch {torch.__version__}, torchvision {version('torchvision')}, timm {version('timm')}")
    print(f"{'network':24}{'library':13}{'there':24}{'size':>5}" + "".join(f"{key:>11}" for key in LIMITS))
    failed = 0
    for row in rows(sys.argv[1] if len(sys.argv) > 1 else "*"):
        figures = "".join(f"{row.differences[key]:11.1e}" for key in LIMITS)
        mark = "" if row.holds() else "  FAILED"
        print(f"{row.name:24}{row.library:13}{row.there:24}{row.size:5}{figures}{mark}", flush=True)
        failed += not row.holds()
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
