"""A network with all around it as one PyTorch module: stored samples in, decoded rows and logits out.

What the targets write that begin from PyTorch and not from ONNX. Stored samples are (N, H, W, C) uint8 of images.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fovea.card import Card
from fovea.errors import UsageError
from fovea.exporting.core import LOGITS
from fovea.exporting.onnx_file import with_export
from fovea.exporting.proof import Proof, agreement
from fovea.exporting.reference import reference
from fovea.exporting.settings import ExportSettings
from fovea.exporting.targets import Request
from fovea.inputs.interface import Stored
from fovea.layers import copied
from fovea.model.bundle import Bundle
from fovea.training.losses import main_head

Outputs = Mapping[str, NDArray[Any]]
"""By name: the decoded rows (N, K'), `logits` (N, K) float32, and what else an exported file gives out."""


class Whole(nn.Module):
    """Stored samples (N, ...) to decoded rows, logits and what else the task says, as `names` has them.

    With `raw` normalised inputs (N, *shape) float32 to logits alone; with `half` float16 inside, float32 outside. With
    `channels_first` it takes float32 (N, *shape) of the values of stored samples, pixels 0..255.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, bundle: Bundle, *, raw: bool = False, half: bool = False, channels_first: bool = False) -> None:
        super().__init__()
        preprocess = bundle.preprocess
        self.raw, self.channels_first = raw, channels_first
        self.kind = torch.float16 if half else torch.float32
        self.target = bundle.target
        core = written_out(copied(bundle.model).cpu())
        for tensor in (*core.parameters(), *core.buffers()):
            tensor.data = tensor.data.contiguous()  # whole networks lie channels-last
        self.core = core.to(self.kind).eval()
        # bytes stand for 0 to 1: the mean of pixels is 255 times that on the card
        unit = 255.0 if preprocess.dtype == "uint8" else 1.0
        per_channel = (1, -1, *(1,) * (len(preprocess.shape) - 1))
        self.register_buffer("mean", (unit * torch.tensor(preprocess.mean).double()).float().view(per_channel))
        self.register_buffer("scale", (1 / (unit * torch.tensor(preprocess.std).double())).float().view(per_channel))
        self.bare = raw or not self.target.decoded_in_graph
        example = torch.zeros(1, *(length or 1 for length in self.target.output_shape))
        others = [] if self.bare else list(self.target.exported(example))
        self.names = (*others[:1], LOGITS, *others[1:])
        shape = preprocess.shape if raw or channels_first else preprocess.stored_shape
        stored = torch.float32 if raw or channels_first else getattr(torch, preprocess.dtype)
        self.example = torch.zeros(2, *shape, dtype=stored)

    def forward(self, samples: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs in the order of `names`, all float32 or bool."""
        x = samples
        if not self.raw:
            x = x if self.channels_first else x.movedim(-1, 1)
            x = (x.to(torch.float32) - self.mean) * self.scale
        logits = main_head(self.core(x.to(self.kind))).float()
        if self.bare:
            return (logits,)
        rows, *others = self.target.exported(logits).values()
        return (rows, logits, *others)


class ResponseNorm(nn.Module):
    """Local response norm as sums of shifted channels; PyTorch's own pools over channels, which no phone's runtime has.

    (N, C, H, W) -> (N, C, H, W): x / (k + alpha * mean of the squares of `size` neighbouring channels) ** beta
    """

    def __init__(self, norm: nn.LocalResponseNorm) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = norm.size, norm.alpha, norm.beta, norm.k

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised maps."""
        before, C = self.size // 2, x.shape[1]
        squares = nn.functional.pad(x * x, (0, 0, 0, 0, before, self.size - 1 - before))
        total = sum(squares[:, shift : shift + C] for shift in range(self.size))
        return x / (self.k + self.alpha / self.size * total) ** self.beta


def written_out(model: nn.Module) -> nn.Module:
    """Return the model with each local response norm as plain arithmetic, changed in place."""
    for parent in model.modules():
        for name, child in parent.named_children():
            if isinstance(child, nn.LocalResponseNorm):
                setattr(parent, name, ResponseNorm(child))
    return model


def proven_by(run: Callable[[Stored], Outputs], request: Request, *, precision: str = "") -> tuple[Proof, Card]:
    """Return how well what `run` gives for stored samples (N, ...) agrees with the network, and the card that says so.

    Raises:
        ProofError: it does not agree.
    """
    expected = reference(request.bundle, request.samples)
    samples = request.samples.stored
    values = request.bundle.preprocess.normalise(samples) if request.settings.raw else samples
    proof = agreement(run(values), expected, precision=precision or request.settings.precision)
    return proof, with_export(request.bundle.card, request.settings, proof)


def one_by_one(run: Callable[[Stored], Outputs], samples: Stored) -> Outputs:
    """Return what `run` gives for samples (N, ...) that it takes singly, as (1, ...)."""
    found = [run(samples[index : index + 1]) for index in range(len(samples))]
    return {name: np.concatenate([outputs[name] for outputs in found]) for name in found[0]}


def refuse(settings: ExportSettings, target: str, *names: str) -> None:
    """Raise UsageError if one of the settings `names`, as `half` or `raw`, is asked for, which a target lacks."""
    asked = {"half": settings.precision == "float16", "raw": settings.raw, "dynamic-size": settings.dynamic_size}
    for name in names:
        if asked[name]:
            raise UsageError(f"`--{name}` cannot be combined with `--to {target}`; leave it out.")
