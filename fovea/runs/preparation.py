"""From what the user asked for to a training that is ready to start: data, plan, network, preprocessing."""

import dataclasses
import os
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

import fovea.zoo as zoo  # noqa: F401 (registers the networks)
from fovea import inputs, registry
from fovea.data.augment.families import compose_for
from fovea.data.augment.recipes import FLIPS, Augmentation
from fovea.data.contents import contents
from fovea.data.dataset import Dataset, Part
from fovea.data.sources.source import DataSource
from fovea.data.splits import require_trainable, split_validation
from fovea.data.thinning import decoding_s, thinned
from fovea.display import Display
from fovea.inputs.interface import Preprocessing
from fovea.layers import placed
from fovea.measurement.network import without_values
from fovea.model.normalisation import reverse_channels
from fovea.model.weights import BLUE_FIRST
from fovea.plans.budget import DECODING_SHARE, expected_training_s
from fovea.plans.choosing import Request, choose_plan
from fovea.plans.plan import Plan
from fovea.plans.start_weights import channels_of
from fovea.preprocess import Preprocess
from fovea.runs.growing import grow_network, score_before, shallow_network
from fovea.runs.heads import fitted_start, labelled, settled_head
from fovea.runs.initial_weights import draw_weights, load_start, sample_inputs
from fovea.runs.networks import built_network, check_batch
from fovea.runs.normalising import Loaded, normalised
from fovea.runs.pretraining import pretrain_layers
from fovea.tasks.joining import joining_of
from fovea.tasks.score import Score
from fovea.tasks.task import Task
from fovea.training.changes import Change
from fovea.training.diagnosis import watched_layer
from fovea.training.distributed import world_size
from fovea.training.engine import Trainer
from fovea.training.frozen_maps import FrozenMaps, can_be_kept, computed_maps
from fovea.training.inference import labels_as_evaluated, part_labels
from fovea.training.loading import Loader
from fovea.training.logistic_head import FittedHead
from fovea.training.losses import main_head, make_loss
from fovea.training.probing import fit_head
from fovea.training.recipe import fitted
from fovea.training.seeds import seed_of
from fovea.training.transfer import Learners
from fovea.training.tuning import time_settings

GROWN_IMAGES = 256
TIMED_IMAGES = 128


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A plan with the data it is for: decoded splits, the exact preprocessing, the network before training."""

    plan: Plan
    dataset: Dataset
    preprocess: Preprocessing
    model: nn.Module
    architecture: str
    arguments: Mapping[str, Any]
    device: torch.device
    source: DataSource
    val_fraction: float
    """Share of the train part that was set aside for validation; 0 where the data has its own or none is wanted."""
    target: Task
    """What is learned."""
    origin: Mapping[str, str] | None = None
    """Where the weights that it begins with are from, and their licence; None for random ones."""
    budget_s: float = 0.0
    """Seconds from the start of the command to its end; 0 for a training by epochs, or by a time of its own."""
    fitted_s: float = 0.0
    """Seconds that fitting the head took, where that is all the training."""
    changes: tuple[Change, ...] = ()
    """What was changed while it ran, by step: it is changed again at the same steps."""
    head: FittedHead | None = None
    """The head that was fitted before training, if any."""
    head_score: Score | None = None
    """How good the network with that head is on validation."""
    features: Tensor | None = None
    """(V, N, D) float32: what that head was fitted to."""
    maps: FrozenMaps | None = None
    """What the frozen stages make of the training images, where that is computed once."""

    def part(self, name: str) -> Part:
        """Return the split with its labels on the network's scale."""
        part = self.dataset.parts[name]
        return dataclasses.replace(part, labels=self.target.to_network(part.labels))

    def trainer(self) -> Trainer:
        """Return the trainer of this plan at its beginning."""
        plan = self.plan
        parts = {name: self.part(name) for name in self.dataset.parts}
        trainer = Trainer(
            self.model,
            parts["train"],
            plan.recipe,
            val=parts.get("val"),
            target=self.target,
            preprocess=self.preprocess,
            augmentation=self._augmentation(),
            device=self.device,
        )
        trainer.changes = self.changes
        trainer.clock.best = self.head_score  # what training has to surpass
        trainer.clock.elapsed_s = self.fitted_s
        if self.maps is not None:
            trainer.take_maps(self.maps)
        return trainer

    def loader(self, part: Part) -> Loader:
        """Return what augments the images of a part as this plan does."""
        return Loader(
            part,
            self.plan.recipe,
            target=self.target,
            preprocess=self.preprocess,
            augmentation=self._augmentation(),
            device=self.device,
        )

    def _augmentation(self) -> Augmentation:
        """Return what the recipe does to batches, without what this kind of target or input does not bear."""
        without = (*type(self.target).changed_by, *(FLIPS if self.dataset.directional else ()))
        return _composed(self.plan, self.dataset, without=without)


