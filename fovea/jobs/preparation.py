"""From what the user asked for to a training that is ready to start: data, plan, network, preprocessing."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

import fovea.zoo as zoo  # noqa: F401 (registers the networks)
from fovea import registry
from fovea.data.augment.recipes import FLIPS, compose
from fovea.data.cache import decode_dataset
from fovea.data.dataset import Dataset, Part, Task
from fovea.data.sources import find
from fovea.data.splits import require_trainable, split_validation
from fovea.data.statistics import channel_statistics
from fovea.errors import UsageError
from fovea.header import first_line
from fovea.jobs.choosing import Wish, choose_plan
from fovea.jobs.custom import custom_name, custom_network
from fovea.jobs.growing import grow_network, score_before, shallow_network
from fovea.jobs.pretraining import pretrain_layers
from fovea.jobs.progress import Display
from fovea.jobs.starting import channels_of, load_start
from fovea.preprocess import Preprocess
from fovea.recipes import Plan
from fovea.training.distributed import own_device
from fovea.training.engine import Trainer, seed_of
from fovea.training.evaluation import Normaliser, part_labels
from fovea.training.initialisation import initialise, whiten_first_convolution
from fovea.training.losses import main_head, make_loss, output_count
from fovea.training.probing import fit_head
from fovea.training.tuning import keep_freed_memory, time_settings
from fovea.weights import Origin

HALF = 0.5
"""Stands for mean and standard deviation until the training images are decoded."""
WHITENING_IMAGES = 1000
GROWN_IMAGES = 256
TIMED_IMAGES = 128
PROBED_IMAGES = 64


@dataclass(frozen=True, kw_only=True)
class Source:
    """Which data, and how to read it: what `find` and decoding need."""

    data: str
    label_from: str | None = None
    path_column: str = "path"
    label_column: str = "label"
    split_column: str = "split"
    task: Task = "classes"
    allow_bad: bool = False


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A plan with the data it is for: decoded parts, the exact preprocessing, the network before training."""

    plan: Plan
    dataset: Dataset
    preprocess: Preprocess
    model: nn.Module
    architecture: str
    arguments: Mapping[str, Any]
    device: torch.device
    source: Source
    val_fraction: float
    """Share of the train part that was set aside for validation; 0 where the data has its own or none is wanted."""
    target: tuple[float, float]
    """Mean and standard deviation of the numbers to predict; (0, 1) for classes."""
    origin: Mapping[str, str] | None = None
    """Where the weights that it begins with are from, and their licence; None for random ones."""

    def part(self, name: str) -> Part:
        """Return the part with its labels on the network's scale."""
        part = self.dataset.parts[name]
        if self.dataset.task == "classes":
            return part
        mean, std = self.target
        return dataclasses.replace(part, labels=((part.labels - mean) / std).astype(np.float32))

    def trainer(self) -> Trainer:
        """Return the trainer of this plan at its beginning."""
        plan = self.plan
        augmentation = compose(plan.training.augment, size=plan.size, without=FLIPS if self.dataset.directional else ())
        parts = {name: self.part(name) for name in self.dataset.parts}
        return Trainer(
            self.model,
            parts["train"],
            plan.training,
            val=parts.get("val"),
            preprocess=self.preprocess,
            augmentation=augmentation,
            device=self.device,
        )


def initial_weights(model: nn.Module, plan: Plan, train: Part, preprocess: Preprocess) -> None:
    """Give `model` the initial weights of its plan."""
    generator = torch.Generator().manual_seed(seed_of(plan.training.seed))
    initialise(model, plan.training.initialisation, generator)
    if plan.training.whiten:
        whiten_first_convolution(model, sample_images(train, preprocess, WHITENING_IMAGES))


def sample_images(train: Part, preprocess: Preprocess, count: int) -> torch.Tensor:
    """Return `count` training images spread over the part, (n, C, H, W) float32, as the network gets them."""
    chosen = np.linspace(0, len(train) - 1, min(count, len(train))).astype(int)
    pixels = torch.from_numpy(np.stack([preprocess.fit_pixels(train.decoded[index]) for index in chosen]))
    return Normaliser(preprocess, torch.device("cpu"))(pixels.permute(0, 3, 1, 2))


def tuned(
    plan: Plan, model: nn.Module, train: Part, *, preprocess: Preprocess, device: torch.device, display: Display
) -> Plan:
    """Return the plan with its thread count and precision settled by timing a few steps."""
    recipe = plan.training
    if recipe.threads and recipe.precision != "auto":
        torch.set_num_threads(recipe.threads)
        return plan
    count = min(recipe.batch, TIMED_IMAGES, len(train))
    images = sample_images(train, preprocess, count).to(device)
    labels = part_labels(train)[:count].to(device)
    trial = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    counter = display.counter("timing threads and precision")
    best = time_settings(trial, images, labels, loss=make_loss(recipe), recipe=recipe, progress=counter)[0]
    torch.set_num_threads(best.threads)
    return plan.replace(threads=best.threads, precision=best.precision)


