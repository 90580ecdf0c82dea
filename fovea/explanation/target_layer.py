"""The layer whose map is explained where none is named: the last spatial activation before pooling or flattening.

Inputs are (N, C, H, W) float, normalised.
"""

import re

import torch
from torch import Tensor, nn

from fovea.errors import UsageError, unknown
from fovea.explanation.outputs import evaluating
from fovea.hooks import watch

PASSED_OVER = (
    *(nn.MaxPool2d, nn.AvgPool2d, nn.LPPool2d, nn.FractionalMaxPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d),
    *(nn.MaxPool1d, nn.AvgPool1d, nn.LPPool1d, nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d),
    *(nn.MaxPool3d, nn.AvgPool3d, nn.LPPool3d, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool3d),
    *(nn.modules.dropout._DropoutNd, nn.Identity),
)
"""Modules whose output is not taken, but what enters them."""


STAGE = re.compile(r"stage(\d+)")
"""The names of the parts of a network, the last before its head."""


class Call:
    """One call of a module: what entered it and what left it."""

    def __init__(self, path: str, module: nn.Module, given: list[Tensor]) -> None:
        self.path, self.module, self.given = path, module, given
        self.result: Tensor | None = None


def target_layer(model: nn.Module, x: Tensor) -> str:
    """Return the path of the module that gives the last spatial activation for inputs `x` (N, C, H, W).

    That is the last feature map of more than one place, followed back through pooling and dropout. Of nested modules
    that give the same map it is the outermost, whose output is the whole of a stage. Where every map is 1 x 1 the last
    is taken. Of networks whose answers are maps themselves it is the last stage before the head, or else the last of
    the coarsest maps: the bottleneck, as Vinogradova, Dibrov and Myers 2020 have it (arXiv:2002.11434).

    Raises:
        UsageError: no module gives a map.
    """
    calls = calls_of(model, x[:1])
    maps = [call for call in calls if call.path and call.result is not None and call.result.ndim == x.ndim]
    spatial = [call for call in maps if call.result is not None and call.result.shape[2:].numel() > 1]
    if not (candidates := spatial or maps):
        raise UsageError("No layer of this network has a feature map (N, C, h, w) that could be shown over an image.")
    if is_dense(calls):
        return max(reversed(candidates), key=_depth).path
    last = candidates[-1].result
    # what a passed-over module gave may have entered another one
    for call in reversed(calls):
        if call.result is last and isinstance(call.module, PASSED_OVER) and call.given:
            last = call.given[0]
    givers = [call.path for call in candidates if call.result is last and not isinstance(call.module, PASSED_OVER)]
    # reversed: what works in place gives the very tensor that entered it, and comes after what made it
    return min(reversed(givers), key=lambda path: path.count("."), default=candidates[-1].path)


def is_dense(calls: list[Call]) -> bool:
    """Return whether a network answers (N, K, ...), for places, and not (N, K): of its calls, the last is its own."""
    return bool(calls) and calls[-1].result is not None and calls[-1].result.ndim > 2


def _depth(call: Call) -> tuple[int, int, int]:
    """Return what is larger the nearer a call is to the bottleneck: its stage, then how coarse, then how far out."""
    stage = STAGE.fullmatch(call.path)
    places = 0 if call.result is None else call.result.shape[2:].numel()
    return int(stage[1]) if stage else 0, -places, -call.path.count(".")


def check_map(model: nn.Module, x: Tensor, layer: str) -> None:
    """Raise UsageError if `layer` is not there, does not run, or gives no map for inputs `x` (N, C, H, W) float."""
    if layer not in (modules := dict(model.named_modules())):
        raise unknown("layer", layer, filter(None, modules))
    results = [call.result for call in calls_of(model, x[:1]) if call.path == layer]
    if not results:
        raise UsageError(f"The layer `{layer}` did not run; `fovea measure` lists the layers that run.")
    last = results[-1]
    if last is None or last.ndim != x.ndim:
        given = "nothing" if last is None else str(tuple(last.shape))
        raise UsageError(
            f"The output of `{layer}` is {given}, not a feature map (N, C, h, w); the output of "
            f"`{target_layer(model, x)}` is one."
        )


def calls_of(model: nn.Module, x: Tensor) -> list[Call]:
    """Return every call of a module while `x` (N, C, H, W) passes through the network, in the order they end.

    The network is in evaluation mode meanwhile.
    """
    begun, ended = list[Call](), list[Call]()

    def enter(path: str, module: nn.Module, given: list[Tensor]) -> None:
        begun.append(Call(path, module, given))

    def leave(_: str, __: nn.Module, results: list[Tensor]) -> None:
        call = begun.pop()
        call.result = results[0] if results else None
        ended.append(call)

    with evaluating(model), torch.no_grad(), watch(model, enter=enter, leave=leave):
        model(x.clone())  # a network may begin in place
    return ended