def tuned(
    plan: Plan,
    model: nn.Module,
    train: Part,
    *,
    target: Task,
    preprocess: Preprocessing,
    device: torch.device,
    display: Display,
) -> Plan:
    """Return the plan with its thread count and precision settled by timing a few steps."""
    recipe = plan.recipe
    if recipe.threads and recipe.precision != "auto":
        torch.set_num_threads(recipe.threads)
        return plan
    count = min(recipe.batch, TIMED_IMAGES, len(train))
    images = sample_inputs(train, preprocess, count).to(device)
    labels = labels_as_evaluated(train, part_labels(train), target, preprocess, rows=range(count)).to(device)
    trial = placed(model, device)
    counter = display.counter("timing threads and precision")
    best = time_settings(trial, images, labels, loss=make_loss(target, recipe), recipe=recipe, progress=counter)[0]
    torch.set_num_threads(best.threads)
    return plan.replace(threads=best.threads, precision=best.precision)


def _composed(plan: Plan, dataset: Dataset, *, without: Collection[str] = ()) -> Augmentation:
    """Return the augmentation of the recipe; UsageError for one that this kind of input does not have."""
    family = inputs.kind(dataset.input).augments
    return compose_for(family, plan.augment, size=plan.size, without=without)


def find_data(source: DataSource, display: Display) -> Dataset:
    """Return the data set, with its notes shown; DataError where it cannot be trained on."""
    dataset = source.find(progress=display.fetched)
    for note in dataset.notes:
        display.note(f"data: {note}")
    require_trainable(dataset)
    return dataset


def prepare(
    source: DataSource, request: Request, *, device: torch.device, display: Display, watch: str | None = None
) -> Prepared:
    """Return a training that is ready to start."""
    dataset = find_data(source, display)
    if request.budget_s:
        training_s = expected_training_s(request.budget_s, waited_s=display.waited_s)
        request = dataclasses.replace(request, changes={**request.changes, "budget_s": training_s})
    plan = choose_plan(dataset, request, device=device, progress=display.counter("timing networks"))
    for reason in plan.reasons:
        display.note(f"plan: {reason}")
    return ready(dataset, plan, source=source, device=device, display=display, watch=watch, budget_s=request.budget_s)


class Begun(NamedTuple):
    """What a run that is resumed has settled already."""

    preprocess: Preprocessing
    origin: Mapping[str, str] | None
    checkpoint: bool
    """Whether it has one, which holds its weights: none are read or computed then."""


