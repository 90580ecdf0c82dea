"""Weight averages of networks of one form: "model soups", Wortsman et al. 2022, arXiv:2203.05482.

Inputs are (N, C, H, W) float32.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fovea.errors import UsageError
from fovea.layers import copied

Score = Callable[[nn.Module], float]
"""The more the better."""


def check_form(model: nn.Module, others: Sequence[nn.Module]) -> None:
    """Raise UsageError if a network has other tensors than `model`, with the first that differs."""
    own = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    for number, other in enumerate(others, start=1):
        found = {name: tuple(tensor.shape) for name, tensor in other.state_dict().items()}
        for name in (*own, *found):
            if own.get(name) != found.get(name):
                shapes = (_shape(own.get(name)), _shape(found.get(name)))
                raise UsageError(
                    f"A soup averages networks with the same architecture, and member {number} differs: `{name}` is "
                    f"{shapes[0]} here and {shapes[1]} there. Use members of the same network and recipe, and "
                    "`soup` as the first step."
                )


def averaged(models: Sequence[nn.Module]) -> nn.Module:
    """Return a network whose floating tensors are the means of those of `models`; all else is the first one's."""
    result = copied(models[0])
    states = [model.state_dict() for model in models]
    mean = {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(tensor.dtype)
        if tensor.dtype.is_floating_point
        else tensor
        for name, tensor in states[0].items()
    }
    result.load_state_dict(mean)
    return result


@torch.no_grad()
def renormalise(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set the running statistics of batch norms to those of `batches`: a mean of weights has others than its parts.

    As for averages along a training: Izmailov et al. 2018, arXiv:1803.05407, section 3.2. All else is in evaluation.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    for inputs in batches:
        model(inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()


def uniform_soup(models: Sequence[nn.Module], *, batches: Callable[[], Iterable[Tensor]]) -> nn.Module:
    """Return the mean of all networks, its batch norms set on `batches`."""
    soup = averaged(models)
    renormalise(soup, batches())
    return soup


def greedy_soup(
    models: Sequence[nn.Module], score: Score, *, batches: Callable[[], Iterable[Tensor]]
) -> tuple[nn.Module, list[int]]:
    """Return the mean of those networks that help, and their indices (recipe 1 of the paper).

    From the best on, each stays if the mean with it scores no worse than without.
    """
    scores = [score(model) for model in models]
    order = sorted(range(len(models)), key=lambda index: -scores[index])  # of equals the earlier first
    kept = [order[0]]
    best, best_score = models[order[0]], scores[order[0]]
    for index in order[1:]:
        trial = uniform_soup([models[i] for i in (*kept, index)], batches=batches)
        trial_score = score(trial)
        if trial_score >= best_score:
            kept, best, best_score = [*kept, index], trial, trial_score
    return best, kept


def _shape(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else "x".join(map(str, shape)) or "a number"
