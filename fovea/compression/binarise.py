"""Networks with binary weights, or binary weights and inputs: how they are made, trained and put to rest.

See `fovea.compression.binary` for the layers and their papers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from torch import nn

from fovea.compression.binary import MEAN, SCALES, BinaryConv2d, BinaryLayer, BinaryLinear, XnorConv2d, XnorLinear
from fovea.compression.change import Change, kind, replaced
from fovea.compression.layers_by_name import exact_layer, like, names_in
from fovea.compression.step import Done, Work
from fovea.errors import UsageError, listed

KINDS = (nn.Conv2d, nn.Linear)


@kind("binary")
@dataclass(frozen=True, kw_only=True)
class Binarised(Change):
    """Layers with binary weights: an entry of a card's `changes`."""

    layers: tuple[str, ...]
    inputs: bool = False
    """Whether their inputs are binary too."""
    scale: str = MEAN
    """One of `SCALES`."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the change that JSON holds."""
        if not values.keys() <= {"layers", "inputs", "scale"} or "layers" not in values:
            raise UsageError("A change `binary` has `layers`, `inputs` and `scale`, and no other field.")
        inputs, scale = values.get("inputs", False), values.get("scale", MEAN)
        if type(inputs) is not bool or scale not in SCALES:
            raise UsageError(f"A change `binary`: `inputs` must be true or false, `scale` one of {listed(SCALES)}.")
        return cls(layers=names_in(values["layers"], "binary layers"), inputs=inputs, scale=scale)

    def values(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"layers": list(self.layers), "inputs": self.inputs, "scale": self.scale}

    def apply(self, model: nn.Module) -> None:
        """Put binary layers in the place of those; their scales are not set."""
        for name in self.layers:
            layer = exact_layer(model, name, KINDS, for_what="binary")
            replaced(model, name, self.binary(layer))

    def binary(self, layer: nn.Conv2d | nn.Linear, *, stochastic: bool = False) -> nn.Module:
        """Return the binary form of a layer, with its parameters.

        Raises: UsageError if its inputs cannot be binary.
        """
        is_conv = isinstance(layer, nn.Conv2d)
        made: nn.Module
        if not self.inputs:
            made = like(BinaryConv2d if is_conv else BinaryLinear, layer, scale=self.scale, stochastic=stochastic)
            return made
        if isinstance(layer, nn.Conv2d) and (layer.groups > 1 or layer.padding_mode != "zeros"):
            raise UsageError("A grouped convolution, or one without zero padding, cannot have binary inputs.")
        made = like(XnorConv2d if is_conv else XnorLinear, layer, stochastic=stochastic)
        return made


def binarise(
    model: nn.Module,
    work: Work,
    *,
    epochs: float,
    inputs: bool = False,
    scale: str = MEAN,
    stochastic: bool = False,
    ends: bool = False,
) -> Done:
    """Make the weights of inner layers binary, with `inputs` their inputs too, and train for `epochs`.

    First and last layer stay float, as in XNOR-Net, unless `ends` is set. `stochastic` draws signs in training.

    Raises: UsageError if the network has no layer for it.
    """
    names, left = _chosen(model, inputs=inputs, ends=ends)
    if not names:
        raise UsageError(
            "No layer of this network can be binary: between its first and last layer there is no plain "
            f"convolution or dense layer{' without groups' if inputs else ''}."
        )
    change = Binarised(layers=names, inputs=inputs, scale=scale)
    for name in names:
        layer = model.get_submodule(name)
        replaced(model, name, change.binary(layer, stochastic=stochastic))  # type: ignore[arg-type]
    work.refit(model, epochs=epochs, teacher=work.teacher, after_step=_clip)
    for layer in model.modules():
        if isinstance(layer, BinaryLayer):
            layer.rest()
    signs = "weights and inputs" if inputs else "weights"
    notes = [f"binary {signs} in {len(names)} layers; this makes the file smaller, not float inference faster"]
    if left:
        notes.append(f"{listed(left)} stay in float")
    return Done(model=model.eval(), changes=[change.to_dict()], notes=notes)


def _clip(model: nn.Module) -> None:
    for layer in model.modules():
        if isinstance(layer, BinaryLayer):
            layer.clip()


def _chosen(model: nn.Module, *, inputs: bool, ends: bool) -> tuple[tuple[str, ...], list[str]]:
    """Return the layers that become binary, and those that stay."""
    found = [(name, layer) for name, layer in model.named_modules() if type(layer) in KINDS]
    chosen: list[str] = []
    left: list[str] = []
    for index, (name, layer) in enumerate(found):
        plain = not isinstance(layer, nn.Conv2d) or (layer.groups == 1 and layer.padding_mode == "zeros")
        inner = ends or 0 < index < len(found) - 1
        (chosen if inner and (plain or not inputs) else left).append(name)
    return tuple(chosen), left
