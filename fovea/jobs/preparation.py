"""From what the user asked for to a training that is ready to start: data, plan, network, preprocessing."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

import fovea.zoo as zoo  # noqa: F401 (registers the networks)
from fovea import registry
from fovea.data.augment import compose
from fovea.data.cache import decode_dataset
from fovea.data.dataset import Dataset, Part, Task
from fovea.data.sources import find
from fovea.data.splits import require_trainable, split_validation
from fovea.data.statistics import channel_statistics
from fovea.errors import UsageError, unknown
from fovea.header import first_line
from fovea.jobs.custom import custom_name, custom_network
from fovea.jobs.growing import grow_network, score_before, shallow_network
from fovea.jobs.pretraining import pretrain_layers
from fovea.jobs.progress import Display
from fovea.jobs.starting import SCRATCH, Start, channels_of, load_start, start_at_hand, start_named
from fovea.planning import budget_plan, default_plan, shows_photographs, transfer_plan
from fovea.preprocess import Preprocess
from fovea.recipes import DEFAULT_RECIPE, PLAN_FIELDS, Plan, named
from fovea.training.distributed import own_device
from fovea.training.engine import Trainer, seed_of
from fovea.training.evaluation import Normaliser, layout, part_labels
from fovea.training.initialisation import initialise, whiten_first_convolution
from fovea.training.losses import main_head, make_loss, output_count
from fovea.training.probing import fit_head
from fovea.training.recipe import FIELDS
from fovea.training.tuning import keep_freed_memory, time_settings

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
        augmentation = compose(plan.training.augment, size=plan.size, directional=self.dataset.directional)
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


def sample_images(
    train: Part, preprocess: Preprocess, count: int, *, layout: torch.memory_format = torch.channels_last
) -> torch.Tensor:
    """Return `count` training images spread over the part, (n, C, H, W) float32, as the network gets them."""
    chosen = np.linspace(0, len(train) - 1, min(count, len(train))).astype(int)
    pixels = torch.from_numpy(np.stack([preprocess.fit_pixels(train.decoded[index]) for index in chosen]))
    return Normaliser(preprocess, torch.device("cpu"), layout=layout)(pixels.permute(0, 3, 1, 2))


def tuned(plan: Plan, model: nn.Module, train: Part, preprocess: Preprocess, device: torch.device) -> Plan:
    """Return the plan with its thread count and precision settled by timing a few steps."""
    recipe = plan.training
    if recipe.threads and recipe.precision != "auto":
        torch.set_num_threads(recipe.threads)
        return plan
    count = min(recipe.batch, TIMED_IMAGES, len(train))
    images = sample_images(train, preprocess, count, layout=layout(model)).to(device)
    labels = part_labels(train)[:count].to(device)
    trial = model.to(device, memory_format=layout(model))  # type: ignore[call-overload]
    best = time_settings(trial, images, labels, loss=make_loss(recipe), recipe=recipe)[0]
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


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the user asked for; the rest is chosen."""

    model: str | None = None
    recipe: str | None = None
    start: str | None = None
    """Weights to begin with; `none` for random ones, None to leave it open."""
    changes: Mapping[str, Any]
    """Fields of `Plan` and `Recipe`, and arguments of the network, that replace the chosen plan's."""


def prepare(source: Source, wish: Wish, *, device: torch.device, display: Display) -> Prepared:
    """Return a training that is ready to start."""
    dataset = find_data(source, display)
    plan = choose_plan(dataset, wish, device=device)
    for reason in plan.reasons:
        display.note(f"plan: {reason}")
    return ready(dataset, plan, source=source, device=device, display=display)


