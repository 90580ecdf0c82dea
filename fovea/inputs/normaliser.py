"""From stored samples to the input of a network, in PyTorch: the same numbers as `Preprocessing.normalise`."""

import numpy as np
import torch
from torch import Tensor

from fovea.inputs.interface import Stored
from fovea.preprocess import Pixels, Preprocess


class Normaliser:
    """Turns pixels 0..255 into normalised float32, on the device.

    (N, C, H, W) uint8 or float -> (N, C, H, W) float32 channels-last, (pixel / 255 - mean) / std per channel.
    """

    def __init__(self, preprocess: Preprocess, device: torch.device) -> None:
        std = torch.tensor(preprocess.std, device=device).view(1, -1, 1, 1)
        mean = torch.tensor(preprocess.mean, device=device).view(1, -1, 1, 1)
        self.device = device
        self.scale = 1 / (255 * std)
        self.shift = -mean / std
        self._rows: dict[int, tuple[Tensor, Tensor]] = {}

    def arranged(self, samples: Pixels) -> Tensor:
        """Return pixels (N, H, W, C) as a uint8 tensor (N, C, H, W) on the device, channels-last."""
        return torch.from_numpy(samples).permute(0, 3, 1, 2).to(self.device, non_blocking=True)

    def __call__(self, samples: Tensor) -> Tensor:
        """Return the normalised images; gradients pass to float pixels."""
        images = samples.to(torch.float32, memory_format=torch.channels_last, copy=True)
        scale, shift = self._along_rows(images.shape[3])
        return images.mul_(scale).add_(shift)

    def _along_rows(self, W: int) -> tuple[Tensor, Tensor]:
        """Return scale and shift (1, C, 1, W): a whole row of memory lets the multiplication be vectorised."""
        if W not in self._rows:
            scale, shift = (
                values.expand(-1, -1, -1, W).contiguous(memory_format=torch.channels_last)
                for values in (self.scale, self.shift)
            )
            self._rows[W] = scale, shift
        return self._rows[W]

    def undo(self, inputs: Tensor) -> Tensor:
        """Return normalised images as uint8 pixels 0..255."""
        return ((inputs - self.shift) / self.scale).round().clamp(0, 255).to(torch.uint8)


class Standardiser:
    """Turns stored numbers, channels last, into standardised float32, channels first, on the device.

    (N, ..., C) -> (N, C, ...) float32, (x - mean) / std per channel, along `dimensions` axes.
    """

    def __init__(
        self, mean: tuple[float, ...], std: tuple[float, ...], device: torch.device, *, dimensions: int
    ) -> None:
        shape = (1, -1, *(1,) * dimensions)
        self.device = device
        self.mean = torch.tensor(mean, device=device).view(shape)
        self.std = torch.tensor(std, device=device).view(shape)

    def arranged(self, samples: Stored) -> Tensor:
        """Return stored numbers (N, ..., C) as a tensor (N, C, ...) of their type, on the device."""
        return torch.from_numpy(np.array(samples)).movedim(-1, 1).contiguous().to(self.device, non_blocking=True)

    def __call__(self, samples: Tensor) -> Tensor:
        """Return the standardised samples; gradients pass to float ones."""
        return (samples.to(torch.float32) - self.mean) / self.std

    def undo(self, inputs: Tensor) -> Tensor:
        """Return standardised samples as they were arranged, float32."""
        return inputs * self.std + self.mean
