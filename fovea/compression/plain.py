"""Weights that are computed by weight norm, as the plain weights that they come to: the same outputs.

Salimans and Kingma 2016, arXiv:1602.07868: w = g v / |v|.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

from torch import Tensor, nn
from torch.nn.utils.parametrizations import _WeightNorm
from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations

from fovea.compression.change import Change, kind, layer_named
from fovea.errors import UsageError, shortened


@kind("plain")
@dataclass(frozen=True)
class Plain(Change):
    """Layers whose weights are no longer computed from others."""

    layers: tuple[str, ...]
    """Their paths."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the change that JSON holds."""
        layers = values.get("layers")
        if values.keys() != {"layers"} or not isinstance(layers, list):
            raise UsageError("A change `plain` has `layers`, a list of paths, and no other field.")
        if not all(isinstance(layer, str) for layer in layers):
            raise UsageError("A change `plain` must name layers.")
        return cls(tuple(layers))

    def values(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"layers": list(self.layers)}

    def apply(self, model: nn.Module) -> None:
        """Give each layer a weight of its own in the place of what it is computed from; it holds what that comes to."""
        for name in self.layers:
            layer = layer_named(model, name)
            if not _has_weight_norm(layer):
                raise UsageError(f"A change removes the weight norm of `{shortened(name)}`, which has none.")
            learns = any(tensor.requires_grad for tensor in cast(nn.Module, layer.parametrizations).parameters())
            remove_parametrizations(layer, "weight")
            weight = cast(Tensor, layer.weight).detach()
            del layer.weight  # without gradients it became a buffer
            layer.weight = nn.Parameter(weight, learns)


def plain(model: nn.Module) -> list[dict[str, Any]]:
    """Give layers with weight norm plain weights, in place, and return the changes for the card; none without such."""
    layers = tuple(name for name, layer in model.named_modules() if _has_weight_norm(layer))
    if not layers:
        return []
    change = Plain(layers)
    change.apply(model)
    return [change.to_dict()]


def _has_weight_norm(layer: nn.Module) -> bool:
    if not is_parametrized(layer, "weight"):
        return False
    return [type(one) for one in layer.parametrizations["weight"]] == [_WeightNorm]  # type: ignore[index]
