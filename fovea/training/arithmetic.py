"""What a training computes: every multiply-add of forward and backward passes and of Muon, two operations each.

A convolution or dense layer takes 2 operations per multiply-add forward, 2 for the gradient of its weights where they
learn, and 2 for that of its inputs where something before it learns. What elements take one by one, as normalising and
augmenting, is not counted.
"""

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from fovea.layers import copied
from fovea.training.optim import Muon, orthogonalising_macs

IMAGES = 2


class Arithmetic:
    """Counts the operations of steps of `model` on samples of `shape` (C, H, W), by the optimisers that it has."""

    def __init__(self, model: nn.Module, optimisers: list[torch.optim.Optimizer], shape: tuple[int, ...]) -> None:
        self.model, self.shape = model, shape
        muons = (optimiser for optimiser in optimisers if isinstance(optimiser, Muon))
        weights = [p for muon in muons for group in muon.param_groups for p in group["params"]]
        self.of_update = 2 * sum(orthogonalising_macs(len(weight), weight[0].numel()) for weight in weights)
        self._of_image: dict[int, float] = {}

    def of_step(self, images: int, *, pixels: int = 0) -> float:
        """Return the operations of one step of so many images, of `pixels` height and width where not 0."""
        if pixels not in self._of_image:
            self._of_image[pixels] = self._counted(pixels)
        return images * self._of_image[pixels] + self.of_update

    def _counted(self, pixels: int) -> float:
        model = copied(self.model).eval()
        device = next(model.parameters()).device
        shape = (*self.shape[:-2], pixels, pixels) if pixels else self.shape
        with torch.random.fork_rng([]), FlopCounterMode(display=False) as counter, torch.enable_grad():
            outputs = model(torch.zeros(IMAGES, *shape, device=device))
            total = sum(part.float().sum() for part in _tensors(outputs))
            if isinstance(total, Tensor) and total.requires_grad:
                total.backward()  # type: ignore[no-untyped-call]
        return float(counter.get_total_flops()) / IMAGES


def _tensors(outputs: Tensor | tuple[Tensor, ...] | list[Tensor]) -> list[Tensor]:
    return [outputs] if isinstance(outputs, Tensor) else list(outputs)
