"""Layer-wise relevance propagation: the evidence handed back, layer by layer, to what made it.

Bach et al. 2015, doi:10.1371/journal.pone.0130140; rules as in Montavon et al. 2019, Layer-Wise Relevance Propagation:
An Overview, doi:10.1007/978-3-030-28954-6_10. Inputs are (N, C, H, W) float, normalised.

What goes back here is c = R / a, the relevance R of an activation a by its size: the derivative with other slopes.

- Affine layers z = W a + b, the epsilon rule: c_in = W^T (c z / (z + epsilon sign(z))); c b is the share of the bias,
  and what epsilon takes is counted. Batch norm belongs to the convolution it follows: epsilon counts once, behind it.
- Functions f of one element: R passes as it is, c_in = c f(a) / a; where f(0) is not 0, c f(0) counts as a bias.
- Sums split in proportion, as do means; the largest of a pool takes all.
- A product with a gate, which is a sigmoid or softmax of something: the gate is a constant, and the other factor takes
  all (Arras et al. 2017, arXiv:1706.07206). Of two factors that are not gates each takes half.
- The divisors of normalisations, local response norm among them, are constants: they conserve.
"""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

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
    depends,
    replaced,
    secant,
)
from fovea.explanation.attribution.registry import WEIGHT, Attribution, method
from fovea.explanation.attribution.written_out import normalisations, scale_and_shift, scaled_dot_product_attention
from fovea.explanation.objective import Objective

GATES = frozenset("sigmoid hardsigmoid".split())
EITHER = frozenset("max min maximum minimum fmax fmin".split())
"""Functions that may take the larger, or smaller, of two tensors."""


@method(
    "lrp",
    title="Layer-wise relevance propagation",
    source="Bach et al. 2015, doi:10.1371/journal.pone.0130140, equation 58",
    signed=True,
    bounds={"epsilon": WEIGHT},
)
def layer_wise_relevance(model: nn.Module, x: Tensor, objective: Objective, *, epsilon: float = 0.25) -> Attribution:
    """Return the relevance of each pixel, summed over channels: (N, H, W).

    `epsilon` is a part of the root mean square of z in each image and layer, 1/4 as the overview's authors take it;
    with 0 a network of ReLUs without biases has gradient x input. Figures, per image: `output` Y; `biases` and
    `epsilon`, what of it goes to them; `conservation error` |sum of relevances + biases + epsilon - Y|, and the
    `relative conservation error` as a part of |Y|.

    Raises:
        UsageError: the network calls a function without a rule.
    """
    ledger = torch.zeros(len(x), 2, dtype=torch.float64, device=x.device, requires_grad=True)
    with torch.enable_grad():
        given = x.detach().clone().requires_grad_()
        with _Relevance(ledger, epsilon).rules():
            value = objective(model(given.clone()))
        by_size, shares = torch.autograd.grad(value.sum(), (given, ledger), allow_unused=True)
    relevance = (x.detach() * by_size).double()
    shares = torch.zeros_like(ledger) if shares is None else shares
    output = value.detach().double()
    error = (relevance.flatten(1).sum(1) + shares.sum(1) - output).abs()
    figures = {
        **{"output": output, "biases": shares[:, 0], "epsilon": shares[:, 1], "conservation error": error},
        "relative conservation error": error / output.abs().clamp(min=torch.finfo(torch.float64).tiny),
    }
    kept = {name: figure.detach().cpu() for name, figure in figures.items()}
    return Attribution(values=relevance.sum(1).float().cpu(), figures=kept)


