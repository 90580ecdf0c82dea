"""Optimisers, their parameter groups and weight averaging; Muon is ours, since PyTorch's takes no 4-D weights.

Weights and gradients are float32, of any shape; matrices are (R, C).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fovea.layers import copied
from fovea.training.recipe import Optimisation, Recipe
from fovea.training.transfer import rate_factors

TINY = 1e-12
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # quintic coefficients of Jordan et al. 2024, "Muon"


def orthogonalised(matrix: Tensor, *, steps: int = 5) -> Tensor:
    """Return the nearest semi-orthogonal matrix to `matrix` (R, C), roughly: singular values in about 0.7 to 1.2.

    Newton-Schulz iteration X <- P X with P = aI + bA + cA^2 and A = XX^T (Jordan et al. 2024). All P are polynomials
    of the first A, so that A <- PAP follows X without it: of the large products only the first and the last are left.
    """
    a, b, c = NEWTON_SCHULZ
    X = matrix / (matrix.norm() + 1e-7)
    transposed = X.shape[0] > X.shape[1]
    X = X.T if transposed else X
    A = X @ X.T
    product = None
    for step in range(steps):
        P = torch.addmm(A, A, A, beta=b, alpha=c)
        P.diagonal().add_(a)
        product = P if product is None else P @ product
        if step < steps - 1:
            A = P @ A @ P
    X = X if product is None else product @ X
    result: Tensor = X.T if transposed else X
    return result


def orthogonalising_macs(rows: int, columns: int, *, steps: int = 5) -> int:
    """Return the multiply-adds of `orthogonalised`: two large products, and of 5 steps 17 small ones."""
    short, long = sorted((rows, columns))
    return 2 * short**2 * long + (4 * steps - 3) * short**3


class Muon(Optimizer):
    """Momentum whose update is orthogonalised, for weights of two and more dimensions (Jordan et al. 2024).

    A convolution's (c_out, c_in, H, W) weight is updated as the matrix (c_out, c_in * H * W). Weight and update have
    the Frobenius norm sqrt(c_out), so that `lr` is the relative step; the weight is brought back to it first.
    After `hold_norms` it is the norm that the weight had then.
    """

    def __init__(
        self, params: Iterable[dict[str, Any]] | Iterable[Tensor], *, lr: float = 0.1, momentum: float = 0.9
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def hold_norms(self) -> None:
        """Let weights keep the norms that they have: no batch norm may follow them, in a network that has learned."""
        for weight in (p for group in self.param_groups for p in group["params"]):
            self.state[weight]["norm"] = weight.norm()

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update every weight that has a gradient."""
        loss = None if closure is None else closure()
        for group in self.param_groups:
            for weight in (p for p in group["params"] if p.grad is not None):
                state = self.state[weight]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(weight)
                momentum = state["momentum_buffer"]
                momentum.mul_(group["momentum"]).add_(weight.grad)
                nesterov = weight.grad.add(momentum, alpha=group["momentum"])
                rows = weight.shape[0]
                update = orthogonalised(nesterov.reshape(rows, -1)).view(weight.shape)
                scale = (rows / min(update.reshape(rows, -1).shape)) ** 0.5
                if "norm" in state:
                    update *= state["norm"] / rows**0.5
                    weight.mul_(state["norm"] / weight.norm().clamp_min(TINY))
                else:
                    weight.mul_(rows**0.5 / weight.norm())
                weight.add_(update, alpha=-group["lr"] * scale)
        return loss


