"""Layers replaced by two smaller ones that compute nearly the same, fitted by singular values.

`rows`: a k x k convolution as k x 1, then 1 x k (Jaderberg, Vedaldi and Zisserman 2014, arXiv:1405.3866, scheme 2).
`channels`: as k x k to fewer channels, then 1 x 1 (Zhang, Zou, He and Sun 2015, arXiv:1505.06798, without its
nonlinearity). `dense`: a dense layer as two (Denton et al. 2014, arXiv:1404.0736). `separable`: depthwise, with so many
maps for each channel, then 1 x 1 (as MobileNet's blocks: Howard et al. 2017, arXiv:1704.04861, here without a norm).

Each is the best fit of its form in the sense of least squares on the weights, by the theorem of Eckart and Young.
"""

import copy
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self, cast

import torch
from torch import Tensor, nn

from fovea.compression.change import Change, kind, replaced
from fovea.compression.layers_by_name import exact_layer
from fovea.compression.step import Done, Work
from fovea.errors import UsageError, listed, shortened
from fovea.layers import Unfilled
from fovea.training.losses import main_head

ROWS, CHANNELS, DENSE, SEPARABLE = "rows", "channels", "dense", "separable"
FORMS = (ROWS, CHANNELS, DENSE, SEPARABLE)
MOST_RANK = 1 << 16
KINDS = (nn.Conv2d, nn.Linear)
Layer = nn.Conv2d | nn.Linear
SMALLEST_GAIN = 0.95
"""A layer is replaced where this leaves so much of its multiply-adds, or less."""


class Factors(NamedTuple):
    """How a layer is written as two."""

    form: str
    """One of `FORMS`."""
    rank: int
    """Channels, or units, between the two; of `separable`, maps for each input channel."""