def choose_plan(dataset: Dataset, wish: Wish, *, device: torch.device) -> Plan:
    """Return the plan for `dataset`: the named one, or one by rule, or under a budget one by timing."""
    changes = {"loss": "mse", **wish.changes} if dataset.task == "number" else wish.changes
    budget_s, size = changes.get("budget_s", 0.0), changes.get("size")
    name, start = wish.recipe, _start(wish, dataset)
    if name is None and start is None and wish.model is None and not budget_s:
        name = DEFAULT_RECIPE.get(dataset.name)
    if name is not None:
        plan = named(name)
        plan = plan.replace(model=wish.model, arguments={}) if wish.model else plan
        plan = plan.replace(model=start.model, arguments=start.arguments) if start else plan
    elif start is not None and changes.get("grow"):
        plan = default_plan(dataset, model=start.model, size=size or start.size).replace(arguments=start.arguments)
    elif start is not None:
        plan = transfer_plan(dataset, model=start.model, size=size or start.size, weights=Path(start.weights).name)
        plan = plan.replace(arguments=start.arguments)
    elif wish.model is None and budget_s:
        plan = budget_plan(dataset, budget_s, device=device, size=size)
    else:
        plan = default_plan(dataset, model=wish.model, size=size)
    if dataset.directional:
        plan = plan.replace(test_flip=False)
    return plan.replace(**_sorted_out(changes, plan), start=start.weights if start else "")


def _sorted_out(changes: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """Return the changes to a plan with those that its network takes as `arguments`, text in their types."""
    defaults = {} if custom_name(plan.model) else registry.arguments_of(plan.model)
    takes = defaults.keys() - {"classes", "c_in", "size"}  # these follow from data and input
    for name in changes:
        if name not in (*FIELDS, *PLAN_FIELDS, *takes):
            raise unknown("recipe field", name, (*FIELDS, *PLAN_FIELDS, *takes))
    own = {
        name: registry.parsed(plan.model, name, value) if isinstance(value, str) else value
        for name, value in changes.items()
        if name in takes
    }
    rest = {name: value for name, value in changes.items() if name not in takes}
    return {**rest, "arguments": {**plan.arguments, **own}} if own else rest


def _start(wish: Wish, dataset: Dataset) -> Start | None:
    """Return the weights to begin with: those named, or, for photographs and with all left open, those at hand."""
    if wish.start is not None:
        grow = bool(wish.changes.get("grow"))
        return None if wish.start == SCRATCH else start_named(wish.start, model=wish.model, grow=grow)
    network_open = wish.model is None and wish.changes.keys() <= {*FIELDS, *PLAN_FIELDS} - {"arguments", "grow"}
    left_open = network_open and wish.recipe is None and dataset.name not in DEFAULT_RECIPE
    return start_at_hand() if left_open and shows_photographs(dataset) else None


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
    model, architecture, arguments = _network(plan, outputs=outputs, channels=geometry.channels)
    blank = begun is None or not begun.checkpoint
    begins = (model, architecture)
    if plan.grow and blank:
        begins = shallow_network(plan, outputs=outputs, channels=geometry.channels)
    origin = (
        load_start(plan.start, begins[0], architecture=begins[1], display=display) if plan.start and blank else None
    )
    preprocess = geometry
    if begun is None:
        mean, std = (origin.mean, origin.std) if origin else _statistics(plan, train)
        preprocess = dataclasses.replace(geometry, mean=mean, std=std)
    if not plan.start:
        initial_weights(model, plan, train, preprocess)
    elif plan.grow and blank:
        images = sample_images(train, preprocess, GROWN_IMAGES)
        grow_network(model, begins[0], plan, images=images, display=display)
    prepared = Prepared(
        plan=tuned(plan, model, train, preprocess, device),
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
    if plan.training.pretrain and blank:
        pixels, recipe = train.decoded, prepared.plan.training
        pretrain_layers(model.to(device), pixels, recipe, preprocess=preprocess, display=display)
    if plan.grow and begun is None and "val" in dataset.parts:
        score_before(model.to(device), prepared.part("val"), plan, preprocess=preprocess, display=display)
    if plan.training.probe and blank:
        fit_head(model.to(device), _as_evaluated(prepared, display))
    return prepared


def _geometry(plan: Plan, dataset: Dataset) -> Preprocess:
    """Return how images are decoded, their normalisation still open; weights say how many channels they need."""
    channels = channels_of(plan.start, model=plan.model, default=dataset.channels) if plan.start else dataset.channels
    mean = std = (HALF,) * channels
    return Preprocess(size=(plan.size, plan.size), channels=channels, fit=plan.fit, mean=mean, std=std)


def _statistics(plan: Plan, train: Part) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and standard deviation per channel that pixels of 0..1 are normalised with."""
    if plan.standardise:
        return channel_statistics(train)
    channels = train.decoded.shape[-1]
    return (0.0,) * channels, (1.0,) * channels


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
    images = torch.zeros(2, channels, plan.size, plan.size)
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
