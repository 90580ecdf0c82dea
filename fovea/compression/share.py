"""Weights that share values: the weights of a layer become a few centroids, which are then trained.

Han, Mao and Dally 2015, arXiv:1510.00149, section 3: k-means in one dimension, layer by layer; centroids begin evenly
between the least and the greatest weight, since the few large ones count most (figure 6, "linear"); the gradient of a
centroid is the sum of those of its weights (equation 3). Weights that are zero stay zero and take no centroid.

Nothing in the structure of a network changes: a layer with few values is stored in few bytes by `coding`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from fovea.compression.step import Done, Work
from fovea.errors import UsageError

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
"""Whose weights share values; biases and norms stay as they are: they are few."""
MOST_BITS = 8
LOST = 0.8
"""Of its length: so much of a channel is lost where its weights have become one value that is not theirs."""
WHY = "as after folding a batch norm with nearly constant channels"
ROUNDS = 200
"""Of k-means at most; it is done earlier where nothing changes."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """The step: at most 2^`bits` values beside zero in each layer, trained for `epochs` once they are found."""

    bits: int = 5
    """In dense layers."""
    convolution_bits: int | None = None
    """In convolutions, of which each weight counts more; None for `bits`. The paper takes 8 and 5."""
    epochs: float = 1.0
    lr: float | None = None
    """The first learning rate of the centroids; None for that of the refit."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name, bits in (("bits", self.bits), ("convolution_bits", self.convolution_bits)):
            if bits is not None and not 1 <= bits <= MOST_BITS:
                raise UsageError(f"`{name}` (={bits}) must be from 1 to {MOST_BITS}: a layer has 2^{name} values.")

    def __call__(self, model: nn.Module, work: Work, /) -> Done:
        """Return the network whose weights share values.

        Raises: UsageError if it has no layer whose weights could.
        """
        values = dict(self.values_of(model))
        far = [name for name, layer in shareable(model) if scattered(cast(Tensor, layer.weight), values[name])]
        for name in far:
            del values[name]
        with shared(model, values):
            if self.epochs:
                work.refit.for_values()(model, epochs=self.epochs, lr=self.lr, teacher=work.teacher)
        most = max(len(torch.unique(cast(Tensor, model.get_submodule(name).weight))) for name in values)
        notes = [f"{len(values)} layers have at most {most} distinct values each, including zero"]
        notes += [f"`{name}` keeps its own values: the scales of its channels differ too much, {WHY}" for name in far]
        return Done(model=model, notes=notes)

    def values_of(self, model: nn.Module) -> Mapping[str, int]:
        """Return how many values the layers of a network may have beside zero, by their paths."""
        dense, others = 2**self.bits, 2 ** (self.convolution_bits or self.bits)
        return {name: dense if isinstance(layer, nn.Linear) else others for name, layer in shareable(model)}


class Centroids(nn.Module):
    """A parametrisation: centroids (K,) float32 -> the weight, each of its elements the centroid of its index, or zero.

    `indices` is int64, of the shape of the weight; index K stands for zero.
    """

    indices: Tensor

    def __init__(self, weight: Tensor, values: int) -> None:
        super().__init__()
        centroids, indices = clustered(weight.detach().cpu(), values)
        self.register_buffer("indices", indices.to(weight.device))
        self.found = centroids

    def forward(self, centroids: Tensor) -> Tensor:
        """Return the weight."""
        table = torch.cat([centroids, centroids.new_zeros(1)])
        return table.index_select(0, self.indices.flatten()).view(self.indices.shape)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Return the centroids that were found, (K,) in the dtype of the weight."""
        return self.found.to(weight)


@contextmanager
def shared(model: nn.Module, values: Mapping[str, int]) -> Iterator[None]:
    """Let the layers with these paths share so many values each; what is trained within are the values.

    At the end they are plain weights again.

    Raises: UsageError if there are no layers.
    """
    layers = {name: model.get_submodule(name) for name in values}
    if not layers:
        raise UsageError("`share` found no convolution or dense layer whose weights could share values.")
    for name, layer in layers.items():
        parametrize.register_parametrization(layer, "weight", Centroids(layer.get_parameter("weight"), values[name]))
    try:
        yield
    finally:
        for layer in layers.values():
            order = list(layer._parameters)
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
            # checkpoints and optimisers go by the order of parameters, in which the weight is first
            layer._parameters |= {name: layer._parameters.pop(name) for name in order}


def shareable(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the layers whose weights can share values, with their paths: not those that two layers have in common."""
    owners = Counter(id(parameter) for module in model.modules() for parameter in module.parameters(recurse=False))
    for name, module in model.named_modules():
        if isinstance(module, LAYERS) and not parametrize.is_parametrized(module):
            if owners[id(module.weight)] == 1 and module.weight.any():
                yield name, module