def ready(
    dataset: Dataset,
    plan: Plan,
    *,
    source: DataSource,
    device: torch.device,
    display: Display,
    begun: Begun | None = None,
    watch: str | None = None,
    budget_s: float = 0.0,
) -> Prepared:
    """Return the network built and the data decoded; the network has a layer `watch`, where one is named.

    Under a budget, `budget_s` from start to end, only as many images are decoded as it leaves time for.
    """
    val_fraction = 0.0 if "val" in dataset.parts else plan.val_fraction
    dataset = _with_validation(dataset, plan, display)
    plan = _bounded(plan, dataset)
    geometry = begun.preprocess if begun else _geometry(plan, dataset)
    target = _target(dataset, plan.recipe.loss, geometry)  # refuses a loss that does not fit
    # all that may be refused is, before images are decoded
    _composed(plan, dataset)
    torch.manual_seed(seed_of(plan.recipe.seed))
    if plan.tiled:
        joining_of(target)
    model, architecture, arguments = built_network(plan, target=target, shape=geometry.shape)
    if plan.tiled and begun is None:
        geometry = _as_tiles(geometry, model, target)
    plan = settled_head(plan, model, target, display)
    Learners(model, plan.recipe)
    watched_layer(model, watch)
    check_batch(model, plan, shape=geometry.shape)
    blank = begun is None or not begun.checkpoint
    grown = shallow_network(plan, outputs=target.outputs, channels=geometry.channels) if plan.grow and blank else None
    known, name = grown or (model, registry.body_of(architecture, arguments))
    weights = load_start(plan.start, known, architecture=name, display=display) if plan.start and blank else None
    loaded = None if weights is None else Loaded(known, name, weights)
    if budget_s:
        plan = plan.replace(fraction=affordable_share(dataset, plan, geometry, budget_s=budget_s))
    dataset = _thinned(dataset, plan, display)
    dataset = _decoded(source, dataset, geometry, room=plan.room, display=display)
    train, plan = dataset.parts["train"], _bounded(plan, dataset)
    target = _target(dataset, plan.recipe.loss, geometry)
    preprocess, origin = _normalised(geometry, plan, train, loaded, display, begun=begun)
    if not plan.start:
        draw_weights(model, plan, train, preprocess)
    elif plan.grow and blank:
        grow_network(model, known, plan, images=sample_inputs(train, preprocess, GROWN_IMAGES), display=display)
    prepared = Prepared(
        plan=tuned(plan, model, train, target=target, preprocess=preprocess, device=device, display=display),
        dataset=dataset,
        preprocess=preprocess,
        model=model,
        architecture=architecture,
        arguments=arguments,
        device=device,
        source=source,
        val_fraction=val_fraction,
        target=target,
        origin=origin,
        budget_s=budget_s,
    )
    prepared = _mapped(_learn_first(prepared, display) if blank else prepared, display)
    return fitted_start(prepared, display) if blank and plan.recipe.fit_head else prepared


def _with_validation(dataset: Dataset, plan: Plan, display: Display) -> Dataset:
    """Return the data set with its validation split, one that is set aside with a note that says so."""
    fraction = 0.0 if "val" in dataset.parts else plan.val_fraction
    divided = split_validation(dataset, fraction=fraction, seed=plan.recipe.seed)
    for note in divided.notes[len(dataset.notes) :]:
        display.note(f"data: {note}")
    return divided


def _normalised(
    geometry: Preprocessing, plan: Plan, train: Part, loaded: Loaded | None, display: Display, *, begun: Begun | None
) -> tuple[Preprocessing, Mapping[str, str] | None]:
    """Return the preprocessing of a run, and where its weights are from; a run that was `begun` keeps both."""
    if begun is not None:
        if loaded and begun.origin and begun.origin.get("channels") == BLUE_FIRST:
            reverse_channels(loaded.model)
        return begun.preprocess, begun.origin
    preprocess, found = normalised(geometry, plan, train, loaded=loaded, display=display)
    return preprocess, {**found.to_dict(), "licence": found.licence} if found else None


def _bounded(plan: Plan, dataset: Dataset) -> Plan:
    """Return the plan with no more images to a step than there are."""
    images, validated = len(dataset.parts["train"]), "val" in dataset.parts
    return dataclasses.replace(plan, recipe=fitted(plan.recipe, images=images, validated=validated))


def _target(dataset: Dataset, loss: str, geometry: Preprocessing) -> Task:
    labels = dataset.parts["train"].labels
    target = dataset.kind.fitted(labels, classes=dataset.classes, loss=loss, data=dataset.name)
    return target.for_input(geometry.shape[1:])


def _geometry(plan: Plan, dataset: Dataset) -> Preprocessing:
    """Return how images are decoded, their normalisation still open; weights say how many channels they need."""
    channels = channels_of(plan.start, model=plan.model, default=dataset.channels) if plan.start else dataset.channels
    kind = inputs.kind(dataset.input)
    return kind.geometry(
        size=plan.size, fit=plan.fit, channels=channels, native_size=dataset.native_size, settings=plan.settings
    )


def _as_tiles(geometry: Preprocessing, model: nn.Module, target: Task) -> Preprocessing:
    """Return the geometry with the margin that the network leaves out, and what neighbours share by default."""
    tiles, joining = cast(Preprocess, geometry), joining_of(target)
    with torch.no_grad(), torch.device("meta"):
        outputs = main_head(without_values(model).eval()(torch.empty(1, *tiles.shape)))
    margin = joining.margin(tuple(outputs.shape[1:]), tiles.size)
    usual = 0 if margin else min(tiles.size) // joining.overlap
    return tiles.with_tiles(overlap=tiles.overlap or usual, margin=margin)


