"""What the layers of a network give for an input, and the gradient there, with the network left as it was.

Inputs are (N, C, H, W) float, normalised. Where a module runs several times its last output counts. The layer called
`""` is the network itself.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from fovea.errors import UsageError
from fovea.explanation.objective import Objective
from fovea.hooks import changed, tensors_in


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Set evaluation mode; after it every module is in the mode it was in."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def matching(model: nn.Module, x: Tensor) -> Tensor:
    """Return inputs (N, C, H, W) on the device and in the float type of the network's parameters."""
    place = next((p for p in model.parameters() if p.dtype.is_floating_point), x)
    return x.to(place.device, place.dtype)


class _AllSeen(Exception):
    """Ends a forward pass of which no more is wanted."""


class LayerOutputs:
    """The outputs of layers as a function of the input: what follows the last of them does not run.

    (N, C, H, W) float -> by name of the layer, of any shape and dtype, with their graph where gradients are enabled
    """

    def __init__(self, model: nn.Module, layers: Iterable[str], x: Tensor) -> None:
        """Count how often each layer runs, in a pass of one input of `x` (N, C, H, W).

        Raises:
            UsageError: the network has no such layer, or it does not run.
        """
        self.model, self.layers = model, tuple(layers)
        self.calls: Mapping[str, int] = {}
        seen = Counter[str]()
        with torch.no_grad(), self._taps(lambda layer, _: seen.update([layer])):
            model(matching(model, x[:1]).clone())  # a first layer may work in place
        for layer in self.layers:
            if not seen[layer]:
                raise UsageError(f"The layer `{layer}` did not run; `fovea measure` lists the layers that run.")
        self.calls = dict(seen)

    def __call__(self, x: Tensor) -> dict[str, Tensor]:
        """Return what each layer gives for `x` (N, C, H, W), moved to the network's device and float type."""
        found, left = dict[str, Tensor](), Counter(self.calls)

        def keep(layer: str, output: Tensor) -> None:
            found[layer] = output
            left[layer] -= 1
            if not any(left.values()):
                raise _AllSeen

        with self._taps(keep):
            try:
                self.model(matching(self.model, x).clone())
            except _AllSeen:
                pass
        return found

    @contextmanager
    def _taps(self, keep: Callable[[str, Tensor], None]) -> Iterator[None]:
        with ExitStack() as hooks:
            hooks.enter_context(evaluating(self.model))
            for layer in dict.fromkeys(self.layers):
                hooks.enter_context(changed(self.model, layer, partial(_tapped, layer, keep)))
            yield


def _tapped(layer: str, keep: Callable[[str, Tensor], None], output: Tensor) -> Tensor:
    keep(layer, tensors_in(output)[0])
    # a layer behind that works in place must not change what is kept
    return output.clone() if isinstance(output, Tensor) else output


def outputs_in_batches(
    model: nn.Module, batches: Iterable[Tensor], layers: Iterable[str]
) -> Iterator[tuple[Tensor, ...]]:
    """Yield for each batch (n, C, H, W) what the `layers` give: on the network's device, of any shape, float."""
    outputs: LayerOutputs | None = None
    for x in batches:
        outputs = outputs or LayerOutputs(model, layers, x)
        # the grad mode of a generator would otherwise be its caller's
        with torch.no_grad():
            found = outputs(x)
        yield tuple(found[layer] for layer in outputs.layers)


def in_batches(x: Tensor, batch: int) -> Iterator[Tensor]:
    """Yield `x` (N, C, H, W), of any dtype, `batch` rows at a time."""
    if batch < 1:
        raise UsageError(f"`batch` (={batch}) must be at least 1.")
    yield from (x[first : first + batch] for first in range(0, len(x), batch))


def gradient_at(model: nn.Module, x: Tensor, objective: Objective, layer: str) -> Tensor:
    """Return the derivative of the objective by the output of `layer` for inputs `x` (N, C, H, W): its shape, float.

    Nothing before the layer is differentiated.

    Raises:
        UsageError: the network has no such layer, or it does not run, or the answer does not depend on it.
    """
    leaves: list[Tensor] = []

    def begin(output: Tensor) -> Tensor:
        torch.set_grad_enabled(True)
        leaves.append(output.detach().requires_grad_())
        return leaves[-1].clone()

    with evaluating(model), torch.no_grad(), changed(model, layer, begin):
        outputs = model(matching(model, x).clone())
        if not leaves:
            raise UsageError(f"The layer `{layer}` did not run; `fovea measure` lists the layers that run.")
        with torch.enable_grad():
            value = objective(outputs).sum()
    if not value.requires_grad:
        raise UsageError(f"The answer does not depend on the layer `{layer}`.")
    return torch.autograd.grad(value, leaves[-1])[0]
