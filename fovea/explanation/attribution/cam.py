"""Class activation maps: the channels of a feature map, weighed by what they count for an answer.

A (N, K, h, w) is the map of a layer, g its gradient dY/dA of the evidence Y for the answer, Z = h w. Inputs are
(N, C, H, W) float, normalised; what comes out is (N, h, w) float32.

Nothing before the layer is differentiated. Where a module runs several times its last output is the map.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fovea.errors import ShapeError, UsageError
from fovea.explanation.attribution.registry import Attribution, method, of_any_axes
from fovea.explanation.objective import Objective
from fovea.explanation.target_layer import Call, calls_of, target_layer
from fovea.hooks import changed


class Weighed(NamedTuple):
    """A feature map and its gradient, both (N, K, h, w) float32, or float64 where the network computes in it."""

    layer: str
    maps: Tensor
    gradient: Tensor

    @property
    def places(self) -> tuple[int, ...]:
        """The axes of the map behind batch and channels: two of images, one of series, three of clips."""
        return tuple(range(2, self.maps.ndim))


def weighed(model: nn.Module, x: Tensor, objective: Objective, layer: str | None = None) -> Weighed:
    """Return the map of `layer` for inputs `x` (N, C, H, W), and its gradient.

    Raises:
        UsageError: the network has no such layer.
        ShapeError: its output is no map.
    """
    layer = layer or target_layer(model, x)
    with torch.no_grad(), _leaf(model, layer) as leaves:
        outputs = model(x.clone())  # a network may begin in place
        if not leaves:
            raise UsageError(f"The layer `{layer}` did not run; `fovea measure` lists the layers that run.")
        maps = leaves[-1]
        if maps.ndim != x.ndim:
            raise ShapeError(f"The output of `{layer}` is {tuple(maps.shape)}, not a feature map (N, C, h, w).")
        with torch.enable_grad():
            value = objective(outputs).sum()
    (gradient,) = torch.autograd.grad(value, maps)
    kind = torch.float64 if maps.dtype == torch.float64 else torch.float32
    return Weighed(layer, maps.detach().to(kind), gradient.to(kind))


@contextmanager
def _leaf(model: nn.Module, layer: str) -> Iterator[list[Tensor]]:
    """Begin the graph of the pass at the output of `layer`, and yield the list that these outputs go to."""
    leaves: list[Tensor] = []

    def begin(output: Tensor) -> Tensor:
        torch.set_grad_enabled(True)
        leaves.append(output.detach().requires_grad_())
        return leaves[-1].clone()  # a layer behind that works in place must not change what is kept

    with changed(model, layer, begin):
        yield leaves


def _attribution(found: Weighed, values: Tensor) -> Attribution:
    return Attribution(values=values.float().cpu(), layer=found.layer)


@method("gradcam", title="Grad-CAM", source="Selvaraju et al. 2016, arXiv:1610.02391, equations 1 and 2")
@of_any_axes
def grad_cam(model: nn.Module, x: Tensor, objective: Objective, *, layer: str | None = None) -> Attribution:
    """Return ReLU(sum over k of w_k A_k) with w_k = (1 / Z) sum over places of g_k: (N, h, w)."""
    found = weighed(model, x, objective, layer)
    weights = found.gradient.mean(found.places, keepdim=True)
    return _attribution(found, (weights * found.maps).sum(1).relu())


@method("gradcam++", title="Grad-CAM++", source="Chattopadhay et al. 2017, arXiv:1710.11063, equations 10 and 19")
@of_any_axes
def grad_cam_plus_plus(model: nn.Module, x: Tensor, objective: Objective, *, layer: str | None = None) -> Attribution:
    """Return ReLU(sum over k of w_k A_k) with w_k = sum over places of alpha_k ReLU(g_k): (N, h, w).

    alpha = g^2 / (2 g^2 + (sum over places of A_k) g^3), and 0 where g is 0: the powers of g are the derivatives of
    exp(Y), as the paper takes them, whose common factor exp(Y) is left out.
    """
    found = weighed(model, x, objective, layer)
    maps, g = found.maps.double(), found.gradient.double()
    # g^2 divided out, so that gradients whose square is no more a number count
    below = 2 + maps.sum(found.places, keepdim=True) * g
    alpha = torch.where((g != 0) & (below != 0), 1 / below, 0.0)
    weights = (alpha * g.relu()).sum(found.places, keepdim=True)
    return _attribution(found, (weights * maps).sum(1).relu())


@method("layercam", title="LayerCAM", source="Jiang et al. 2021, doi:10.1109/TIP.2021.3089943, equations 5 and 6")
@of_any_axes
def layer_cam(model: nn.Module, x: Tensor, objective: Objective, *, layer: str | None = None) -> Attribution:
    """Return ReLU(sum over k of ReLU(g_k) A_k), each place with a weight of its own: (N, h, w)."""
    found = weighed(model, x, objective, layer)
    return _attribution(found, (found.gradient.relu() * found.maps).sum(1).relu())


@method("hirescam", title="HiResCAM", source="Draelos and Carin 2020, arXiv:2011.08891, section 3.2", signed=True)
@of_any_axes
def hires_cam(model: nn.Module, x: Tensor, objective: Objective, *, layer: str | None = None) -> Attribution:
    """Return sum over k of g_k A_k, (N, h, w): before a single dense layer its sum is the evidence less the bias."""
    found = weighed(model, x, objective, layer)
    return _attribution(found, (found.gradient * found.maps).sum(1))


@method("eigencam", title="Eigen-CAM", source="Muhammad and Yeasin 2020, arXiv:2008.00299, section III")
def eigen_cam(model: nn.Module, x: Tensor, objective: Objective, *, layer: str | None = None) -> Attribution:
    """Return the map projected on its first right singular vector, whatever the answer: (N, h, w), its sum positive.

    Departures: the sign of a singular vector is open; here most of the projection is positive, and the rest is cut.
    """
    found = weighed(model, x, objective, layer)
    places = found.maps.flatten(2).mT.double()  # (N, h w, K)
    _, __, vectors = torch.linalg.svd(places, full_matrices=False)
    projected = (places @ vectors[:, 0, :, None])[..., 0].unflatten(1, found.maps.shape[2:])
    return _attribution(found, (projected * projected.sum((1, 2), keepdim=True).sign()).relu())


@method("cam", title="CAM", source="Zhou et al. 2015, arXiv:1512.04150, equation 2", signed=True)
def cam(model: nn.Module, x: Tensor, objective: Objective, *, layer: str | None = None) -> Attribution:
    """Return sum over k of w_k A_k, (N, h, w), with the weights w of the dense layer behind the global mean.

    Raises:
        UsageError: behind the layer stands something else than global average pooling and one dense layer.
    """
    layer = layer or target_layer(model, x)
    dense = _dense_behind(model, x, layer)
    found = weighed(model, x, objective, layer)
    # the evidence is a function of the logits alone: its gradient there says which rows of the weights count, and how
    with torch.enable_grad():
        logits = (found.maps.mean((2, 3)) @ dense.weight.detach().to(found.maps).flatten(1).T).requires_grad_()
        biased = logits if dense.bias is None else logits + dense.bias.detach().to(logits)
        (share,) = torch.autograd.grad(objective(biased).sum(), logits)
    weights = share @ dense.weight.detach().to(found.maps).flatten(1)
    return _attribution(found, (weights[:, :, None, None] * found.maps).sum(1))


def _dense_behind(model: nn.Module, x: Tensor, layer: str) -> nn.Linear | nn.Conv2d:
    """Return the only layer with weights behind the map of `layer`, which takes the mean of each channel."""
    calls = calls_of(model, x[:1])
    places = [index for index, call in enumerate(calls) if call.path == layer]
    behind = [call for call in calls[places[-1] + 1 :] if _is_leaf(call)] if places else []
    learned = [call.module for call in behind if [*call.module.parameters()]]
    passing = (nn.AdaptiveAvgPool2d, nn.AvgPool2d, nn.Flatten, nn.modules.dropout._DropoutNd, nn.Identity)
    others = [call for call in behind if not isinstance(call.module, (*passing, nn.Linear, nn.Conv2d))]
    if len(learned) == 1 and not others and isinstance(dense := learned[0], nn.Linear | nn.Conv2d):
        entered = next(call.given[0] for call in behind if call.module is dense)
        if dense.weight[0].numel() == entered[0].numel() == calls[places[-1]].result.shape[1]:  # type: ignore[union-attr]
            return dense
    raise UsageError(
        f"CAM needs a network whose `{layer}` is followed by global average pooling and one dense layer; this one "
        "has more layers after it. Grad-CAM (`gradcam`) works for any network and gives the same result where both "
        "apply."
    )


def _is_leaf(call: Call) -> bool:
    """Return whether a module holds no others, but for what makes its weights."""
    inner = {name for name, _ in call.module.named_children()}
    return inner <= {"parametrizations"} and "parametrizations" not in call.path.split(".")
