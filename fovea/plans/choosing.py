"""Which plan a training follows: the user's choices first, then a named recipe, a rule, or a timing."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fovea import inputs, registry
from fovea.custom import custom_name
from fovea.data.dataset import Dataset
from fovea.errors import UsageError, unknown
from fovea.inputs.interface import InputKind
from fovea.plans.budget import budget_plan
from fovea.plans.named import DEFAULT_PLAN, named
from fovea.plans.plan import Plan
from fovea.plans.rules import FOLLOWING, default_plan, own_arguments, shows_photographs, transfer_plan
from fovea.plans.start_weights import SCRATCH, Start, grafted, start_at_hand, start_named
from fovea.plans.transfer_budget import budgeted_transfer
from fovea.tasks.task import Task
from fovea.training.inference import Progress
from fovea.training.recipe import FIELDS, Recipe, parse

PLAN_CHOICES = ("arguments", "size", "fit", "val_fraction", "fraction", "standardise", "mean", "std", "grow")
"""Fields of a plan that may be set like those of its recipe; the others follow from what is asked for."""

MOST_VALIDATED = 2_000
"""Under a budget no more images than this are set aside for validation: 2,000 tell accuracies a per cent apart."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asked for; the rest is chosen."""

    model: str | None = None
    recipe: str | None = None
    start: str | None = None
    """Weights to begin with; `none` for random ones, None to leave it open."""
    changes: Mapping[str, Any]
    """Fields of `Plan` and `Recipe`, and arguments of the network, that replace the chosen plan's."""
    budget_s: float = 0.0
    """Seconds from the start of the command to its end; 0 for a training by epochs."""


def choose_plan(dataset: Dataset, request: Request, *, device: torch.device, progress: Progress | None = None) -> Plan:
    """Return the plan for `dataset`: the named one, or one by rule, or under a budget one by timing."""
    changes = request.changes
    budget_s, size = changes.get("budget_s", 0.0), changes.get("size")
    name, start = request.recipe, _start(request, dataset)
    if name is None and start is None and request.model is None and not budget_s:
        name = DEFAULT_PLAN.get(dataset.name)
    if name is not None:
        plan = named(name).replace(reasons=(f"the recipe `{name}`; --recipe, --model and --budget choose others",))
        plan = plan.replace(model=request.model, arguments={}) if request.model else plan
        plan = plan.replace(model=start.model, arguments=start.arguments) if start else plan
    elif start is not None and changes.get("grow"):
        plan = default_plan(dataset, model=start.model, size=size or start.size).replace(arguments=start.arguments)
    elif start is not None:
        plan = transfer_plan(dataset, model=start.model, size=size or start.size, weights=Path(start.weights).name)
        plan = plan.replace(arguments=start.arguments, start=start.weights)
        plan = plan.replace(epochs=0, budget_s=budget_s) if budget_s else plan
        if budget_s and "freeze" not in changes:
            plan = budgeted_transfer(plan, dataset, device=device, sizes="size" not in changes, progress=progress)
    elif request.model is None and budget_s:
        asked = Recipe().replace(**{name: changes[name] for name in ("threads", "precision") if name in changes})
        plan = budget_plan(
            dataset, budget_s, device=device, size=size, recipe=asked, changes=changes, progress=progress
        )
    else:
        plan = default_plan(dataset, model=request.model, size=size)
        plan = plan.replace(**_own_training(plan.model, budgeted=budget_s > 0))
    if budget_s:
        plan = plan.replace(val_fraction=min(plan.val_fraction, MOST_VALIDATED / len(dataset.parts["train"])))
    if dataset.directional:
        plan = plan.replace(test_flip=False)
    if not dataset.kind.smooths:
        plan = plan.replace(label_smoothing=0.0)
    form = "" if custom_name(plan.model) else registry.entry(plan.model).form
    if dataset.kind.forms or plan.recipe.loss not in dataset.kind.losses:
        plan = plan.replace(loss=dataset.kind.loss_of(form))
    plan = plan.replace(**_sorted_out(changes, plan, inputs.kind(dataset.input)), start=start.weights if start else "")
    _check_target(dataset.kind, plan)
    if plan.recipe.loss != dataset.kind.forms.get(form, plan.recipe.loss):
        raise UsageError(
            f"`loss` (={plan.recipe.loss}) does not fit `{plan.model}`, whose answers have the form `{form}`; leave it "
            f"out, it is `{dataset.kind.forms[form]}` then."
        )
    return plan


