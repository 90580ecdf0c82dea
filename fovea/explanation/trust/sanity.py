"""Does a method look at what the network learned? Its maps while the weights become random, from the head down.

Adebayo et al. 2018, arXiv:1810.03292, section 4.1, cascading randomisation. Inputs are (N, C, H, W) float, normalised.

Departures from the paper: `DEPARTURES`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

from fovea.explanation.attribution.registry import Attribution, Method, Progress, part_of
from fovea.explanation.objective import Objective
from fovea.explanation.passes import generator, wide
from fovea.explanation.target_layer import calls_of, target_layer
from fovea.explanation.trust.likeness import rank_correlation, structural_similarity
from fovea.layers import copied

DEPARTURES = (
    "Weights are redrawn from a normal distribution with the root mean square of each tensor. Biases, and the "
    "weights and statistics of normalisation layers, are permuted among the channels. The paper uses the "
    "initialisation of training instead. In this way every kind of layer can be randomised, also if batch norm is "
    "folded, and values keep their magnitude.",
    "Signed maps are compared by their absolute values, the stricter of the paper's two comparisons.",
    "Structural similarity is measured on maps scaled to 0..1, at the size of the input.",
    "Maps are computed at some evenly spaced steps; at the last step all weights are randomised.",
    "The verdict uses thresholds, while the paper shows curves. The thresholds were fixed before any method was "
    "tried. Smooth maps such as class activation maps reach a structural similarity of 0.3 to 0.5 by chance, so "
    "read the curve as well.",
)
"""From the paper, one sentence or two each, as pages show them."""

MOST_CORRELATION = 0.5
"""Of the ranks: above it, more than a quarter of their variance is the same without any of the learned weights."""

MOST_SIMILARITY = 0.5
"""Halfway between maps that share nothing (0) and equal ones (1); a person takes maps above it for the same."""

STEPS = 8
"""At how many of the randomised layers, evenly spread, a map is made."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is left of the maps when a layer and all behind it are random."""

    layer: str
    """The last that was randomised, by its path."""
    correlation: float
    """Spearman's, of the absolute values, mean over the images."""
    similarity: float
    """Structural, mean over the images."""


@dataclass(frozen=True, kw_only=True)
class Sanity:
    """How the maps of a method change as the network forgets."""

    steps: tuple[Step, ...]

    @property
    def passed(self) -> bool:
        """Return whether the maps of the wholly random network are others: both measures below their thresholds."""
        last = self.steps[-1]
        return last.correlation < MOST_CORRELATION and last.similarity < MOST_SIMILARITY

    @property
    def reason(self) -> str:
        """Return the verdict in one sentence."""
        last = self.steps[-1]
        return (
            f"With all weights random the maps keep a rank correlation of {last.correlation:.2f} (at most "
            f"{MOST_CORRELATION:g}) and a structural similarity of {last.similarity:.2f} (at most "
            f"{MOST_SIMILARITY:g})."
        )


def sanity_check(
    model: nn.Module,
    x: Tensor,
    objective: Objective,
    method: Method,
    *,
    steps: int = STEPS,
    seed: int = 0,
    progress: Progress | None = None,
    **common: Any,
) -> Sanity:
    """Return how similar the maps of `x` (N, C, H, W) are, those of `model` and those of a copy that becomes random.

    `common` goes to the method, see `attribution.COMMON`. A map of a random network that is not finite counts as
    constant: nothing is left of it.
    """
    if method.layered and not common.get("layer"):
        common["layer"] = target_layer(model, x)
    size = (x.shape[2], x.shape[3])
    order = cascade(model, x)
    places = sorted({round(place) for place in torch.linspace(0, len(order) - 1, min(steps, len(order))).tolist()})

    def maps_of(network: nn.Module, made: int) -> Tensor:
        part = part_of(progress, made, len(places) + 1)
        maps = _compared(method(network, x, objective, seed=seed, progress=part, **common), size)
        part(1, 1)
        return maps

    given, found = maps_of(model, 0), list[Step]()
    for place, (name, random) in enumerate(_becoming_random(model, order, seed=seed)):
        if place in places:
            found.append(_step(name, given, maps_of(random, len(found) + 1)))
    return Sanity(steps=tuple(found))


def cascade(model: nn.Module, x: Tensor) -> list[str]:
    """Return the paths of the modules with weights of their own, the head first: against the order in which they run.

    `x` is (N, C, H, W) float. A module that is never called, as the parametrisation of a weight, goes with the nearest
    one around it that is.
    """
    ended = {call.path: place for place, call in enumerate(calls_of(model, x[:1]))}

    def place(name: str) -> int:
        while name not in ended and name:
            name = name.rpartition(".")[0]
        return ended.get(name, len(ended))

    weighed = [name for name, module in model.named_modules() if [*module.parameters(recurse=False)]]
    return sorted(weighed, key=place, reverse=True)


def _becoming_random(model: nn.Module, order: list[str], *, seed: int) -> Iterator[tuple[str, nn.Module]]:
    """Yield the path of each module in turn, and a copy of the network with it and all before it randomised."""
    random, draw = copied(model), generator(seed)
    modules: Mapping[str, nn.Module] = dict(random.named_modules())
    for name in order:
        randomise(modules[name], draw)
        yield name, random


@torch.no_grad()
def randomise(module: nn.Module, draw: torch.Generator) -> None:
    """Replace the weights, of any shape and float dtype, that a module itself holds, and the statistics of batch norm.

    Matrices and kernels are drawn from a normal distribution with the root mean square of their values; vectors are
    shuffled, all of a module in the same way where they are equally long: a mean stays with its variance.
    """
    statistics = module.buffers(recurse=False) if isinstance(module, nn.modules.batchnorm._NormBase) else ()
    orders = dict[int, Tensor]()
    for tensor in (*module.parameters(recurse=False), *statistics):
        if tensor.ndim > 1:
            size = wide(tensor).square().mean().sqrt()
            tensor.copy_(torch.randn(tensor.shape, generator=draw).to(size) * size)
        elif tensor.ndim == 1:
            order = orders.setdefault(len(tensor), torch.randperm(len(tensor), generator=draw))
            tensor.copy_(tensor[order.to(tensor.device)].clone())


def _compared(found: Attribution, size: tuple[int, int]) -> Tensor:
    """Return the absolute values of maps at the size of the input, a map that is not finite as zeros: (N, H, W)."""
    maps = found.at(size).abs()
    whole = maps.isfinite().all(2).all(1)[:, None, None]
    return torch.where(whole, maps, 0.0)


def _step(name: str, given: Tensor, maps: Tensor) -> Step:
    pairs = [*zip(given.numpy(), maps.numpy(), strict=True)]
    return Step(
        layer=name,
        correlation=fmean(rank_correlation(a, b) for a, b in pairs),
        similarity=fmean(structural_similarity(a, b) for a, b in pairs),
    )
