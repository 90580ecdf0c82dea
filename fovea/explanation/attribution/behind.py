"""The part of a network that follows a layer, as a function of what the layer gives.

Inputs are (N, C, H, W) float, normalised; a map is (N, K, h, w) in the network's type.
"""

from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from fovea.errors import ShapeError, UsageError
from fovea.explanation.passes import wide
from fovea.hooks import changed


class Behind:
    """What follows the last output of `layer` for one image: maps (n, K, h, w) -> outputs, n rows.

    What stands before the layer sees one image however many maps there are; its output is replaced by all of them. A
    network in which a way leads around the layer to a concatenation, or that remembers the size of the batch, cannot
    take that: it is tried once, and where it fails or gives other outputs all of the network sees n images.
    """

    def __init__(self, model: nn.Module, x: Tensor, layer: str) -> None:
        if len(x) != 1:
            raise ShapeError(f"`x` must contain one image; it contains {len(x)}.")
        self.model, self.x, self.layer = model, x, layer
        self._calls, self.maps, self.outputs = self._recorded()
        if self.maps.ndim != 4:
            raise ShapeError(f"The output of `{layer}` is {tuple(self.maps.shape)}, not a feature map (N, C, h, w).")

    @torch.no_grad()
    def __call__(self, maps: Tensor) -> Any:
        """Return the outputs for these maps, (n, K, h, w)."""
        return self._run(maps, self.one_image)

    @torch.no_grad()
    def _recorded(self) -> tuple[int, Tensor, Any]:
        """Return how often the layer runs, its last output and the network's, for the image as it is."""
        seen: list[Tensor] = []

        def keep(output: Tensor) -> Tensor:
            seen[:] = [*([output] * len(seen)), output.clone()]  # a layer behind may work in place
            return output

        with changed(self.model, self.layer, keep):
            outputs = self.model(self.x.clone())  # a network may begin in place
        if not seen:
            raise UsageError(f"The layer `{self.layer}` did not run; `fovea measure` lists the layers that run.")
        return len(seen), seen[-1], outputs

    def _run(self, maps: Tensor, one_image: bool) -> Any:
        calls = 0

        def replaced(output: Tensor) -> Tensor:
            nonlocal calls
            calls += 1
            return maps.clone() if calls == self._calls else output

        x = self.x.repeat(1 if one_image else len(maps), 1, 1, 1)
        with changed(self.model, self.layer, replaced):
            return self.model(x)

    @cached_property
    @torch.no_grad()
    def one_image(self) -> bool:
        """Return whether three maps behind one image give what three images with these maps do."""
        maps = torch.cat([self.maps, torch.zeros_like(self.maps), self.maps / 2])
        expected = wide(self._run(maps, False))
        try:
            found = wide(self._run(maps, True))
        except RuntimeError:
            return False
        few_bits = self.maps.dtype not in (torch.float32, torch.float64)
        close = 0.05 if few_bits else 1e-4
        span = float(expected.abs().amax())
        return found.shape == expected.shape and bool(((found - expected).abs() <= close * span).all())
