"""A network's outputs on decoded samples.

Stored images are (N, H, W, C) uint8 0..255, outputs (N, K) float32.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import Tensor, nn

from fovea import inputs
from fovea.data.dataset import Images, Part
from fovea.inputs.interface import Preprocessing
from fovea.inputs.views import PLAIN, Protocol
from fovea.tasks.task import Task
from fovea.training.losses import main_head

Progress = Callable[[int, int], None]
Keep = Callable[[Tensor, int], Tensor]
"""Outputs (n, K, ...) of a batch and the index of its first image -> what is kept of them, (n, ...)."""


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return the context in which matrix products run in bfloat16, or none for `float32`."""
    if precision != "bfloat16":
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


MOST_VALUES = 64 * 3 * 224 * 224
"""Of inputs that pass through a network at once: maps of early layers hold many times as many."""


@torch.inference_mode()
def predict_logits(
    model: nn.Module,
    pixels: Images,
    preprocess: Preprocessing,
    *,
    device: torch.device | str = "cpu",
    batch: int = 256,
    protocol: Protocol = PLAIN,
    precision: str = "float32",
    progress: Progress | None = None,
    keep: Keep = lambda outputs, _: outputs,
    unmirrored: Callable[[Tensor], Tensor] = lambda outputs: outputs,
) -> Tensor:
    """Return float32 outputs (N, K) on the CPU for `pixels` (N, h, w, C) uint8; the model is left in eval mode.

    They are the mean over the views that `protocol` cuts from each image, decoded as by its `geometry`; of each batch
    what `keep` makes of them. `unmirrored` makes outputs of mirror images those of the images. Of large images fewer
    than `batch` pass at once.
    """
    device = torch.device(device)
    batch = max(1, min(batch, MOST_VALUES // math.prod(preprocess.shape)))
    kind = inputs.kind_of(preprocess)
    prepare = kind.network_input(preprocess, device)
    model.eval()
    outputs = []
    for start in range(0, len(pixels), batch):
        images = prepare.arranged(np.array(pixels[start : start + batch]))
        with autocast(device, precision):
            views = [main_head(model(prepare(view))).float() for view in kind.cut(images, preprocess, protocol)]
        if protocol.mirrored:
            views[1::2] = map(unmirrored, views[1::2])
        outputs.append(keep(torch.stack(views).mean(0).cpu(), start))
        if progress:
            progress(min(start + batch, len(pixels)), len(pixels))
    return torch.cat(outputs)


def part_labels(part: Part) -> Tensor:
    """Return the labels of a split as an int64 or float32 tensor (N,), or uint8 masks (N, H, W) that stay in a file.

    Such a tensor is only read.
    """
    mapped = isinstance(part.labels, np.memmap) and part.labels.flags.writeable
    return torch.from_numpy(part.labels if mapped else np.array(part.labels))


def as_evaluated(
    part: Part, preprocess: Preprocessing, device: torch.device, *, rows: np.ndarray | range, batch: int
) -> Iterator[Tensor]:
    """Yield the samples at `rows` of a split as networks are evaluated on them: (n, *shape) float32 on the device.

    They may be stored larger than the input.
    """
    prepare = inputs.kind_of(preprocess).network_input(preprocess, device)
    for first in range(0, len(rows), batch):
        stored = np.stack([preprocess.fit_stored(part.decoded[row]) for row in rows[first : first + batch]])
        yield prepare(prepare.arranged(stored))


def labels_as_evaluated(
    part: Part, labels: Tensor, target: Task, preprocess: Preprocessing, *, rows: np.ndarray | range
) -> Tensor:
    """Return the labels (n, ...) at `rows` of a split as they lie on what `as_evaluated` yields."""
    chosen = labels[torch.as_tensor(np.asarray(rows))]
    if not target.lies_on_image:
        return chosen
    H, W = part.decoded.shape[1:3]
    laid = target.laid(chosen.numpy(), [(H, W)] * len(chosen), preprocess)  # type: ignore[arg-type]
    return torch.from_numpy(np.ascontiguousarray(laid))


def spread(part: Part, count: int) -> np.ndarray:
    """Return the indices of `count` samples spread evenly over a split, or of all where it has fewer."""
    return np.linspace(0, len(part) - 1, min(count, len(part))).astype(int)