class Average:
    """Exponential moving average of a network's parameters; its buffers are the network's latest."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copied(model).requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards `model`; early on faster, with decay (1 + updates) / (10 + updates)."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(list(self.model.parameters()), list(model.parameters()), 1 - decay)
        for average, latest in zip(self.model.buffers(), model.buffers(), strict=True):
            average.copy_(latest)


def make_optimisers(model: nn.Module, recipe: Recipe) -> list[Optimizer]:
    """Return the optimisers of `recipe`: one, or under `muon` Muon for the convolutions and Adam for the rest.

    Weight decay applies to weights of two and more dimensions only. Every group carries its `base_lr`. Adam moves
    every number as far as its rate whatever the gradient: a matrix, whose inputs add up, gets lr_rest / sqrt(inputs).
    All rates are times those of `rate_factors`.
    """
    factors = rate_factors(model, recipe)
    trained = [p for p in model.parameters() if p.requires_grad]
    weights = [p for p in trained if p.ndim >= 2]
    others = [p for p in trained if p.ndim < 2]
    if recipe.optimiser == "muon":
        filters = [p for p in weights if p.ndim == 4]
        rest = _group(others, recipe.lr_rest)
        for matrix in (p for p in weights if p.ndim != 4):
            rest += _group([matrix], recipe.lr_rest / matrix[0].numel() ** 0.5)
        optimisers: list[Optimizer] = []
        if filters:
            optimisers.append(Muon(_by_factor(_group(filters, recipe.lr), factors), momentum=recipe.momentum))
        if rest:
            optimisers.append(torch.optim.Adam(_by_factor(rest, factors), betas=(0.9, 0.95), fused=True))
        return optimisers
    if not recipe.weight_decay:
        weights, others = [], weights + others
    groups = _group(weights, recipe.lr, recipe.weight_decay) + _group(others, recipe.lr, 0.0)
    return [_single_optimiser(_by_factor(groups, factors), recipe)]


def carried_over(old: list[Optimizer], new: list[Optimizer]) -> list[Optimizer]:
    """Return new optimisers of the same parameters with what the old ones keep of each."""
    for before, after in zip(old, new, strict=True):
        for parameter, kept in before.state.items():
            after.state[parameter] = {**after.state[parameter], **kept}
        momentum = after.defaults.get("momentum")
        if momentum is None or isinstance(after, Muon):
            continue
        for parameter, kept in after.state.items():  # SGD and RMSProp keep one exactly where they have momentum
            if not momentum:
                kept.pop("momentum_buffer", None)
            elif "momentum_buffer" not in kept:
                kept["momentum_buffer"] = torch.zeros_like(parameter)
    return new


def _by_factor(groups: list[dict[str, Any]], factors: Mapping[nn.Parameter, float]) -> list[dict[str, Any]]:
    """Return the groups divided so that every parameter learns at its factor of its group's rate."""
    divided = []
    for group in groups:
        for factor in dict.fromkeys(factors[p] for p in group["params"]):
            params, lr = [p for p in group["params"] if factors[p] == factor], group["lr"] * factor
            divided.append({**group, "params": params, "lr": lr, "base_lr": lr})
    return divided


def _group(params: list[nn.Parameter], lr: float, weight_decay: float | None = None) -> list[dict[str, Any]]:
    group: dict[str, Any] = {"params": params, "lr": lr, "base_lr": lr}
    if weight_decay is not None:
        group["weight_decay"] = weight_decay
    return [group] if params else []


def _single_optimiser(groups: list[dict[str, Any]], recipe: Optimisation) -> Optimizer:
    momentum = recipe.momentum
    match recipe.optimiser:
        case "sgd":
            sgd = torch.optim.SGD(groups, momentum=momentum, nesterov=recipe.nesterov and momentum > 0, fused=True)
            for parameter in (p for group in groups if momentum for p in group["params"]):
                # a fused step wants the momentum of all or of none: layers may learn later, or be dropped at random
                sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
            return sgd
        case "rmsprop":
            return torch.optim.RMSprop(groups, momentum=momentum)
        case "adadelta":
            return torch.optim.Adadelta(groups, rho=momentum)
        case "adam":
            return torch.optim.Adam(groups, betas=(momentum, 0.999), fused=True)
    return torch.optim.AdamW(groups, betas=(momentum, 0.999), fused=True)