@kind("factors")
@dataclass(frozen=True)
class Factorised(Change):
    """Layers that are two now, `first` and `second`: an entry of a card's `changes`."""

    layers: Mapping[str, Factors]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the change that JSON holds."""
        layers = values.get("layers")
        if values.keys() != {"layers"} or not isinstance(layers, dict):
            raise UsageError("A change `factors` has `layers`, form and rank by the layerand no other field.")
        return cls({name: _factors(name, given) for name, given in layers.items()})

    def values(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"layers": {name: list(factors) for name, factors in self.layers.items()}}

    def apply(self, model: nn.Module) -> None:
        """Put the two layers in the place of each."""
        for name, factors in self.layers.items():
            layer = exact_layer(model, name, KINDS, for_what="written as two layers")
            replaced(model, name, two_of(layer, factors))


def _factors(name: str, given: Any) -> Factors:
    if not (isinstance(given, list) and len(given) == 2 and given[0] in FORMS):
        raise UsageError(
            f"A change `factors` must give the form and rank of `{shortened(name)}`: one of {listed(FORMS)}."
        )
    form, rank = given
    if type(rank) is not int or not 1 <= rank <= MOST_RANK:
        raise UsageError(f"The rank of `{shortened(name)}` must be a whole number from 1 to {MOST_RANK}.")
    return Factors(form, rank)


def two_of(layer: Layer, factors: Factors) -> nn.Sequential:
    """Return the two layers in place of one, on its device, their weights not set; the second has its bias.

    Raises: UsageError if the layer has no such form.
    """
    form, rank = factors
    if isinstance(layer, nn.Linear) != (form == DENSE):
        raise UsageError(f"`{form}` is not a form of a layer `{type(layer).__name__}`.")
    bias = layer.bias is not None
    with Unfilled(), torch.device(layer.weight.device):
        if isinstance(layer, nn.Linear):
            pair = nn.Linear(layer.in_features, rank, bias=False), nn.Linear(rank, layer.out_features, bias=bias)
            return _chain(*pair)
        if not _is_plain(layer):
            raise UsageError("A grouped convolution, or one without zero padding, cannot be factorised.")
        c_in, c_out = layer.in_channels, layer.out_channels
        window: dict[str, Any] = {name: getattr(layer, name) for name in ("stride", "padding", "dilation")}
        if form == ROWS:
            sides: list[dict[str, Any]] = [
                {name: _along(pair, axis, name) for name, pair in window.items()} for axis in (0, 1)
            ]
            upright, flat = sides
            first: nn.Module = nn.Conv2d(c_in, rank, (layer.kernel_size[0], 1), bias=False, **upright)
            return _chain(first, nn.Conv2d(rank, c_out, (1, layer.kernel_size[1]), bias=bias, **flat))
        between = c_in * rank if form == SEPARABLE else rank
        groups = c_in if form == SEPARABLE else 1
        kernel = (layer.kernel_size[0], layer.kernel_size[1])
        first = nn.Conv2d(c_in, between, kernel, bias=False, groups=groups, **window)
        return _chain(first, nn.Conv2d(between, c_out, 1, bias=bias))


def _along(pair: tuple[int, int], axis: int, name: str) -> tuple[int, int]:
    """Return stride, padding or dilation along one axis alone."""
    neutral = 0 if name == "padding" else 1
    return (pair[0], neutral) if axis == 0 else (neutral, pair[1])


def _chain(first: nn.Module, second: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(first=first, second=second))


class Fit(NamedTuple):
    """A layer as two."""

    layers: nn.Sequential
    error: float
    """Squared error of the weights, as a share of their squares."""


@torch.no_grad()
def fitted(layer: Layer, factors: Factors) -> Fit:
    """Return the two layers whose product is nearest to the weights of `layer`; errors as `two_of`."""
    pair = two_of(layer, factors)
    first, second = (cast(Layer, each) for each in pair)
    # matrices (B, rows, columns): B of them are fitted one by one
    matrix = _matrices(layer.weight.detach().double(), factors.form)
    U, S, V = torch.linalg.svd(matrix, full_matrices=False)
    rank = min(factors.rank, S.shape[-1])
    roots = S[:, :rank].sqrt()
    left, right = U[:, :, :rank] * roots[:, None], V[:, :rank] * roots[:, :, None]
    for tensor in (first.weight, second.weight):
        tensor.zero_()
    _fill(first.weight, second.weight, left, right, factors.form)
    if layer.bias is not None:
        cast(Tensor, second.bias).copy_(layer.bias)
    total = S.square().sum().clamp_min(torch.finfo(S.dtype).tiny)
    return Fit(pair, (S[:, rank:].square().sum() / total).item())


def _matrices(weight: Tensor, form: str) -> Tensor:
    """Return the matrices (B, rows, columns) of which each becomes a product: columns belong to the second layer."""
    if form == DENSE:
        return weight.T[None]
    if form == ROWS:  # (c_in kh, c_out kw)
        return weight.permute(1, 2, 0, 3).flatten(2, 3).flatten(0, 1)[None]
    if form == CHANNELS:
        return weight.flatten(1).T[None]
    return weight.flatten(2).permute(1, 2, 0)  # (c_in, kh kw, c_out)


def _fill(first: Tensor, second: Tensor, left: Tensor, right: Tensor, form: str) -> None:
    """Write factors (B, rows, rank) and (B, rank, columns) into the weights of two layers."""
    rank = left.shape[-1]
    if form == DENSE:
        first[:rank], second[:, :rank] = left[0].T.to(first.dtype), right[0].T.to(first.dtype)
    elif form == ROWS:
        first[:rank] = left[0].T.reshape(rank, *first.shape[1:]).to(first.dtype)
        second[:, :rank] = right[0].reshape(rank, second.shape[0], 1, -1).permute(1, 0, 2, 3).to(first.dtype)
    elif form == CHANNELS:
        first[:rank] = left[0].T.reshape(rank, *first.shape[1:]).to(first.dtype)
        second[:, :rank, 0, 0] = right[0].T.to(first.dtype)
    else:
        B = left.shape[0]
        maps = first.reshape(B, -1, *first.shape[2:])
        maps[:, :rank] = left.transpose(1, 2).reshape(B, rank, *first.shape[2:]).to(first.dtype)
        mixed = second.reshape(second.shape[0], B, -1)
        mixed[:, :, :rank] = right.permute(2, 0, 1).to(first.dtype)


def cost(layer: Layer, factors: Factors) -> float:
    """Return the multiply-adds of the two layers as a share of those of the one."""
    form, rank = factors
    if isinstance(layer, nn.Linear):
        return rank * (layer.in_features + layer.out_features) / (layer.in_features * layer.out_features)
    c_in, c_out, (h, w) = layer.in_channels, layer.out_channels, layer.kernel_size
    whole = c_in * c_out * h * w
    if form == ROWS:  # the first runs at every column
        return rank * (c_in * h * layer.stride[1] + c_out * w) / whole
    if form == CHANNELS:
        return rank * (c_in * h * w + c_out) / whole
    return rank * c_in * (h * w + c_out) / whole


def best(layer: Layer, share: float, forms: tuple[str, ...]) -> tuple[Factors, Fit] | None:
    """Return the form with the least error that leaves at most `share` of the multiply-adds; None if none does."""
    found = []
    for form in forms:
        if isinstance(layer, nn.Linear) != (form == DENSE):
            continue
        if isinstance(layer, nn.Conv2d) and form == ROWS and 1 in layer.kernel_size:
            continue
        rank = int(share / cost(layer, Factors(form, 1)))
        if rank >= 1:
            factors = Factors(form, rank)
            found.append((factors, fitted(layer, factors)))
    return min(found, key=lambda each: each[1].error) if found else None


def lowrank(model: nn.Module, work: Work, *, share: float, epochs: float) -> Done:
    """Write convolutions and dense layers as two of low rank each, which leave `share` of their multiply-adds.

    They are trained for `epochs` to imitate the network as it was. First and last layer stay, and what has groups.

    Raises: UsageError for a share that is not possible, or where no layer can be replaced.
    """
    if not 0 < share <= SMALLEST_GAIN:
        raise UsageError(f"`lowrank` (={share:g}) must be a fraction above 0, up to {SMALLEST_GAIN:g}.")
    return _factorised(model, work, forms=(ROWS, CHANNELS, DENSE), share=share, epochs=epochs)


def separable(model: nn.Module, work: Work, *, maps: int = 1, epochs: float) -> Done:
    """Write k x k convolutions as depthwise ones with so many `maps` for each channel, then 1 x 1.

    They are trained for `epochs` to imitate the network as it was. First and last layer stay, and what has groups.

    Raises: UsageError if no layer can be replaced.
    """
    return _factorised(model, work, forms=(SEPARABLE,), maps=maps, share=SMALLEST_GAIN, epochs=epochs)


def _factorised(
    model: nn.Module, work: Work, *, forms: tuple[str, ...], share: float, epochs: float, maps: int = 0
) -> Done:
    teacher = work.teacher or _answers(copy.deepcopy(model).eval())
    chosen: dict[str, Factors] = {}
    left: list[str] = []
    for name, layer in [(name, layer) for name, layer in model.named_modules() if type(layer) in KINDS][1:-1]:
        found = None
        if _is_plain(layer):
            found = _one_form(layer, maps) if maps else best(layer, share, forms)
        if found is None:
            left.append(name)
            continue
        chosen[name] = found[0]
        replaced(model, name, found[1].layers)
    if not chosen:
        raise UsageError(
            f"No layer of this network becomes smaller in the form {listed(forms)}; unchanged are {listed(left)}."
        )
    work.refit(model, epochs=epochs, teacher=teacher)
    ranks = ", ".join(f"{name}: {form} {rank}" for name, (form, rank) in chosen.items())
    notes = [f"{len(chosen)} layers were each written as two ({ranks})"]
    if left:
        notes.append(f"unchanged are {listed(left)}: grouped, or no gain")
    return Done(model=model.eval(), changes=[Factorised(chosen).to_dict()], notes=notes)


def _one_form(layer: Layer, maps: int) -> tuple[Factors, Fit] | None:
    factors = Factors(SEPARABLE, maps)
    if not isinstance(layer, nn.Conv2d) or layer.kernel_size == (1, 1) or cost(layer, factors) > SMALLEST_GAIN:
        return None
    return factors, fitted(layer, factors)


def _is_plain(layer: Layer) -> bool:
    """Tell whether a layer is a dense one, or a convolution without groups that is padded by zeros."""
    if isinstance(layer, nn.Linear):
        return True
    return layer.groups == 1 and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)


def _answers(model: nn.Module) -> Any:
    """Return a network's outputs as a function of inputs, without gradients."""

    def answer(x: Tensor) -> Tensor:
        with torch.no_grad():
            return main_head(model(x))

    return answer
