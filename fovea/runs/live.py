"""A training seen while it learns: published for those who watch, and at no cost where nobody does.

Who looks touches a small file in the run folder again and again, `watch_run` does it; its text says at which layers.
While that is fresh, the training writes one file, now and then, between the gradients of a step and its update: the
loss so far, the filters of the first layer, the maps of the layers on one sample that stays, their weights and
gradients, the ranges of all layers, and mistakes of the batch. Weights, statistics and random streams stay as they are.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import Tensor, nn

from fovea import inputs
from fovea.data.augment.mixing import MixedLabels
from fovea.errors import first_line
from fovea.hooks import watch
from fovea.model.first_layer import first_filters
from fovea.runs.folder import Run
from fovea.runs.steering import Steering
from fovea.storage import written_whole
from fovea.tasks.figures import Mistake
from fovea.training.engine import Batch, Trainer
from fovea.training.inference import as_evaluated
from fovea.training.losses import main_head

FRESH_S = 4.0
"""So long after it was touched the file of who looks still counts."""
LOOKED_S = 0.25
"""The file is looked at no more often than this."""
EVERY_S = 0.9
"""Between two publications there is this time on average, where steps are shorter."""
SHARE = 0.02
"""Publishing takes no more than this share of the training's time."""
MOST_LAYERS = 4
"""Whose maps are published at once."""
MOST_VALUES = 1 << 18
"""Of one array."""
MOST_RANGES = 400
"""Layers whose ranges are reported."""
MOST_MISTAKES = 8
MOST_LOSSES = 400
"""As many as a chart of them has pixels."""
MOST_BYTES = 64 << 20
"""Of a published file that is read."""
THUMBNAIL = 64
"""Pixels of the longer side of a mistake's image, at most about twice this."""
KEY = "fovea-live"

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Looked:
    """At what somebody looks."""

    layers: tuple[str, ...] = ()
    sample: int = 0
    """The number of an image of the validation split, or of the train split where there is none."""


@dataclass(frozen=True, kw_only=True)
class View:
    """What a training has published."""

    story: Mapping[str, Any]
    """JSON values: `step`, `epoch`, `losses`, `layers`, `mistakes`, ..."""
    arrays: Mapping[str, NDArray[Any]]
    """`filters`, `sample`, `maps.LAYER`, `weight.LAYER`, `gradient.LAYER`, `mistake.NUMBER`."""


def watch_run(run: Run, looked: Looked) -> None:
    """Say that somebody looks at the training of a run now. Raises: StorageError."""
    with written_whole(run.watched) as file:
        file.write_text(json.dumps({"layers": list(looked.layers[:MOST_LAYERS]), "sample": looked.sample}))


def read_watched(run: Run) -> Looked | None:
    """Return at what somebody looks; None where nobody does, or what is there cannot be read."""
    try:
        if time.time() - run.watched.stat().st_mtime > FRESH_S:
            return None
        with run.watched.open("rb") as file:
            values = json.loads(file.read(1 << 16))
        layers, sample = values["layers"], values["sample"]
        if not all(isinstance(layer, str) for layer in layers) or not 0 <= int(sample) < 1 << 31:
            return None
        return Looked(layers=tuple(layers[:MOST_LAYERS]), sample=int(sample))
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None


