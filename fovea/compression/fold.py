"""Batch norms folded into the layers beside them: the same outputs with fewer operations.

In evaluation a batch norm is y = s x + t for each channel, s = weight / sqrt(var + eps), t = bias - mean s. Behind a
convolution or dense layer (W, b) it makes of it (s W, s b + t); before one, whose input is not padded, (W s, b + W t).
Between them may stand what commutes with y = s x + t: pooling by means that counts no padding, and by maxima where no s
is negative.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fovea.compression.change import Change, kind, layer_named, replaced
from fovea.compression.plain import plain
from fovea.compression.recording import Call, Recording, recorded
from fovea.errors import UsageError, shortened
from fovea.layers import Convolution, PredefinedSparseConv2d, TransposedConvolution

Linear = Convolution | nn.Linear | TransposedConvolution
"""What takes the scale and shift of a norm: `weight` (c_out, c_in / groups, *kernel) and perhaps `bias` (c_out).

The weight of a transposed convolution is (c_in, c_out / groups, *kernel).
"""
FORWARDS = {kind.forward for kind in (*get_args(Linear), PredefinedSparseConv2d)}
MEANS = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
ADAPTIVE_MEANS = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
MAXIMA = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
ADAPTIVE_MAXIMA = (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d)
THROUGH = (*MEANS, *ADAPTIVE_MEANS, *MAXIMA, *ADAPTIVE_MAXIMA, nn.Identity)


@kind("fold")
@dataclass(frozen=True)
class Fold(Change):
    """Batch norms that were folded, each into a layer that has a bias now."""

    into: Mapping[str, str]
    """The layer by the norm."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the change that JSON holds."""
        into = values.get("into")
        if values.keys() != {"into"} or not isinstance(into, dict):
            raise UsageError("A change `fold` has `into`, the layer by the norm, and no other field.")
        if wrong := [name for name, layer in into.items() if not isinstance(layer, str)]:
            raise UsageError(f"A change `fold` must name a layer for the norm `{shortened(wrong[0])}`.")
        return cls(dict(into))

    def values(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"into": dict(self.into)}

    def apply(self, model: nn.Module) -> None:
        """Put nn.Identity in the place of each norm, and give each layer a bias."""
        for name, into in self.into.items():
            norm, layer = layer_named(model, name), layer_named(model, into)
            if not isinstance(norm, _BatchNorm):
                raise UsageError(f"A change folds `{shortened(name)}`, which is not a batch norm.")
            if not isinstance(layer, Linear):
                raise UsageError(f"A change folds into `{shortened(into)}`, which is not a convolution or dense layer.")
            replaced(model, name, nn.Identity())
            if layer.bias is None:
                c_out = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
                layer.bias = nn.Parameter(layer.weight.new_zeros(c_out))


@dataclass(frozen=True)
class Folding:
    """What `fold` did."""

    changes: list[dict[str, Any]]
    """Those for the card; none where there was no norm to fold."""
    kept: Mapping[str, str]
    """Why a norm stays, by its path."""


def fold(model: nn.Module, input_shape: Sequence[int]) -> Folding:
    """Fold the norms of `model`, in place, where its outputs for inputs (N, C, *sizes) stay what they are.

    Raises:
        UsageError: the network cannot be followed; it is left as it was.
    """
    recording = recorded(model, input_shape)
    if changes := plain(model):
        recording = recorded(model, input_shape)
    into, kept = dict[str, str](), dict[str, str]()
    for name, norm in list(model.named_modules()):
        if not isinstance(norm, _BatchNorm):
            continue
        try:
            into[name] = _folded(model, recording, name)
        except _Stays as reason:
            kept[name] = str(reason)
    return Folding([*changes, *([Fold(into).to_dict()] if into else [])], kept)


class _Stays(Exception):  # noqa: N818 (no error: the reason why a norm is not folded)
    pass


def _folded(model: nn.Module, recording: Recording, name: str) -> str:
    """Fold one norm of `model`, and return the layer that took it; raises `_Stays`."""
    norm = cast(_BatchNorm, model.get_submodule(name))
    call = _only_call(recording, name)
    if norm.running_mean is None or norm.running_var is None:
        raise _Stays("it uses the mean and variance of each batch")
    scale, shift = _scale_and_shift(norm)
    reasons = []
    for find, take in ((_before, _take_behind), (_behind, _take_before)):
        try:
            into = find(recording, call, scale, shift)
            layer = _free(model, recording, into)
        except _Stays as reason:
            reasons.append(str(reason))
            continue
        Fold({name: into}).apply(model)
        take(layer, scale, shift)
        return into
    raise _Stays("; ".join(reasons))