def find_data(source: Source, display: Display) -> Dataset:
    """Return the data set, with its notes shown; DataError where it cannot be trained on."""
    options = {name: value for name, value in dataclasses.asdict(source).items() if name not in ("data", "allow_bad")}
    dataset = find(source.data, progress=display.fetched, **options)
    require_trainable(dataset)
    for note in dataset.notes:
        display.note(f"data: {note}")
    return dataset


def prepare(source: Source, wish: Wish, *, device: torch.device, display: Display) -> Prepared:
    """Return a training that is ready to start."""
    dataset = find_data(source, display)
    plan = choose_plan(dataset, wish, device=device, progress=display.counter("timing networks"))
    for reason in plan.reasons:
        display.note(f"plan: {reason}")
    return ready(dataset, plan, source=source, device=device, display=display)


class Begun(NamedTuple):
    """What a run that goes on has settled already."""

    preprocess: Preprocess
    origin: Mapping[str, str] | None
    checkpoint: bool
    """Whether it has one, which holds its weights: none are read or computed then."""


def ready(
    dataset: Dataset, plan: Plan, *, source: Source, device: torch.device, display: Display, begun: Begun | None = None
) -> Prepared:
    """Return the data decoded and the network built."""
    _check_loss(plan.training.loss, dataset)
    keep_freed_memory()
    val_fraction = 0.0 if "val" in dataset.parts else plan.val_fraction
    dataset = split_validation(dataset, fraction=val_fraction, seed=plan.training.seed)
    geometry = begun.preprocess if begun else _geometry(plan, dataset)
    dataset = _decoded(dataset, geometry, room=plan.room, allow_bad=source.allow_bad, display=display)
    train = dataset.parts["train"]
    torch.manual_seed(seed_of(plan.training.seed))
    outputs = output_count(plan.training.loss, len(dataset.classes))
    network = _network(plan, outputs=outputs, channels=geometry.channels)
    model, architecture, arguments = network
    blank = begun is None or not begun.checkpoint
    known, origin = model, None
    if plan.start and blank:
        grown = shallow_network(plan, outputs=outputs, channels=geometry.channels) if plan.grow else None
        known, name = grown or (model, architecture)
        origin = load_start(plan.start, known, architecture=name, display=display)
    preprocess = begun.preprocess if begun else _standardised(geometry, plan, train, origin=origin)
    if not plan.start:
        initial_weights(model, plan, train, preprocess)
    elif plan.grow and blank:
        grow_network(model, known, plan, images=sample_images(train, preprocess, GROWN_IMAGES), display=display)
    prepared = Prepared(
        plan=tuned(plan, model, train, preprocess=preprocess, device=device, display=display),
        dataset=dataset,
        preprocess=preprocess,
        model=model,
        architecture=architecture,
        arguments=arguments,
        device=device,
        source=source,
        val_fraction=val_fraction,
        target=_target(dataset, train),
        origin=begun.origin if begun else {**origin.to_dict(), "licence": origin.licence} if origin else None,
    )
    if blank:
        _learn_first(prepared, display)
    return prepared


def _geometry(plan: Plan, dataset: Dataset) -> Preprocess:
    """Return how images are decoded, their normalisation still open; weights say how many channels they need."""
    channels = channels_of(plan.start, model=plan.model, default=dataset.channels) if plan.start else dataset.channels
    mean = std = (HALF,) * channels
    return Preprocess(size=(plan.size, plan.size), channels=channels, fit=plan.fit, mean=mean, std=std)


def _standardised(geometry: Preprocess, plan: Plan, train: Part, *, origin: Origin | None) -> Preprocess:
    """Return `geometry` with the normalisation of the weights to begin with, or of the images, or with none."""
    if origin is not None:
        mean, std = origin.mean, origin.std
    elif plan.standardise:
        mean, std = channel_statistics(train)
    else:
        mean, std = (0.0,) * geometry.channels, (1.0,) * geometry.channels
    return dataclasses.replace(geometry, mean=mean, std=std)


def _learn_first(prepared: Prepared, display: Display) -> None:
    """Do what comes before the first step: pre-train the layers, score a grown network, or fit the head."""
    plan, recipe = prepared.plan, prepared.plan.training
    model, preprocess = prepared.model.to(prepared.device), prepared.preprocess
    if recipe.pretrain:
        pixels = prepared.dataset.parts["train"].decoded
        pretrain_layers(model, pixels, recipe, preprocess=preprocess, display=display)
    if plan.grow and "val" in prepared.dataset.parts:
        score_before(model, prepared.part("val"), plan, preprocess=preprocess, display=display)
    if recipe.probe:
        fit_head(model, _as_evaluated(prepared, display))