def scattered(weight: Tensor, values: int) -> bool:
    """Return whether half of the channels of a weight (C_out, C_in, ...) float32 are lost if it shares so many values.

    Their squares hardly count beside those of a few large channels, so that one centroid stands for all of them.
    """
    given = weight.detach().cpu()
    centroids, indices = clustered(given, values)
    table = torch.cat([centroids, centroids.new_zeros(1)])
    return half_lost(given, table[indices], share=LOST)


def half_lost(weight: Tensor, found: Tensor, *, share: float) -> bool:
    """Return whether half of the input or output channels of a weight (C_out, C_in, ...) float32 differ from `found`.

    A channel differs if the length of its error is at least `share` of its own length.
    """
    for axis in (0, 1):
        lengths, errors = (each.transpose(0, axis).flatten(1).norm(dim=1) for each in (weight, weight - found))
        if (errors / lengths)[lengths > 0].median() >= share:
            return True
    return False


def clustered(weight: Tensor, values: int) -> tuple[Tensor, Tensor]:
    """Return at most so many centroids (K,) of the elements that are not zero, and int64 indices of the weight's shape.

    Elements that are zero have index K. Lloyd's algorithm on sorted numbers, where each cluster is an interval: the
    sums over all clusters are differences of one running sum, float64. Instead of a centroid that loses all its
    elements, the cluster of greatest error is divided. There are fewer centroids where there are fewer values.

    >>> centroids, indices = clustered(torch.tensor([0.0, 1.0, 1.2, 4.0]), 2)
    >>> [round(value, 3) for value in centroids.tolist()], indices.tolist()
    ([1.1, 4.0], [2, 0, 0, 1])
    """
    flat = weight.flatten().double()
    places = flat.nonzero().squeeze(1)
    ordered, order = flat[places].sort(stable=True)
    sums, squares = _running(ordered), _running(ordered.square())
    centroids = torch.linspace(float(ordered[0]), float(ordered[-1]), values, dtype=torch.float64)
    before = torch.zeros(0, dtype=torch.int64)
    for _ in range(ROUNDS):
        bounds = _bounds(ordered, centroids)
        centroids = sums[bounds].diff() / bounds.diff()
        errors = squares[bounds].diff() - sums[bounds].diff() * centroids
        divided = _divided(ordered, bounds, errors, values - len(centroids))
        if not len(divided) and torch.equal(bounds, before):
            break
        before = bounds
        centroids = torch.cat([centroids, divided]).sort().values
    bounds = _bounds(ordered, centroids)
    centroids = sums[bounds].diff() / bounds.diff()
    indices = torch.full((flat.numel(),), len(centroids), dtype=torch.int64)
    indices[places[order]] = torch.repeat_interleave(torch.arange(len(centroids)), bounds.diff())
    return centroids.to(weight.dtype), indices.view(weight.shape)


def _running(values: Tensor) -> Tensor:
    """Return the sums of the first 0, 1, 2, ... values."""
    return torch.cat([values.new_zeros(1), values.cumsum(0)])


def _divided(ordered: Tensor, bounds: Tensor, errors: Tensor, most: int) -> Tensor:
    """Return a further centroid for each of so many clusters of greatest error: its greatest element."""
    first, last = ordered[bounds[:-1]], ordered[bounds[1:] - 1]
    chosen = errors.argsort(descending=True, stable=True)[: max(0, most)]
    chosen = chosen[first[chosen] < last[chosen]]
    return last[chosen]


def _bounds(ordered: Tensor, centroids: Tensor) -> Tensor:
    """Return where in the sorted numbers each cluster begins, and their end; of clusters that are not empty alone."""
    inner = torch.searchsorted(ordered, (centroids[:-1] + centroids[1:]) / 2)
    bounds: Tensor = torch.unique(torch.cat([inner.new_zeros(1), inner, inner.new_full((1,), len(ordered))]))
    return bounds
