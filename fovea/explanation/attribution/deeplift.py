"""DeepLIFT: what each pixel contributes to the difference of the evidence from that of a baseline.

Learning Important Features Through Propagating Activation Differences: Shrikumar, Greenside and Kundaje 2017,
arXiv:1704.02685, with the rescale rule (section 3.5.2). Inputs are (N, C, H, W) float, normalised.

One pass of x above its baseline gives the difference D from the baseline of all that is computed between. Multipliers m
with sum of m D(in) = D(out) take the place of the derivatives, and go back by their chain rule (equation 3):

- convolutions, dense layers, batch norm, means: the linear rule (section 3.5.1), which is their derivative;
- functions of one element: D(out) / D(in), the derivative where D(in) is rounding only;
- max pooling: the largest of x gets D(out) where it rose, the largest of the baseline where it fell.

Departures: the paper has no rule for products of two activations, as of gates, attention and normalisation. Here a b
gives D(a) times the mean of b, and D(b) times the mean of a, the mean being that of x and baseline, which is exact.
"""

import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from fovea.errors import UsageError
from fovea.explanation.attribution.propagation import (
    ARRANGED,
    CHOSEN,
    CONVOLVED,
    CURVES,
    MULTIPLIED,
    POOLED,
    RECTIFIERS,
    SHIFTED,
    SMOOTH,
    Call,
    Rules,
    nearly_same,
    replaced,
    secant,
)
from fovea.explanation.attribution.registry import Attribution, method
from fovea.explanation.attribution.written_out import normalisations, scaled_dot_product_attention
from fovea.explanation.objective import Objective

STEEP = frozenset("log log1p sqrt rsqrt reciprocal rdiv rpow".split())
"""Functions of one element that are not defined, or not finite, at 0."""


@method(
    "deeplift",
    title="DeepLIFT",
    source="Shrikumar et al. 2017, arXiv:1704.02685, section 3.5, rescale rule",
    signed=True,
)
def deeplift(model: nn.Module, x: Tensor, objective: Objective, *, baseline: Tensor | None = None) -> Attribution:
    """Return the sum over channels of (x - x') m: (N, H, W).

    x' is `baseline`, of the shape of x or one that broadcasts to it; by default zeros, the mean colour of normalised
    images. The sum over all places is Y(x) - Y(x') (equation 1). Figures: `completeness error`, and the
    `relative completeness error` as a part of |Y(x) - Y(x')|.

    Raises:
        UsageError: the network calls a function without a rule.
    """
    start = torch.zeros_like(x) if baseline is None else baseline.detach().to(x).expand_as(x)
    difference = x.detach() - start
    with torch.enable_grad():
        both = torch.cat([x.detach(), start]).requires_grad_()
        with _rules(len(both)):
            value = _for_both(objective, len(x))(model(both.clone()))
        above, below = value.chunk(2)
        (multipliers,) = torch.autograd.grad(above.sum(), both)
    contributions = (difference * multipliers[: len(x)]).double()
    gained = (above - below).detach().double()
    error = (contributions.flatten(1).sum(1) - gained).abs().cpu()
    relative = error / gained.abs().cpu().clamp(min=torch.finfo(torch.float64).tiny)
    figures = {"completeness error": error, "relative completeness error": relative}
    return Attribution(values=contributions.sum(1).float().cpu(), figures=figures)


def _for_both(objective: Objective, N: int) -> Objective:
    """Return the objective of N rows and their N baselines."""
    answers, against = objective.answers, objective.against
    twice = None if against is None else against.expand(N).repeat(2)
    return replace(objective, answers=answers.expand(N).repeat(2), against=twice)


def _rules(rows: int) -> Rules:
    elements = RECTIFIERS | SMOOTH | CURVES | STEEP
    multiplied = MULTIPLIED | CONVOLVED
    rules = {
        **dict.fromkeys(elements, partial(_element, rows)),
        **dict.fromkeys(multiplied, partial(_product, rows)),
        **dict.fromkeys(CHOSEN | {"max", "min"}, partial(_chosen, rows)),
    }
    written_out: dict[str, Callable[..., Any]] = {
        **normalisations(lambda divisor: divisor),
        **{"div": _quotient, "divide": _quotient, "true_divide": _quotient},
        **{"softmax": _softmax, "log_softmax": _log_softmax, "logsumexp": _logsumexp},
        "scaled_dot_product_attention": scaled_dot_product_attention,
    }
    return Rules("deeplift", rules, native=ARRANGED | POOLED | SHIFTED | {"batch_norm"}, written_out=written_out)


