"""How much each output channel of each layer matters, by its weights or by what the loss would lose without it.

One vector (c_out,) float32 per layer. Magnitudes are shares of the layer's mean, so that layers can be compared.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from fovea.compression.pruning.sparsify import LAYERS
from fovea.errors import UsageError
from fovea.layers import TransposedConvolution

NORMS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)
WEIGHTED = (*LAYERS, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
Scores = Mapping[str, Tensor]
"""By path of layer."""
Batch = tuple[Tensor, Tensor]
"""Inputs (N, *shape) float32 and labels (N,)."""


@dataclass(frozen=True, kw_only=True)
class Samples:
    """What an importance that looks at data sees."""

    batches: tuple[Batch, ...]
    loss: Callable[[Any, Tensor], Tensor]
    """What the network gives and labels (N,) -> a number."""

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(len(labels) for _, labels in self.batches)

    def first(self, count: int) -> "Samples":
        """Return the first `count` of them, or all."""
        batches: list[Batch] = []
        for inputs, labels in self.batches:
            if count > 0:
                batches.append((inputs[:count], labels[:count]))
            count -= len(labels)
        return replace(self, batches=tuple(batches))


def magnitude(model: nn.Module, samples: Samples | None) -> Scores:
    """Return the sum of absolute weights of each filter, by the mean of its layer: Li et al. 2016, arXiv:1608.08710."""
    found = {}
    for path, layer in model.named_modules():
        if isinstance(layer, WEIGHTED):
            sums = _by_output(layer, layer.get_parameter("weight").detach().abs())
            found[path] = sums / sums.mean().clamp(min=1e-12)
    return found


def norm_scale(model: nn.Module, samples: Samples | None) -> Scores:
    """Return the absolute scale of each channel in its norm: Liu et al. 2017, "Network slimming", arXiv:1708.06519.

    Scales that are not trained say nothing and are left out.
    """
    norms = ((path, layer) for path, layer in model.named_modules() if isinstance(layer, NORMS))
    scales = {path: layer.weight for path, layer in norms}
    return {path: scale.detach().abs() for path, scale in scales.items() if scale is not None and scale.requires_grad}


def taylor(model: nn.Module, samples: Samples | None) -> Scores:
    """Return, batch by batch as rows (B, c_out), the first-order change of the loss when a channel becomes zero.

    Molchanov et al. 2019, "Importance estimation", arXiv:1906.10771, equation 8 with the gates of section 3.2: the
    products of gradient and value, summed over the scale and shift of a channel in its norm, or its filter and bias.
    The square, which makes an importance of it, is taken when all layers of a group are summed.

    Raises:
        UsageError: there are no samples.
    """
    if samples is None or not samples.batches:
        raise UsageError("The importance `taylor` needs data; `magnitude` and `norm` do not.")
    layers = {path: layer for path, layer in model.named_modules() if isinstance(layer, (*WEIGHTED, *NORMS))}
    rows: dict[str, list[Tensor]] = {path: [] for path in layers}
    parameters = [parameter for layer in layers.values() for parameter in layer.parameters(recurse=False)]
    with _differentiable(model, parameters):
        for inputs, labels in samples.batches:
            loss = samples.loss(model(inputs), labels)
            slopes = torch.autograd.grad(loss, parameters, allow_unused=True)
            products = {
                id(parameter): torch.zeros_like(parameter) if slope is None else (parameter * slope).detach()
                for parameter, slope in zip(parameters, slopes, strict=True)
            }
            for path, layer in layers.items():
                own = [products[id(parameter)] for parameter in layer.parameters(recurse=False)]
                if own:
                    rows[path].append(torch.stack([_by_output(layer, product) for product in own]).sum(0))
    return {path: torch.stack(values) for path, values in rows.items() if values}


IMPORTANCES: dict[str, Callable[[nn.Module, Samples | None], Scores]] = {
    "magnitude": magnitude,
    "norm": norm_scale,
    "taylor": taylor,
}
"""By name, as after `--importance`."""


def channel_scores(scores: Scores, outputs: Mapping[str, Iterable[Iterable[int]]], *, kind: str) -> Tensor:
    """Return the importance of each channel of a group, (channels,) float32: what all its layers say together.

    `outputs` says by path of layer which outputs each channel is. Of magnitudes and scales it is the mean; of changes
    of the loss, where norms stand for the layers before them, the square of the sum, averaged over the batches.

    Raises:
        UsageError: no layer of the group has such a score.
    """
    found = [
        torch.stack([scores[path][..., list(indices)].sum(-1) for indices in channels], -1)
        for path, channels in outputs.items()
        if path in scores
    ]
    if not found:
        what = "no normalisation with a trained scale" if kind == "norm" else "no weights of their own"
        raise UsageError(f"they have {what} for their importance")
    total = torch.stack(found).sum(0)
    return total.square().mean(0) if kind == "taylor" else total / len(found)


@contextmanager
def _differentiable(model: nn.Module, parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Let the parameters have gradients, frozen ones too, in evaluation mode: in training a norm hides its scale."""
    frozen = [parameter for parameter in parameters if not parameter.requires_grad]
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        for parameter in frozen:
            parameter.requires_grad_(True)
        with torch.enable_grad():
            yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)
        for module, training in modes.items():
            module.training = training


def _by_output(layer: nn.Module, values: Tensor) -> Tensor:
    """Return the sums over all but the output channels, (c_out,), of values in the shape of a parameter."""
    if isinstance(layer, TransposedConvolution) and values.ndim > 1:
        # (c_in, c_out / groups, *kernel)
        parts = values.reshape(layer.groups, -1, *values.shape[1:])
        return parts.transpose(1, 2).flatten(2).sum(-1).flatten()
    return values.flatten(1).sum(1) if values.ndim > 1 else values