def _learn_first(prepared: Prepared, display: Display) -> Prepared:
    """Return the training after its layers were pre-trained, the grown network scored, or the probe fitted."""
    plan, recipe = prepared.plan, prepared.plan.recipe
    model, preprocess = prepared.model.to(prepared.device), prepared.preprocess
    if recipe.pretrain:
        pretrain_layers(model, prepared.dataset.parts["train"], recipe, preprocess=preprocess, display=display)
    if plan.grow and "val" in prepared.dataset.parts:
        score_before(model, prepared.part("val"), plan, target=prepared.target, preprocess=preprocess, display=display)
    if recipe.probe or recipe.class_means:
        form = "means" if recipe.class_means else prepared.target.closed_form
        batches, began = labelled(prepared, prepared.part("train"), display, "fitting the head"), time.monotonic()
        fit_head(model, batches, target=prepared.target, form=form)
        prepared = dataclasses.replace(prepared, fitted_s=time.monotonic() - began)
    return prepared


def _mapped(prepared: Prepared, display: Display) -> Prepared:
    """Return the training with the maps of its frozen stages, where the recipe wants them kept."""
    recipe, model = prepared.plan.recipe, prepared.model.to(prepared.device)
    if not recipe.frozen_views or world_size() > 1 or not can_be_kept(model, recipe):
        return prepared
    counter = display.counter("computing the maps of frozen stages")
    loader = prepared.loader(prepared.part("train"))
    maps = computed_maps(
        placed(model, prepared.device), loader, recipe, preprocess=prepared.preprocess, progress=counter
    )
    return dataclasses.replace(prepared, maps=maps)


def affordable_share(dataset: Dataset, plan: Plan, geometry: Preprocessing, *, budget_s: float) -> float:
    """Return the share of the images that can be decoded in the time that a budget has for it, at most `fraction`."""
    needed_s = plan.fraction * decoding_s(dataset, geometry, room=plan.room)
    allowed_s = DECODING_SHARE * budget_s
    return plan.fraction if needed_s <= allowed_s else round(plan.fraction * allowed_s / needed_s, 3) or 0.001


def _thinned(dataset: Dataset, plan: Plan, display: Display) -> Dataset:
    """Return the share of the images that the plan uses, with a note that says so."""
    if plan.fraction >= 1:
        return dataset
    fewer = thinned(dataset, fraction=plan.fraction, seed=plan.recipe.seed)
    counts = ", ".join(f"{len(part):,} of {len(dataset.parts[name]):,} {name}" for name, part in fewer.parts.items())
    note = f"{100 * plan.fraction:.3g} % of the images are used, stratified, seed {plan.recipe.seed}: {counts}"
    display.note(f"data: {note}")
    return dataclasses.replace(fewer, notes=(*fewer.notes, note))


def _decoded(
    source: DataSource, dataset: Dataset, geometry: Preprocessing, *, room: float, display: Display
) -> Dataset:
    decoded = source.decode(dataset, geometry, room=room, progress=display.counter("decoding"))
    require_trainable(decoded)
    for bad in decoded.bad_files:
        display.note(f"left out: {bad.name}: {bad.reason}")
    return decoded


def began_in(folder: Path) -> str:
    """Return the working folder as seen from a run's `folder`."""
    return Path(os.path.relpath(Path.cwd(), folder.resolve())).as_posix()


def resolved_recipe(prepared: Prepared, *, folder: Path) -> dict[str, Any]:
    """Return what recipe.toml in `folder` holds: all that makes the same training again."""
    plan, dataset = prepared.plan, prepared.dataset
    given = {name: value for name, value in dataclasses.asdict(prepared.source).items() if value is not None}
    given["data"] = str(given["data"])
    network = {name: getattr(plan, name) for name in ("model", "size", "fit", "start", "grow")}
    return {
        "device": prepared.device.type,
        "began_in": began_in(folder),
        "data": {
            **{"source": given, "fingerprint": dataset.fingerprint, "contents": contents(dataset)},
            "val_fraction": plan.val_fraction,
            **({"fraction": plan.fraction} if plan.fraction < 1 else {}),
        },
        **({"budget_s": prepared.budget_s} if prepared.budget_s else {}),
        "network": {**network, "arguments": dict(plan.arguments)},
        **({"origin": dict(prepared.origin)} if prepared.origin else {}),
        "preprocess": prepared.preprocess.to_dict(),
        "training": plan.recipe.to_dict(),
    }