def read_view(run: Run) -> View | None:
    """Return what the training of a run published last; None where there is nothing that can be read."""
    try:
        if run.live.stat().st_size > MOST_BYTES:
            return None
        with safe_open(run.live, framework="numpy") as file:
            story = json.loads((file.metadata() or {})[KEY])
            return View(story=story, arrays={name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (OSError, ValueError, LookupError, SafetensorError, RecursionError):
        return None


@dataclass
class Losses:
    """The loss of every step, or of several together where there were many."""

    points: list[tuple[int, float]] = field(default_factory=list)
    """Steps done, and the mean loss since the point before."""
    together: int = 1
    _sum: float = 0.0
    _count: int = 0

    def add(self, step: int, loss: float) -> None:
        """Add the loss of a step, steps being counted from 1."""
        self._sum, self._count = self._sum + loss, self._count + 1
        if self._count < self.together:
            return
        self.points.append((step, self._sum / self._count))
        self._sum, self._count = 0.0, 0
        if len(self.points) >= MOST_LOSSES:
            pairs = zip(self.points[::2], self.points[1::2], strict=False)
            self.points = [(later[0], (one[1] + later[1]) / 2) for one, later in pairs]
            self.together *= 2


class Live:
    """What one training publishes."""

    def __init__(self, run: Run, trainer: Trainer, steering: Steering) -> None:
        self.run, self.trainer, self.steering = run, trainer, steering
        self.losses = Losses()
        self.images_per_s = 0.0
        """Between the last two publications."""
        self.spent_s = 0.0
        """Of the processor, for all publications."""
        self.published = 0
        self._works = True
        self._looked_at = self._due_at = self._allowed_at = 0.0
        self._shown: tuple[Looked, int] | None = None
        self._mistaken: tuple[list[dict[str, Any]], Arrays] = ([], {})
        self._before = (0, 0.0)
        self._sum = trainer.clock.loss_sum

    def observe(self, batch: Batch) -> None:
        """Publish what a step on a batch (N, *shape) float32 has come to, where somebody looks and it is time."""
        now, clock = time.monotonic(), self.trainer.clock
        self.losses.add(clock.total_steps + 1, clock.loss_sum - (self._sum if clock.step else 0.0))
        self._sum = clock.loss_sum
        early = now < max(self._due_at, self._allowed_at)
        if not self.steering.pauses and (early or now - self._looked_at < LOOKED_S):
            return
        self._looked_at = now
        looked = read_watched(self.run)
        if looked is not None:
            self._publish(looked, batch)

    def wait(self) -> None:
        """Publish what a paused training is at, where somebody looks at something new; there are no gradients then."""
        looked = read_watched(self.run)
        if looked is not None and self._shown != (looked, self.trainer.clock.total_steps):
            self._publish(looked, None)

    def _publish(self, looked: Looked, batch: Batch | None) -> None:
        if not self._works:
            return
        began, processor = time.monotonic(), time.process_time()
        try:
            story, arrays = self._seen(looked, batch)
            content = save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, {KEY: story})
            with written_whole(self.run.live) as file:
                file.write_bytes(content)
        except Exception as error:  # whatever goes wrong for who looks must not stop the training
            self._works = False
            self.steering.display.note(f"nothing more is shown live ({type(error).__name__}: {first_line(error)})")
        now = time.monotonic()
        took = min(now - began, time.process_time() - processor)  # what other programs took meanwhile is not its cost
        self.spent_s, self.published = self.spent_s + took, self.published + 1
        self._shown = (looked, self._step(batch))
        self._due_at = max(self._due_at + EVERY_S, now)  # what one is late, the next is early
        self._allowed_at = now + took / SHARE

    def _seen(self, looked: Looked, batch: Batch | None) -> tuple[str, Arrays]:
        trainer = self.trainer
        sample = self._sample(looked.sample)
        layers, arrays = look_at(trainer, sample, looked.layers)
        filters = first_filters(trainer.model, trainer.preprocess.shape)
        if filters is not None:
            arrays["filters"] = bounded(filters)
        kind = inputs.kind_of(trainer.preprocess)
        if kind.pictures:
            arrays["sample"] = self._pictures(sample)[0]
        if batch is not None:
            self._mistaken = self._mistakes(batch)
        mistakes, pictures = self._mistaken
        story = {**self._story(self._step(batch)), "layers": layers, "mistakes": mistakes, **self.steering.state}
        return json.dumps(story), arrays | pictures

    def _step(self, batch: Batch | None) -> int:
        """Return the number of the step that a batch is of, from 1, or of the last that was done."""
        return self.trainer.clock.total_steps + (batch is not None)

    def _story(self, step: int) -> dict[str, Any]:
        trainer, clock = self.trainer, self.trainer.clock
        seen, elapsed = trainer.images_seen, clock.elapsed_s
        images, seconds = seen - self._before[0], elapsed - self._before[1]
        self._before = (seen, elapsed)
        if seconds > 0:
            self.images_per_s = images / seconds
        recipe = trainer.recipe
        return {
            "step": step,
            "epoch": clock.epoch,
            "progress": trainer.progress,
            "elapsed_s": elapsed,
            "images_per_s": self.images_per_s,
            "lr": trainer.lr,
            "spent_s": self.spent_s,
            "values": {name: getattr(recipe, name) for name in ("lr", "momentum", "batch", "weight_decay")},
            "losses": self.losses.points,
        }

    def _sample(self, number: int) -> Tensor:
        """Return one sample (1, *shape), as it is evaluated."""
        trainer = self.trainer
        part = trainer.val_part or trainer.train_part
        rows = range(number % len(part), number % len(part) + 1)
        return next(as_evaluated(part, trainer.preprocess, trainer.device, rows=rows, batch=1))

    def _pictures(self, images: Tensor) -> list[NDArray[np.uint8]]:
        """Return network inputs (n, C, H, W) as small pictures (h, w, 1 or 3) uint8."""
        trainer = self.trainer
        kind = inputs.kind_of(trainer.preprocess)
        every = max(1, max(images.shape[2:]) // THUMBNAIL)
        samples = trainer.prepare.undo(images).cpu().movedim(1, -1).numpy()
        return [kind.thumbnail(sample)[::every, ::every] for sample in samples]

    def _mistakes(self, batch: Batch) -> tuple[list[dict[str, Any]], Arrays]:
        """Return the worst answers on a batch, and their images; nothing of tasks without classes of images."""
        target = self.trainer.target
        if not target.has_classes or target.lies_on_image:
            return [], {}
        labels = batch.labels.larger if isinstance(batch.labels, MixedLabels) else batch.labels
        outputs = main_head(batch.outputs).detach().float().cpu()
        found: list[Mistake] = target.mistakes(outputs, labels.cpu().numpy(), most=MOST_MISTAKES)
        told = [{"truth": each.truth, "answer": each.answer, "probability": each.answer_probability} for each in found]
        drawn = inputs.kind_of(self.trainer.preprocess).pictures and self.trainer.loader.maps is None
        if not found or not drawn:
            return told, {}
        pictures = self._pictures(batch.images.detach()[[mistake.image for mistake in found]])
        return told, {f"mistake.{number}": picture for number, picture in enumerate(pictures)}


def look_at(trainer: Trainer, sample: Tensor, wanted: Sequence[str]) -> tuple[list[dict[str, Any]], Arrays]:
    """Return what each layer of a network in training is like at a sample, and arrays of those `wanted`.

    The sample is (1, *shape) float32. A layer's table has its `name`, `kind`, the `shape` of its output, and the least
    and largest `activation`, `weight` and `gradient`, where it has them. Arrays are its maps (C, H, W) at the sample,
    its weights and their gradients. The network is left as it was, in training.
    """
    model = trainer.model
    layers: dict[str, dict[str, Any]] = {}
    arrays: Arrays = {}

    def leave(path: str, module: nn.Module, outputs: list[Tensor]) -> None:
        if next(module.children(), None) is not None or not outputs or path in layers or len(layers) >= MOST_RANGES:
            return
        output = outputs[0].detach()
        layers[path] = {
            "name": path,
            "kind": type(module).__name__,
            "shape": list(output.shape[1:]),
            "activation": extent(output),
            **_of_weights(module),
        }
        if path in wanted:
            # a copy: the next layer may work in place
            arrays[f"maps.{path}"] = bounded(output[0].float().cpu().numpy().copy())
            for name, tensor in _weights(module).items():
                arrays[f"{name}.{path}"] = bounded(tensor.float().cpu().numpy())

    devices = [sample.device] if sample.device.type == "cuda" else []
    model.eval()
    try:
        with torch.random.fork_rng(devices), torch.no_grad(), watch(model, enter=lambda *_: None, leave=leave):
            model(sample)
    finally:
        trainer.learners.settle(head_only=bool(trainer.learners.head_only))
    return list(layers.values()), arrays


def _weights(module: nn.Module) -> dict[str, Tensor]:
    weight = getattr(module, "weight", None)
    if not isinstance(weight, nn.Parameter):
        return {}
    gradient = weight.grad
    return {"weight": weight.detach(), **({"gradient": gradient.detach()} if gradient is not None else {})}


def _of_weights(module: nn.Module) -> dict[str, Any]:
    return {name: extent(tensor) for name, tensor in _weights(module).items()}


def extent(values: Tensor) -> list[float] | None:
    """Return the least and the largest of values of any shape and dtype; None where one is not finite."""
    if not values.numel():
        return None
    # in the order of memory: six times as fast for channels-last weights
    least, largest = torch.aminmax(values.permute(sorted(range(values.ndim), key=values.stride, reverse=True)))
    found = [least.item(), largest.item()]
    return found if np.isfinite(found).all() else None


def bounded(array: NDArray[Any]) -> NDArray[Any]:
    """Return the first channels, filters or values of an array of any shape and dtype, as many as may be published."""
    if not array.ndim:
        return array.reshape(1)
    each = max(1, array[:1].size)
    return array[: max(1, MOST_VALUES // each)] if each <= MOST_VALUES else array.reshape(-1)[:MOST_VALUES]