def _own_training(model: str, *, budgeted: bool) -> dict[str, Any]:
    """Return how a network of the zoo is trained by what is known of it; under a budget for no number of epochs."""
    known = {} if custom_name(model) else registry.entry(model).training
    return {name: value for name, value in known.items() if not (budgeted and name == "epochs")}


def _check_target(kind: type[Task], plan: Plan) -> None:
    """Raise UsageError where the recipe asks what this kind of target has not."""
    recipe = plan.recipe
    if recipe.label_smoothing and not kind.smooths:
        raise UsageError(
            f"`label_smoothing` (={recipe.label_smoothing}) is for --task classes; a network that predicts {kind.noun} "
            "has nothing to smooth, so leave it out."
        )
    if recipe.probe and not kind.closed_form:
        raise UsageError(
            f"`probe` has no closed form for a network that predicts {kind.noun}; `freeze=all` trains the head alone."
        )
    if recipe.class_means and kind.closed_form != "discriminants":
        raise UsageError(f"`class_means` needs one of several classes per image, not {kind.noun}; leave it out.")


def _sorted_out(changes: Mapping[str, Any], plan: Plan, kind: InputKind) -> dict[str, Any]:
    """Return the changes to a plan with those of its preprocessing and of its network in their own, text in types."""
    settings = {
        name: _parsed_setting(name, value, kind.settings[name])
        for name, value in changes.items()
        if name in kind.settings
    }
    changes = {name: value for name, value in changes.items() if name not in settings}
    defaults = {} if custom_name(plan.model) else registry.arguments_of(plan.model)
    takes = defaults.keys() - FOLLOWING
    known = (*FIELDS, *PLAN_CHOICES, *kind.settings, *takes)
    for name in changes:
        if name not in known:
            raise unknown("recipe field", name, known)
    own = {} if custom_name(plan.model) else own_arguments(plan.model, changes)
    rest = {name: value for name, value in changes.items() if name not in takes}
    if settings:
        rest["settings"] = {**plan.settings, **settings}
    return {**rest, "arguments": {**plan.arguments, **own}} if own else rest


def _parsed_setting(name: str, value: Any, default: Any) -> Any:
    """Return a setting of the preprocessing in the type of its default."""
    return parse(name, value, default=default) if isinstance(value, str) else value


def _start(request: Request, dataset: Dataset) -> Start | None:
    """Return the weights to begin with: those named, or, for photographs and no request, those here."""
    if request.start is not None:
        grow = bool(request.changes.get("grow"))
        start = None if request.start == SCRATCH else start_named(request.start, model=request.model, grow=grow)
        return start if start is None or grow else _fitting(start, dataset)
    network_open = request.model is None and request.changes.keys() <= {*FIELDS, *PLAN_CHOICES} - {"arguments", "grow"}
    left_open = network_open and request.recipe is None and dataset.name not in DEFAULT_PLAN
    return start_at_hand() if left_open and shows_photographs(dataset) else None


def _fitting(start: Start, dataset: Dataset) -> Start:
    """Return the start of a network that answers what is learned: one on the stages of a network for classes."""
    learned = dataset.kind.usual(dataset.native_size)
    if learned is None or not learned.on or ":" in start.model or registry.entry(start.model).answers != "classes":
        return start
    return grafted(start, learned.on)
