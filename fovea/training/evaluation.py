"""A trained network's outputs on decoded images, and the score of a part."""

import contextlib
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from fovea.data.dataset import Images, Part
from fovea.preprocess import Preprocess
from fovea.training.losses import Loss, chosen_classes, main_head
from fovea.training.views import Protocol

Progress = Callable[[int, int], None]
PLAIN = Protocol()


@dataclass(frozen=True)
class Score:
    """The result on one part: mean loss, and accuracy for classes."""

    loss: float
    accuracy: float | None

    def better_than(self, other: "Score | None") -> bool:
        """Return whether this is the better result: higher accuracy, then lower loss; never with a loss of NaN."""
        if math.isnan(self.loss) or other is None or math.isnan(other.loss):
            return not math.isnan(self.loss)
        return (-(self.accuracy or 0.0), self.loss) < (-(other.accuracy or 0.0), other.loss)


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return the context in which matrix products run in bfloat16, or none for `float32`."""
    if precision != "bfloat16":
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


class Normaliser:
    """Turns a batch of uint8 or float pixels 0..255 into normalised float32, on the device.

    (N, C, H, W) -> (N, C, H, W) channels-last, (pixel / 255 - mean) / std per channel.
    """

    def __init__(self, preprocess: Preprocess, device: torch.device) -> None:
        std = torch.tensor(preprocess.std, device=device).view(1, -1, 1, 1)
        mean = torch.tensor(preprocess.mean, device=device).view(1, -1, 1, 1)
        self.scale = 1 / (255 * std)
        self.shift = -mean / std
        self._rows: dict[int, tuple[Tensor, Tensor]] = {}

    def __call__(self, images: Tensor) -> Tensor:
        """Return the normalised images."""
        images = images.to(torch.float32, memory_format=torch.channels_last, copy=True)
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

    def undo(self, images: Tensor) -> Tensor:
        """Return normalised images as uint8 pixels 0..255."""
        return ((images - self.shift) / self.scale).round().clamp(0, 255).to(torch.uint8)


@torch.inference_mode()
def predict_logits(
    model: nn.Module,
    pixels: Images,
    preprocess: Preprocess,
    *,
    device: torch.device | str = "cpu",
    batch: int = 256,
    protocol: Protocol = PLAIN,
    precision: str = "float32",
    progress: Progress | None = None,
) -> Tensor:
    """Return float32 outputs (N, K) on the CPU for `pixels` (N, h, w, C) uint8; the model is left in eval mode.

    They are the mean over the views that `protocol` cuts from each image, decoded as by its `geometry`.
    """
    device = torch.device(device)
    normalise = Normaliser(preprocess, device)
    model.eval()
    outputs = []
    for start in range(0, len(pixels), batch):
        images = torch.from_numpy(np.array(pixels[start : start + batch])).to(device).permute(0, 3, 1, 2)
        with autocast(device, precision):
            views = [main_head(model(normalise(view))).float() for view in protocol.cut(images, preprocess.size)]
        outputs.append(torch.stack(views).mean(0).cpu())
        if progress:
            progress(min(start + batch, len(pixels)), len(pixels))
    return torch.cat(outputs)


def score(outputs: Tensor, labels: Tensor, loss: Loss) -> Score:
    """Return the score of outputs (N, K) against labels (N,): class indices, or numbers on the network's scale."""
    accuracy = None
    if not labels.is_floating_point():
        accuracy = (chosen_classes(outputs) == labels).double().mean().item()
    return Score(loss(outputs, labels).item(), accuracy)


def part_labels(part: Part) -> Tensor:
    """Return the labels of a part as an int64 or float32 tensor (N,)."""
    return torch.from_numpy(np.array(part.labels))