class _Relevance:
    """The rules for one pass, and what they have to know of the tensors that it makes.

    `ledger` (N, 2) float64 is no input of the network: what goes back to it is what biases, and epsilon, take.
    """

    def __init__(self, ledger: Tensor, epsilon: float) -> None:
        self.ledger, self.epsilon = ledger, epsilon
        # by tensor, with the version they hold for: one that is changed in place is no longer what it was
        self.bare = (
            WeakTensorKeyDictionary()
        )  # the output of an affine layer -> (the same before epsilon, what of it is bias)
        self.gates = WeakTensorKeyDictionary()

    def rules(self) -> Rules:
        passing = ARRANGED | POOLED | CHOSEN | {"max", "min"}
        rules: dict[str, Callable[[Call], Any]] = {
            **dict.fromkeys(passing, self.passing),
            **dict.fromkeys(SHIFTED, self.shifted),
            **dict.fromkeys(CONVOLVED, self.convolved),
            **dict.fromkeys(MULTIPLIED | {"div", "divide", "true_divide"}, self.product),
            **dict.fromkeys(RECTIFIERS | SMOOTH | CURVES, self.element),
            **dict.fromkeys(GATES, self.gate),
            **{"softmax": self.softmax, "batch_norm": self.batch_norm},
        }
        written_out = {
            **normalisations(Tensor.detach),
            "scaled_dot_product_attention": scaled_dot_product_attention,
        }
        self.mode = Rules("lrp", rules, native=frozenset(), written_out=written_out)
        return self.mode

    # what is known of tensors

    def mark(self, marks: WeakTensorKeyDictionary, tensor: Tensor, value: Any) -> Tensor:
        marks[tensor] = (tensor._version, value)
        return tensor

    def marked(self, marks: WeakTensorKeyDictionary, tensor: Tensor) -> Any:
        version, value = marks[tensor] if tensor in marks else (None, None)
        return value if version == tensor._version else None

    def is_gate(self, tensor: Tensor) -> bool:
        return self.marked(self.gates, tensor) is not None

    # rules

    def passing(self, call: Call) -> Any:
        """Keep the derivative: what sums with fixed weights, moves values about or chooses one needs no other rule."""
        if len(call.inputs) == 1 and call.name in EITHER and isinstance(call.argument(1, "other"), Tensor):
            return self.element(call)
        gates = all(map(self.is_gate, call.inputs))
        result = call()
        return self.mark(self.gates, result, True) if gates and isinstance(result, Tensor) else result

    def shifted(self, call: Call) -> Tensor:
        """Count what is added to the one or two that depend on the input as a bias."""
        given = call.inputs
        shift = call.on(*map(torch.zeros_like, given)).detach()
        if len(given) == 1 and (found := self.marked(self.bare, given[0])):  # a bias by itself, as behind an einsum
            bare, before = found
            return self.affine(call.on(bare), shift + (0 if before is None else call.on(before) - shift))
        gates = all(map(self.is_gate, given))
        result = self.affine(call.on(*given), shift, 0) if shift.any() else cast(Tensor, call())
        return self.mark(self.gates, result, True) if gates else result

    def convolved(self, call: Call) -> Tensor:
        bias = call.argument(2, "bias")
        if len(call.inputs) > 1 or not depends(call.args[0]):
            raise self.mode.without_rule(call)
        z = call()
        if bias is not None:
            bias = bias.detach().view(-1, *[1] * (0 if call.name == "linear" else z.ndim - 2))
        return self.affine(z, bias)

    def batch_norm(self, call: Call) -> Tensor:
        scale, shift = scale_and_shift(*call.args, **call.kwargs)
        bare, before = self.marked(self.bare, call.args[0]) or (call.args[0], None)
        return self.affine(call.on(bare), shift if before is None else shift + scale * before)

    def affine(self, z: Tensor, shift: Tensor | None, epsilon: float | None = None) -> Tensor:
        """Return z, of which `shift` is a bias: the ledger gets its share, and that of epsilon."""
        epsilon = self.epsilon if epsilon is None else epsilon
        if shift is None and not epsilon:
            return z

        def backward(c: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
            kept = c * self.ratio(z, epsilon) if epsilon else c
            biases = self.by_image(torch.zeros_like(z) if shift is None else kept * shift)
            return kept, torch.stack([biases, self.by_image((c - kept) * z)], 1)

        self.rows(z)
        result = replaced(lambda z, _: (z.clone(), z), backward, z, self.ledger)
        return self.mark(self.bare, result, (z, shift)) if epsilon else result

    def ratio(self, z: Tensor, epsilon: float) -> Tensor:
        """Return z / (z + epsilon sign(z)), with epsilon in units of the root mean square in each image."""
        rows = self.rows(z)
        size = epsilon * rows.to(torch.promote_types(z.dtype, torch.float32)).square().mean(1, keepdim=True).sqrt()
        stable = rows.abs() + size.to(z.dtype)
        return torch.where(stable == 0, 1.0, rows.abs() / stable).reshape(z.shape)

    def by_image(self, amounts: Tensor) -> Tensor:
        return self.rows(amounts).sum(1, dtype=torch.float64)

    def rows(self, z: Tensor) -> Tensor:
        """Return one row for each image."""
        if z.ndim == 0 or len(z) % len(self.ledger):
            raise UsageError("Relevance needs a network whose first dimension is always the batch.")
        return z.reshape(len(self.ledger), -1)

    def product(self, call: Call) -> Tensor:
        """Give all to the factor that is not a gate, half to each of two that are none."""
        given = call.inputs
        if len(given) == 1:
            return cast(Tensor, self.scaled(call))
        a, b, *more = given
        if more:
            raise self.mode.without_rule(call)
        divided = call.name not in MULTIPLIED
        if divided or (self.is_gate(b) and not self.is_gate(a)):
            return cast(Tensor, call.on(a, b.detach()))
        if self.is_gate(a) and not self.is_gate(b):
            return cast(Tensor, call.on(a.detach(), b))
        return cast(Tensor, (call.on(a, b.detach()) + call.on(a.detach(), b)) / 2)

    def scaled(self, call: Call) -> Any:
        """Multiply by a constant: a matrix of them makes an affine layer."""
        if call.name in ("mul", "multiply"):
            return self.passing(call)
        if call.name in MULTIPLIED:
            return self.affine(call(), None)
        if not depends(call.args[0]):
            raise self.mode.without_rule(call)
        return self.passing(call)

    def element(self, call: Call) -> Tensor:
        """Pass relevance through a function of one element; f(0) is a bias."""
        if len(call.inputs) > 1:
            raise self.mode.without_rule(call)
        at_zero = call.on(torch.zeros_like(call.inputs[0])).detach()
        if not at_zero.isfinite().all():
            raise self.mode.without_rule(call)

        def forward(x: Tensor) -> tuple[Tensor, Tensor]:
            y = call.on(x)
            return y, secant(call.on, x, torch.zeros_like(x), y - at_zero)

        result = replaced(forward, lambda c, slope: (c * slope,), call.inputs[0])
        return self.affine(result, at_zero, 0) if at_zero.any() else result

    def gate(self, call: Call) -> Tensor:
        return self.mark(self.gates, self.element(call), True)

    def softmax(self, call: Call) -> Tensor:
        def backward(_: Tensor) -> Any:
            raise UsageError("`lrp` has a rule only for a softmax used as attention weights; explain logits instead.")

        return self.mark(self.gates, replaced(lambda x: (call.on(x),), backward, call.inputs[0]), True)
