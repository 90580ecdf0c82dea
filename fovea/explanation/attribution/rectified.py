"""What goes back through ReLUs by other rules than the derivative: guided backpropagation, the deconvnet.

With g what comes back to a ReLU of z, and all other functions by their derivative (filters transposed, max pooling by
its switches, the places of the largest):

- derivative:              g where z > 0
- deconvnet:               g where g > 0              Zeiler and Fergus 2013, arXiv:1311.2901, section 2.1
- guided backpropagation:  g where z > 0 and g > 0    Springenberg et al. 2014, arXiv:1412.6806, figure 1

What to make of such pictures: Adebayo et al. 2018, arXiv:1810.03292, put random weights into the upper layers, and
guided backpropagation and guided Grad-CAM hardly changed; Nie et al. 2018, arXiv:1805.07039, show why: both come near
to recovering the image, whatever the answer. They show what the lower layers see sharply, not what the answer rests on.

ReLUs are found wherever they are called: as modules or functions, in place or not, as ReLU6, or as a clamp, threshold
or maximum at 0. Networks of other activations (SiLU, GELU, hardswish) are refused: there is no published rule. Gates by
a sigmoid keep their derivative. Inputs are (N, C, H, W) float, normalised; what comes out is (N, H, W) float32 unless
said.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fovea.errors import UsageError
from fovea.explanation.attribution.cam import grad_cam
from fovea.explanation.attribution.propagation import RECTIFIERS, SMOOTH, Call, Rules, replaced
from fovea.explanation.attribution.registry import Attribution, method
from fovea.explanation.objective import Objective
from fovea.explanation.outputs import evaluating
from fovea.hooks import changed

Rule = Literal["guided", "deconvnet"]


@contextmanager
def rectified(rule: Rule) -> Iterator[None]:
    """Let every ReLU called inside have the backward pass of a rule, in the passes that begin inside.

    Raises:
        UsageError: an activation that is no ReLU runs, or no ReLU at all.
    """
    ran = list[str]()
    ruled = RECTIFIERS | {"relu", "maximum", "max", "fmax"}
    rules = {
        **dict.fromkeys(ruled, partial(_relu, rule, ran)),
        **dict.fromkeys(SMOOTH, partial(_refused, rule)),
    }
    with Rules(rule, rules):
        yield
    if not ran:
        raise UsageError(f"`{rule}` changes the gradient of ReLUs, and this network has none.")


def _refused(rule: Rule, call: Call) -> Any:
    raise UsageError(
        f"`{rule}` is defined for ReLUs, and this network uses `{call.name}`; `saliency` and `gradcam` work for any "
        "network."
    )


def _relu(rule: Rule, ran: list[str], call: Call) -> Any:
    if not _cuts_at_zero(call):
        return call()
    ran.append(call.name)

    def forward(z: Tensor) -> tuple[Tensor, Tensor]:
        y = call.on(z)
        return y, (y == z) & (y > 0)

    def backward(g: Tensor, passed: Tensor) -> tuple[Tensor]:
        return (g.clamp(min=0) * passed if rule == "guided" else g.clamp(min=0),)

    return replaced(forward, backward, call.inputs[0])


def _cuts_at_zero(call: Call) -> bool:
    """Return whether a call gives 0 for all that is below 0, and what is a little above 0 as it is."""
    if len(call.inputs) != 1:
        return False
    x = call.inputs[0]
    if call.name == "max" and not isinstance(call.argument(1, "other"), Tensor):  # along a dimension
        return False
    # the whole shape where there is a bound for each value, else two values
    shape = x.shape if any(isinstance(one, Tensor) for one in (*call.args[1:], *call.kwargs.values())) else (1,)
    probes = [torch.full(shape, value).to(x) for value in (-1e3, 1e-3)]
    return all(torch.equal(call.on(probe), probe.clamp(min=0)) for probe in probes)


@method("guided", title="Guided backpropagation", source="Springenberg et al. 2014, arXiv:1412.6806", signed=True)
def guided_backpropagation(model: nn.Module, x: Tensor, objective: Objective) -> Attribution:
    """Return sum over channels of what guided backpropagation brings back: (N, H, W).

    It hardly depends on the weights of the upper layers, nor on the answer: Adebayo 2018, Nie 2018.
    """
    return Attribution(values=brought_back(model, x, objective, "guided").sum(1).float().cpu())


@method("deconvnet", title="Deconvnet", source="Zeiler and Fergus 2013, arXiv:1311.2901, section 2.1", signed=True)
def deconvnet(model: nn.Module, x: Tensor, objective: Objective) -> Attribution:
    """Return sum over channels of what the deconvnet brings back from the answer: (N, H, W).

    Of the image it gets the switches of max pooling only; without them every image gives the same (Nie 2018). And where
    all that comes back to a narrow layer is below 0 nothing goes on: SqueezeNet's classes give empty maps. For a unit
    in the middle of a network see `project`.
    """
    return Attribution(values=brought_back(model, x, objective, "deconvnet").sum(1).float().cpu())


@method(
    "guided_gradcam",
    title="Guided Grad-CAM",
    source="Selvaraju et al. 2016, arXiv:1610.02391, section 3.2",
    signed=True,
)
def guided_grad_cam(model: nn.Module, x: Tensor, objective: Objective, *, layer: str | None = None) -> Attribution:
    """Return guided backpropagation times Grad-CAM enlarged to the input: (N, H, W).

    The place comes of Grad-CAM, and with it all that depends on the answer; the fine pattern hardly depends on the
    weights (Adebayo 2018).
    """
    found = grad_cam(model, x, objective, layer=layer)
    fine = guided_backpropagation(model, x, objective).values
    height, width = fine.shape[1:]
    return Attribution(values=fine * found.at((height, width)), layer=found.layer)


def brought_back(model: nn.Module, x: Tensor, objective: Objective, rule: Rule) -> Tensor:
    """Return what a rule brings back from the evidence to the input, (N, C, H, W), signed: for pictures in colour."""
    with torch.enable_grad():
        given = x.detach().clone().requires_grad_()
        with rectified(rule):
            outputs = model(given.clone())
        # outside: the evidence is no layer, and that of a grade is a curve
        (found,) = torch.autograd.grad(objective(outputs).sum(), given)
    return found


def project(model: nn.Module, x: Tensor, layer: str, channel: int) -> Tensor:
    """Return the strongest activation of a channel of `layer` in each image, projected to pixels: (N, C, H, W).

    Zeiler and Fergus 2013, section 2.1 and figure 2: all other activations are set to 0, and the one goes back through
    the deconvnet. A layer of units, (N, K), is a map of one place each. The type is that of x.

    Raises:
        UsageError: the network has no such layer, the layer no such channel, or an activation is no ReLU.
    """
    outputs = list[Tensor]()

    def keep(output: Tensor) -> Tensor:
        outputs.append(output)
        return output.clone()  # a layer behind that works in place must not change what is kept

    with evaluating(model), torch.enable_grad(), changed(model, layer, keep):
        given = x.detach().clone().requires_grad_()
        with rectified("deconvnet"):
            model(given.clone())
        strongest = _strongest(outputs, layer, channel)
        (projected,) = torch.autograd.grad(strongest, given, strongest.detach())
    return projected


def _strongest(outputs: list[Tensor], layer: str, channel: int) -> Tensor:
    """Return the largest value of a channel in each image: (N,)."""
    if not outputs:
        raise UsageError(f"The layer `{layer}` did not run; `fovea measure` lists the layers that run.")
    channels = outputs[-1].shape[1]
    if not 0 <= channel < channels:
        raise UsageError(f"`channel` (={channel}) must be below the {channels} channels of `{layer}`.")
    return outputs[-1][:, channel].flatten(1).max(1).values if outputs[-1].ndim > 2 else outputs[-1][:, channel]
