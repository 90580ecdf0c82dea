"""Unsupervised layer-wise pre-training: every layer first learns to reproduce what it gets, without any labels.

Greedy, from the bottom (Hinton et al. 2006; Bengio et al. 2007, "Greedy layer-wise training of deep networks"), by
denoising autoencoders (Vincent et al. 2008), in convolutional layers after Masci et al. 2011. Departures: the decoder
has weights of its own, and convolves maps enlarged to the size of the input where the encoder has a stride.

Inputs of a layer are (N, C) or (N, C, H, W) float32.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.errors import UsageError
from fovea.hooks import capture
from fovea.training.growth import accompanies
from fovea.training.initialisation import Layer

MASKED = 0.2
"""Share of a layer's inputs that it does not see, drawn anew at each step."""
LR = 1e-3
"""Rate of Adam."""


class Learned(NamedTuple):
    """What a layer has learned; errors are shares of the variance of its inputs, means over an epoch."""

    layer: str
    first: float
    last: float


def pretrain(
    model: nn.Module,
    batches: Callable[[int], Iterable[Tensor]],
    *,
    epochs: int,
    generator: torch.Generator,
    done: Callable[[Learned], None],
) -> None:
    """Train each convolution and dense layer of `model` but the last as an autoencoder, one after the other.

    `batches(epoch)` gives the images (N, C, H, W) as the network gets them, on its device; there are no labels. A layer
    learns together with the norm and the activation that follow it in its chain, from what the network below, which
    stays as it is, makes of the images. Layers with frozen weights, and those that no image reaches in evaluation, are
    left out. `done` hears of every layer; the network is left in evaluation mode.

    Raises:
        UsageError: the network has one layer only.
    """
    model.eval()
    paths = hidden_layers(model)
    if not paths:
        raise UsageError("`pretrain` needs a network with a layer below the last; this one has none.")
    for path in paths:
        errors = _trained(model, path, (batches(epoch) for epoch in range(epochs)), generator)
        if errors:
            done(Learned(path, errors[0], errors[-1]))


def hidden_layers(model: nn.Module) -> list[str]:
    """Return the paths of the layers that can be pre-trained, in order."""
    layers = {path: module for path, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)}
    logits = "head.logits" if "head.logits" in layers else next(reversed(layers), "")
    return [path for path, layer in layers.items() if path != logits and layer.weight.requires_grad]


def _trained(
    model: nn.Module, path: str, epochs: Iterable[Iterable[Tensor]], generator: torch.Generator
) -> list[float]:
    """Train one layer, and return the mean error of each epoch; none where its inputs are not those of its kind."""
    layer, coder, means = model.get_submodule(path), None, []
    with capture(model, [path], inputs=True) as entering:
        for batches in epochs:
            errors = []
            for images in batches:
                with torch.no_grad():
                    model(images)
                x = entering.get(path)
                if x is None or x.ndim != layer.weight.ndim:
                    return []
                coder = coder or Autoencoder(_encoder(model, path), x, generator)
                errors.append(coder.step(x))
            means.append(sum(errors) / len(errors))
    return means


def _encoder(model: nn.Module, path: str) -> nn.Sequential:
    """Return the layer, and the norm and activation after it in the same chain, whatever pooling lies between."""
    parent, _, name = path.rpartition(".")
    chain = model.get_submodule(parent)
    parts = [chain.get_submodule(name)]
    if isinstance(chain, nn.Sequential):
        names = [own for own, _ in chain.named_children()]
        for part in (chain.get_submodule(own) for own in names[names.index(name) + 1 :]):
            if any(isinstance(module, Layer) for module in part.modules()):
                break
            parts += [part] if accompanies(part) else []
    return nn.Sequential(*parts)


class Autoencoder:
    """A layer in training to reproduce its inputs, with a decoder of one layer of the same kind, thrown away later."""

    def __init__(self, encoder: nn.Sequential, x: Tensor, generator: torch.Generator) -> None:
        self.encoder, self.generator = encoder, generator
        weight = next(encoder.parameters())
        kernel = (k // 2 * 2 + 1 for k in weight.shape[2:])
        shape = torch.Size((x.shape[1], weight.shape[0], *kernel))
        drawn = torch.empty(shape).normal_(0.0, shape[1:].numel() ** -0.5, generator=generator)
        self.weight = drawn.to(x.device).requires_grad_()
        self.bias = torch.zeros(shape[0], device=x.device, requires_grad=True)
        self.optimiser = torch.optim.Adam([*encoder.parameters(), self.weight, self.bias], lr=LR)

    def step(self, x: Tensor) -> float:
        """Learn from inputs `x` (N, C) or (N, C, H, W), and return the share of their variance that was not found."""
        seen = torch.rand(x.shape, generator=self.generator) >= MASKED
        self.encoder.train()
        found = self.decoded(self.encoder(x * seen.to(x.device)), x.shape[2:])
        self.encoder.eval()
        error = F.mse_loss(found, x) / x.var(correction=0).clamp(min=1e-6)
        error.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.optimiser.zero_grad()
        return error.item()

    def decoded(self, hidden: Tensor, size: torch.Size) -> Tensor:
        """Return the inputs, of `size` (H, W) where they are maps, from what the layer gives out."""
        if not size:
            return F.linear(hidden, self.weight, self.bias)
        return F.conv2d(F.interpolate(hidden, size), self.weight, self.bias, padding="same")
