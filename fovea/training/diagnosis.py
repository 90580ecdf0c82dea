"""What happens inside a network while it trains, seen on copies of it, so that the training itself does not notice.

Percentiles of a layer's inputs as in Ioffe and Szegedy 2015, arXiv:1502.03167, figure 1(b, c); the norm of each layer's
gradient, which shows whether it vanishes or explodes on its way to the first layer.

Images are (N, C, H, W) float32, normalised; labels (N,) int64 indices or float32 numbers.
"""

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fovea.errors import unknown
from fovea.fields import is_number, is_whole
from fovea.hooks import watch
from fovea.layers import copied
from fovea.training.engine import Trainer
from fovea.training.inference import as_evaluated, labels_as_evaluated, spread
from fovea.training.losses import Loss
from fovea.training.own_rule import Learner

IMAGES, FEWEST_IMAGES = 32, 2
"""Training images that every look is taken at."""
MOST_INPUTS = 1 << 20
"""Of large inputs fewer images are looked at, so that they hold no more numbers: all pass back at once, in float32."""
MOST, FEWEST = 30, 8
"""Looks per training, after the one before its first step."""
SHARE, MOST_SHARE = 0.02, 0.1
"""Looks take no more than the first share of the training; under a budget `FEWEST` of them are taken while they take no
more than the second."""
PERCENTILES = (15, 50, 85)
MOST_VALUES = 1_000_000
"""Percentiles of more are taken over evenly spaced ones."""


@dataclass(frozen=True)
class Look:
    """What was seen after `step` steps."""

    step: int
    epoch: float
    progress: float
    lr: float
    percentiles: tuple[float, ...]
    """`PERCENTILES` of all inputs of the watched layer."""
    gradients: Mapping[str, float | None]
    """Euclidean norm of the loss's gradient by each layer's weights, in the network's order; None for infinity."""


def watched_layer(model: nn.Module, wanted: str | None = None) -> str:
    """Return the layer to watch: `wanted`, or the middle activation, or the middle layer with weights.

    Raises:
        UsageError: the network has no layer `wanted`.
    """
    modules = dict(model.named_modules())
    if wanted is not None:
        if wanted not in modules:
            raise unknown("layer", wanted, filter(None, modules))
        return wanted
    activations = [name for name, module in modules.items() if type(module).__module__ == nn.ReLU.__module__]
    weighted = [name for name, module in modules.items() if isinstance(getattr(module, "weight", None), Tensor)]
    candidates: list[str] = activations or weighted or [""]
    return candidates[len(candidates) // 2]


def look_inside(
    model: nn.Module, images: Tensor, labels: Tensor, *, loss: Loss, layer: str, progress: float = 0.0
) -> tuple[tuple[float, ...], dict[str, float | None]]:
    """Return the percentiles of `layer`'s inputs and the norm of every layer's gradient, in training mode.

    `images` (N, C, H, W) are normalised. A network with a rule of its own learns by it at `progress`.
    Neither `model` nor any random stream changes.
    """
    trial = copied(model).train()
    trial.zero_grad()
    seen: list[Tensor] = []

    def enter(path: str, module: nn.Module, inputs: list[Tensor]) -> None:
        if path == layer:
            seen[:] = [inputs[0].detach().clone()]  # an activation may work in place

    devices = [images.device] if images.device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.enable_grad(), watch(trial, enter=enter, leave=lambda *_: None):
        torch.manual_seed(0)
        if isinstance(trial, Learner):
            cost, _ = trial.learn(images, labels, loss=loss, progress=progress)
        else:
            cost = loss(trial(images), labels)
        if cost.requires_grad:
            cost.backward()  # type: ignore[no-untyped-call]
    values = seen[0].flatten().float().cpu().numpy()
    percentiles = np.percentile(values[:: math.ceil(values.size / MOST_VALUES)], PERCENTILES)
    norms = {
        name.removesuffix(".weight"): parameter.grad.norm().item()
        for name, parameter in trial.named_parameters()
        if parameter.ndim > 1 and parameter.grad is not None
    }
    return tuple(percentiles.tolist()), {k: v if math.isfinite(v) else None for k, v in norms.items()}


@dataclass
class Diagnosis:
    """The looks into one training, taken when they are due."""

    trainer: Trainer
    layer: str
    """Whose inputs are watched."""
    looks: list[Look] = field(default_factory=list)
    spent_s: float = 0.0
    """Seconds that all looks have taken."""
    last_s: float = 0.0
    """Seconds that the last one took."""

    @property
    def count(self) -> int:
        """How many images every look is taken at."""
        return max(FEWEST_IMAGES, min(IMAGES, MOST_INPUTS // math.prod(self.trainer.preprocess.shape)))

    @cached_property
    def batch(self) -> tuple[Tensor, Tensor]:
        """The images (N, C, H, W) that every look is taken at, spread over the train split, and their labels."""
        trainer, part = self.trainer, self.trainer.train_part
        chosen = spread(part, self.count)
        images = as_evaluated(part, trainer.preprocess, trainer.device, rows=chosen, batch=self.count)
        labels = labels_as_evaluated(part, trainer.labels, trainer.target, trainer.preprocess, rows=chosen)
        return next(images), labels.to(trainer.device)

    @cached_property
    def wanted(self) -> int:
        """How many looks the training is worth, after the one before its first step."""
        recipe = self.trainer.recipe
        affordable = SHARE * recipe.epochs * len(self.trainer.train_part) / self.count
        return MOST if recipe.budget_s else max(FEWEST, min(MOST, round(affordable)))

    @property
    def due(self) -> bool:
        """Whether the training has come to the place of the next look."""
        trainer = self.trainer
        if not self.looks:
            return True
        budget_s, wanted = trainer.recipe.budget_s, self.wanted
        if budget_s and self.spent_s > SHARE * trainer.clock.elapsed_s:
            if FEWEST * self.last_s > MOST_SHARE * budget_s:
                return False
            wanted = FEWEST
        return math.floor(trainer.progress * wanted) > math.floor(self.looks[-1].progress * wanted)

    def look(self) -> Look:
        """Take a look, keep it and return it."""
        began, trainer, clock = time.monotonic(), self.trainer, self.trainer.clock
        seen = look_inside(trainer.model, *self.batch, loss=trainer.loss, layer=self.layer, progress=trainer.progress)
        of = len(trainer.train_part)
        epoch = clock.epoch + clock.seen / of if clock.changed_at else clock.total_steps / trainer.steps_per_epoch
        self.looks.append(Look(clock.total_steps, epoch, trainer.progress, trainer.lr, *seen))
        self.last_s = time.monotonic() - began
        self.spent_s += self.last_s
        return self.looks[-1]


def restored(lines: Iterable[Mapping[str, Any]]) -> list[Look]:
    """Return the looks that `dataclasses.asdict` has turned into JSON objects; what is none of them is passed over."""
    return [Look(**{**line, "percentiles": tuple(line["percentiles"])}) for line in lines if _is_look(line)]


def _is_look(line: Mapping[str, Any]) -> bool:
    if line.keys() != {field.name for field in fields(Look)} or not is_whole(line["step"]):
        return False
    percentiles, gradients = line["percentiles"], line["gradients"]
    if not isinstance(percentiles, list) or len(percentiles) != len(PERCENTILES) or not isinstance(gradients, dict):
        return False
    numbers = [line["epoch"], line["progress"], line["lr"], *percentiles]
    norms = [norm for norm in gradients.values() if norm is not None]
    return all(map(is_number, [*numbers, *norms])) and 0 <= line["progress"] <= 1 and min(norms, default=0) >= 0