def _halves(x: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """Return what comes of the images and of their baselines, both of one shape and dtype."""
    if x.ndim == 0 or len(x) % rows:
        raise UsageError("DeepLIFT needs a network whose first dimension is always the batch.")
    above, below = x.chunk(2)
    return above, below


def _single(call: Call) -> Tensor:
    if len(call.inputs) > 1:
        raise UsageError(f"`deeplift` has no rule for `{call.name}` of several activations.")
    return call.inputs[0]


def _element(rows: int, call: Call) -> Tensor:
    """Multiply by D(out) / D(in)."""

    def forward(x: Tensor) -> tuple[Tensor, Tensor]:
        y = call.on(x)
        (above, below), (risen, fallen) = _halves(x, rows), y.chunk(2)
        return y, secant(call.on, above, below, risen - fallen).repeat(2, *[1] * (x.ndim - 1))

    return replaced(forward, lambda gradient, slope: (gradient * slope,), _single(call))


def _product(rows: int, call: Call) -> Tensor:
    """Multiply by the factor itself where one is constant, else by the mean of the other one."""
    given = call.inputs
    if len(given) == 1:
        return cast(Tensor, call())
    if len(given) > 2:
        raise UsageError(f"`deeplift` has no rule for `{call.name}` of more than two activations.")
    means = [_mean_of_both(factor.detach(), rows) for factor in given]
    linear = call.on(given[0], means[1]) + call.on(means[0], given[1])
    # the value is that of the call, the derivative that of `linear`
    return cast(Tensor, linear + (call.on(*[factor.detach() for factor in given]) - linear).detach())


def _mean_of_both(x: Tensor, rows: int) -> Tensor:
    above, below = _halves(x, rows)
    return ((above + below) / 2).repeat(2, *[1] * (x.ndim - 1))


def _chosen(rows: int, call: Call) -> Any:
    """Give D(out) to the largest of the images where it is above 0, else to the largest of the baselines."""
    if call.name in ("max", "min"):
        return _named_tuple(rows, call)
    if len(call.inputs) == 1 and call.name in ("maximum", "minimum", "fmax", "fmin"):
        return _element(rows, call)
    if len(call.inputs) == 2:  # of two tensors: the largest along a new dimension
        pair = torch.stack([one + torch.zeros_like(other) for one, other in itertools.permutations(call.inputs)], -1)
        largest = torch.amax if call.name in ("maximum", "fmax") else torch.amin
        return _chosen(rows, Call(largest.__name__, largest, (pair, -1), {}, False))
    return replaced(partial(_chosen_forward, call, rows), partial(_chosen_backward, call), call.inputs[0])


def _named_tuple(rows: int, call: Call) -> Any:
    """Apply the rule to torch.max and torch.min: of two tensors, or along a dimension, which give indices too."""
    several = len(call.args) > 1 and isinstance(call.args[1], Tensor) or "other" in call.kwargs
    if several:
        either = torch.maximum if call.name == "max" else torch.minimum
        return _chosen(rows, call._replace(name=either.__name__, func=either))
    func = torch.amax if call.name == "max" else torch.amin
    dim, keepdim = call.argument(1, "dim"), call.argument(2, "keepdim", False)
    if dim is None:
        raise UsageError("`deeplift` has no rule for the largest value of a whole batch.")
    values = _chosen(rows, Call(func.__name__, func, (call.args[0], dim, keepdim), {}, False))
    kind = torch.return_types.max if call.name == "max" else torch.return_types.min
    return kind((values, call.on(call.args[0].detach()).indices))


def _chosen_forward(call: Call, rows: int, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    y = call.on(x)
    above, below = _halves(y, rows)
    return y, x, above - below


def _chosen_backward(call: Call, gradient: Tensor, x: Tensor, change: Tensor) -> tuple[Tensor]:
    N = len(x) // 2
    with torch.enable_grad():
        given = x.detach().clone().requires_grad_()
        y = call.on(given)

    def sent(above: Tensor, below: Tensor) -> tuple[Tensor, Tensor]:
        """Send values of the outputs to the inputs chosen among the images, and among the baselines."""
        (back,) = torch.autograd.grad(y, given, torch.cat([above, below]), retain_graph=True)
        return back[:N], back[N:]

    contributed = gradient[: len(change)] * change
    to_images, to_baselines = sent(contributed * (change > 0), contributed * (change < 0))
    near = nearly_same(x[:N], x[N:])
    plain, _ = sent(gradient[: len(change)], torch.zeros_like(change))
    multiplier = torch.where(near, plain, (to_images + to_baselines) / torch.where(near, 1.0, x[:N] - x[N:]))
    return (torch.cat([multiplier, torch.zeros_like(multiplier)]),)


def _quotient(x: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    if rounding_mode is not None:
        raise UsageError("`deeplift` has no rule for integer division.")
    return x * (torch.reciprocal(other) if isinstance(other, Tensor) else 1 / other)


def _exponentials(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Return exp(x - s) and s, the largest of both image and baseline, which cancels."""
    largest = x.detach().amax(dim, keepdim=True)
    above, below = largest.chunk(2)
    shift = torch.maximum(above, below).repeat(2, *[1] * (x.ndim - 1))
    return (x - shift).exp(), shift


def _softmax(x: Tensor, dim: int, dtype: torch.dtype | None = None, **_: Any) -> Tensor:
    powers, __ = _exponentials(x if dtype is None else x.to(dtype), dim)
    return powers * powers.sum(dim, keepdim=True).reciprocal()


def _log_softmax(x: Tensor, dim: int, dtype: torch.dtype | None = None, **_: Any) -> Tensor:
    x = x if dtype is None else x.to(dtype)
    return x - _logsumexp(x, dim, keepdim=True)


def _logsumexp(x: Tensor, dim: int, keepdim: bool = False) -> Tensor:
    powers, shift = _exponentials(x, dim)
    found = powers.sum(dim, keepdim=True).log() + shift
    return found if keepdim else found.squeeze(dim)
