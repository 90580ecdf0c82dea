"""The network of a plan, built and checked against the data before anything is decoded."""

from typing import Any

import torch
from torch import nn

from fovea import registry
from fovea.card import CUSTOM
from fovea.custom import custom_name, custom_network
from fovea.errors import FoveaError, UsageError, first_line
from fovea.measurement.network import without_values
from fovea.plans.plan import Plan
from fovea.shapes import Shape, has_shape
from fovea.tasks.task import Task
from fovea.training.distributed import world_size
from fovea.training.losses import main_head
from fovea.training.transfer import Learners


def built_network(plan: Plan, *, target: Task, shape: tuple[int, ...]) -> tuple[nn.Module, str, dict[str, Any]]:
    """Return the network with random weights for inputs of this `shape`, its name for the card, and its arguments."""
    custom, outputs = custom_name(plan.model), target.outputs
    if custom is not None:
        model = custom_network(*custom, classes=outputs, c_in=shape[0])
        _check_outputs(model, plan, wanted=target.output_shape, shape=shape)
        return model, CUSTOM, {}
    given = {"classes": outputs, **registry.fitted(plan.model, shape), **plan.arguments}
    registry.require_answer(plan.model, target.asks, tuple(target.forms))
    try:
        model = registry.build(plan.model, **given)
    except FoveaError:
        raise
    except Exception as error:  # whatever a builder makes of an argument, also of one that a recipe.toml holds
        raise UsageError(f"`{plan.model}` cannot be built with these arguments: {first_line(error)}.") from error
    if len(set(shape[1:])) > 1:
        _check_fit(model, plan, shape=shape)
    return model, registry.resolve(plan.model), registry.arguments_of(plan.model, **given)


def _check_fit(model: nn.Module, plan: Plan, *, shape: tuple[int, ...]) -> None:
    """Raise UsageError where a network of the zoo does not take inputs whose sides differ: it was built for squares."""
    try:
        with torch.no_grad(), torch.device("meta"):
            without_values(model).eval()(torch.empty(1, *shape))
    except Exception as error:  # whatever a layer makes of another shape
        sizes = "x".join(map(str, shape))
        raise UsageError(
            f"`{plan.model}` does not take inputs of {sizes}, whose sides differ ({first_line(error).rstrip('.')}); "
            "take a network that ends in global pooling, as foveola."
        ) from error


def _check_outputs(model: nn.Module, plan: Plan, *, wanted: Shape, shape: tuple[int, ...]) -> None:
    """Raise UsageError unless `model` turns two images into two answers of this shape; lazy layers take shape."""
    images = torch.zeros(2, *shape)
    if len(shape) == 3:
        images = images.to(memory_format=torch.channels_last)  # as in training
    training = model.training
    try:
        with torch.no_grad():
            found = tuple(main_head(model.eval()(images)).shape)
    except Exception as error:  # a user's network may raise anything
        sizes = "x".join(map(str, shape))
        raise UsageError(f"`{plan.model}` fails on images of {sizes}: {first_line(error)}") from error
    model.train(training)
    if found[:1] != (2,) or not has_shape(found[1:], wanted):
        lengths = ", ".join(str(length or "any") for length in wanted)
        raise UsageError(f"`{plan.model}` must turn {(2, *shape)} into (2, {lengths}), not {found}.")


def check_batch(model: nn.Module, plan: Plan, *, shape: tuple[int, ...]) -> None:
    """Raise UsageError where batch norm would get one value a channel: it makes statistics of two at least."""
    batch, processes = plan.recipe.batch, world_size()
    if batch > processes:
        return
    twin = without_values(model)
    Learners(twin, plan.recipe).settle(head_only=False)
    try:
        with torch.no_grad(), torch.device("meta"):
            twin(torch.empty(1, *shape))
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            return
        shared = f" on {processes} processes" if processes > 1 else ""
        raise UsageError(
            f"`batch` (={batch}){shared} gives batch norm in `{plan.model}` one value per channel; it needs several. "
            f"Take at least {processes + 1}, or another network."
        ) from error
    except Exception:  # a network of one's own may need values: the training says what it meets
        return