def _decoded(dataset: Dataset, geometry: Preprocess, *, room: float, allow_bad: bool, display: Display) -> Dataset:
    counter = display.counter("decoding")
    decoded = decode_dataset(dataset, geometry, room=room, allow_bad=allow_bad, progress=counter)
    require_trainable(decoded)
    for bad in decoded.bad_files:
        display.note(f"left out: {bad.name}: {bad.reason}")
    return decoded


def _as_evaluated(prepared: Prepared, display: Display) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield all training images (N, C, H, W) as they are evaluated, and their labels, on the device."""
    part, normalise = prepared.part("train"), Normaliser(prepared.preprocess, prepared.device)
    for first in range(0, len(part), PROBED_IMAGES):
        rows = range(first, min(first + PROBED_IMAGES, len(part)))
        pixels = np.stack([prepared.preprocess.fit_pixels(part.decoded[row]) for row in rows])
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(prepared.device)
        yield normalise(images), part_labels(part)[rows.start : rows.stop].to(prepared.device)
        display.advance("fitting the head", rows.stop, len(part))


def _network(plan: Plan, *, outputs: int, channels: int) -> tuple[nn.Module, str, dict[str, Any]]:
    """Return the network with random weights, its name for the card, and its arguments."""
    custom = custom_name(plan.model)
    if custom is not None:
        model = custom_network(*custom, classes=outputs, c_in=channels)
        _check_outputs(model, plan, outputs=outputs, channels=channels)
        return model, "custom", {}
    given = {"classes": outputs, "c_in": channels, "size": plan.size, **plan.arguments}
    return registry.build(plan.model, **given), registry.resolve(plan.model), registry.arguments_of(plan.model, **given)


def _check_outputs(model: nn.Module, plan: Plan, *, outputs: int, channels: int) -> None:
    """Raise UsageError unless `model` turns two images into two rows of `outputs` numbers; lazy layers take shape."""
    images = torch.zeros(2, channels, plan.size, plan.size).to(memory_format=torch.channels_last)  # as in training
    training = model.training
    try:
        with torch.no_grad():
            shape = tuple(main_head(model.eval()(images)).shape)
    except Exception as error:  # a user's network may raise anything
        raise UsageError(
            f"`{plan.model}` fails on images of {channels}x{plan.size}x{plan.size}: {first_line(error)}"
        ) from error
    model.train(training)
    if shape != (2, outputs):
        raise UsageError(
            f"`{plan.model}` must turn (2, {channels}, {plan.size}, {plan.size}) into (2, {outputs}), not {shape}."
        )


def _target(dataset: Dataset, train: Part) -> tuple[float, float]:
    if dataset.task == "classes":
        return 0.0, 1.0
    return float(train.labels.mean()), float(train.labels.std()) or 1.0


def _check_loss(loss: str, dataset: Dataset) -> None:
    if (loss == "mse") != (dataset.task == "number"):
        raise UsageError(f"`loss` (={loss}) does not fit the task: mse is for --task number, the others for classes.")
    if loss == "binary" and len(dataset.classes) != 2:
        raise UsageError(f"`loss` (=binary) needs two classes; `{dataset.name}` has {len(dataset.classes)}.")


def resolved_recipe(prepared: Prepared) -> dict[str, Any]:
    """Return what recipe.toml holds: all that makes the same training again."""
    plan, dataset = prepared.plan, prepared.dataset
    given = {name: value for name, value in dataclasses.asdict(prepared.source).items() if value is not None}
    network = {name: getattr(plan, name) for name in ("model", "size", "fit", "start", "grow")}
    return {
        "device": prepared.device.type,
        "data": {"source": given, "fingerprint": dataset.fingerprint, "val_fraction": plan.val_fraction},
        "network": {**network, "arguments": dict(plan.arguments)},
        **({"origin": dict(prepared.origin)} if prepared.origin else {}),
        "preprocess": prepared.preprocess.to_dict(),
        "training": plan.training.to_dict(),
    }


def device_named(name: str) -> torch.device:
    """Return the device `cpu`, `cuda`, `mps` or, for `auto`, the best of them: of several GPUs this process's own.

    Raises:
        UsageError: it is not there, or not for several processes.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return own_device(torch.device(next(kind for kind in ("cuda", "mps", "cpu") if available[kind])))
    kind = name.partition(":")[0]
    if not available.get(kind):
        there = ", ".join(kind for kind, here in available.items() if here)
        raise UsageError(f"`--device {name}` is not there; this machine has {there}.")
    return own_device(torch.device(name))