def _scale_and_shift(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """Return s and t of y = s x + t, (C,) float64."""
    mean, var = cast(Tensor, norm.running_mean).double(), cast(Tensor, norm.running_var).double()
    scale = (var + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.detach().double()
    shift = -mean * scale
    return scale, shift if norm.bias is None else shift + norm.bias.detach().double()


def _only_call(recording: Recording, path: str) -> Call:
    calls = recording.calls_of(path)
    if len(calls) != 1:
        raise _Stays(f"`{path}` runs {len(calls)} times in one forward pass")
    return calls[0]


def _free(model: nn.Module, recording: Recording, path: str) -> Linear:
    """Return the layer `path` if its weights are its own and used once."""
    layer = model.get_submodule(path)
    _only_call(recording, path)
    if type(layer).forward not in FORWARDS or "weight" not in layer._parameters:
        raise _Stays(f"`{path}` has a parametrisation")
    everywhere = [id(tensor) for _, tensor in model.named_parameters(remove_duplicate=False)]
    if any(everywhere.count(id(tensor)) > 1 for tensor in layer.parameters()):
        raise _Stays(f"`{path}` shares its weights")
    return cast(Linear, layer)


def _before(recording: Recording, norm: Call, scale: Tensor, shift: Tensor) -> str:
    """Return the layer that alone makes what the norm reads, at most pooled in between."""
    reader = norm
    while True:
        tensor = reader.inputs[0]
        if not _read_by(recording, tensor, reader):
            raise _Stays(f"the input of `{reader.path}` is also used elsewhere")
        # nn.Identity hands on what it got, and runs nothing
        ran = [call for call in recording.calls if call.stop > call.start]
        makers = [call for call in ran if call.outputs and call.outputs[0] is tensor]
        if not makers:
            raise _Stays("its input does not come from a single layer")
        maker = makers[-1]  # the innermost that returns it
        if isinstance(maker.module, Linear):
            return maker.path
        if not isinstance(maker.module, THROUGH):
            raise _Stays(f"it follows `{maker.path}` ({type(maker.module).__name__})")
        _check_commutes(maker, scale)
        reader = maker


def _check_commutes(call: Call, scale: Tensor) -> None:
    pool = call.module
    if isinstance(pool, MAXIMA + ADAPTIVE_MAXIMA) and bool((scale < 0).any()):
        raise _Stays(f"it follows max pooling, `{call.path}`, and some of its scales are negative")
    if isinstance(pool, MEANS) and (any(_pair(pool.padding)) or getattr(pool, "divisor_override", None)):
        raise _Stays(f"it follows average pooling over padding, `{call.path}`")


def _behind(recording: Recording, norm: Call, scale: Tensor, shift: Tensor) -> str:
    """Return the layer without padding that alone reads what the norm makes."""
    made = norm.outputs[0]
    for call in recording.calls:
        if isinstance(call.module, Linear) and call.inputs[0] is made:
            if not _read_by(recording, made, call):
                raise _Stays("its output is also used elsewhere")
            if isinstance(call.module, TransposedConvolution):
                raise _Stays(f"`{call.path}` is transposed: its outputs read different parts of the kernel")
            if isinstance(call.module, Convolution) and pads(call.module) and bool(shift.any()):
                raise _Stays(f"`{call.path}` pads its output with zeros")
            return call.path
    raise _Stays("no layer uses its output directly")


def pads(layer: Convolution) -> bool:
    """Tell whether a convolution puts something around its input."""
    return layer.padding == "same" or (layer.padding != "valid" and any(_pair(layer.padding)))


def _pair(value: Any) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,)


def _read_by(recording: Recording, tensor: Tensor, reader: Call) -> bool:
    """Tell whether nothing but one call reads a tensor."""
    steps = [i for i, step in enumerate(recording.steps) if any(one is tensor for one in step.reads)]
    handed_out = any(one is tensor for one in recording.outputs)
    return not handed_out and all(reader.start <= i < reader.stop for i in steps)


def _take_behind(layer: Linear, scale: Tensor, shift: Tensor) -> None:
    """Make of W x + b what the norm behind it would make of that."""
    with torch.no_grad():
        weight, bias = layer.weight.double(), cast(Tensor, layer.bias).double()
        if isinstance(layer, TransposedConvolution):
            each = scale.reshape(layer.groups, 1, -1).expand(-1, len(weight) // layer.groups, -1)
            scales = each.reshape(weight.shape[:2])
        else:
            scales = scale.reshape(-1, 1)
        layer.weight.copy_(weight * scales.reshape(*scales.shape, *(1,) * (weight.ndim - 2)))
        cast(Tensor, layer.bias).copy_(bias * scale + shift)


def _take_before(layer: Linear, scale: Tensor, shift: Tensor) -> None:
    """Make of W x + b what it would be of an x that went through the norm."""
    with torch.no_grad():
        weight, bias = layer.weight.double(), cast(Tensor, layer.bias).double()
        groups = getattr(layer, "groups", 1)
        # row o of W reads the channels of its group
        rows = weight.shape[0] // groups
        per_row = [one.reshape(groups, 1, -1).expand(-1, rows, -1).reshape(weight.shape[:2]) for one in (scale, shift)]
        scales, shifts = (one.reshape(*one.shape, *(1,) * (weight.ndim - 2)) for one in per_row)
        layer.weight.copy_(weight * scales)
        cast(Tensor, layer.bias).copy_(bias + (weight * shifts).flatten(1).sum(1))
