"""Checkpoints: everything a training needs to go on as if it had never stopped, in one safetensors file."""

import dataclasses
import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from fovea.errors import BundleError, first_line
from fovea.storage import write_atomically
from fovea.tasks.score import Score
from fovea.training.engine import Clock, Trainer
from fovea.training.schedules import Plateau


class State(NamedTuple):
    """Everything of a training that its steps change."""

    tensors: dict[str, Tensor]
    """Weights, their average and what the optimisers keep, on the CPU."""
    scalars: dict[str, Any]
    """The rest, as JSON values."""


def state_of(trainer: Trainer) -> State:
    """Return a copy of the state of `trainer`."""
    tensors = {f"model.{name}": tensor for name, tensor in trainer.model.state_dict().items()}
    scalars: dict[str, Any] = {}
    if trainer.average:
        tensors |= {f"average.{name}": tensor for name, tensor in trainer.average.model.state_dict().items()}
        scalars["average_updates"] = trainer.average.updates
    tensors |= {f"optimiser.{key}": tensor for key, tensor in _optimiser_state(trainer).items()}
    scalars["clock"] = {**vars(trainer.clock), "best": trainer.clock.best and trainer.clock.best.to_dict()}
    if trainer.plateau:
        scalars["plateau"] = dataclasses.asdict(trainer.plateau)
    # clone: safetensors refuses channels-last tensors and tensors that share memory
    stored = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
    return State(stored, scalars)


def save_checkpoint(path: Path, trainer: Trainer) -> None:
    """Write the state of `trainer` to `path`."""
    tensors, scalars = state_of(trainer)
    write_atomically(path, save(tensors, metadata={"fovea-checkpoint": json.dumps(scalars)}))


def load_checkpoint(path: Path, trainer: Trainer) -> None:
    """Bring a newly made `trainer` to the state that `save_checkpoint` wrote.

    Raises:
        BundleError: the file is damaged, or belongs to another network or recipe.
    """
    try:
        with safe_open(path, framework="pt") as file:
            scalars = json.loads((file.metadata() or {})["fovea-checkpoint"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        restore(trainer, State(tensors, scalars))
    except (SafetensorError, KeyError, IndexError, TypeError, ValueError, RuntimeError, OSError) as error:
        raise BundleError(
            f"`{path.name}` is no checkpoint of this run: {first_line(error).rstrip('.:')}. "
            "Start again without --resume."
        ) from error


def restore(trainer: Trainer, state: State) -> None:
    """Bring a newly made `trainer` of the same network and recipe to `state`."""
    tensors, scalars = state
    trainer.model.load_state_dict(_under("model.", tensors))
    if trainer.average:
        trainer.average.model.load_state_dict(_under("average.", tensors))
        trainer.average.updates = scalars["average_updates"]
    parameters = dict(trainer.model.named_parameters())
    for key, value in _under("optimiser.", tensors).items():
        number, _, rest = key.partition(".")
        name, _, slot = rest.rpartition(".")
        parameter, optimiser = parameters[name], trainer.optimisers[int(number)]
        if value.shape == parameter.shape:
            # the sum of a norm depends on the order in memory
            value = torch.empty_like(parameter.detach()).copy_(value)
        elif optimiser.defaults.get("fused"):  # a fused step counts on the device
            value = value.to(parameter.device)
        optimiser.state[parameter][slot] = value
    clock = scalars["clock"]
    best = Score.from_dict(clock["best"], trainer.target.followed) if clock["best"] else None
    trainer.clock = Clock(**{**clock, "best": best})
    if trainer.plateau:
        trainer.plateau = Plateau(**scalars["plateau"])


def _optimiser_state(trainer: Trainer) -> dict[str, Tensor]:
    names = {parameter: name for name, parameter in trainer.model.named_parameters()}
    return {
        f"{number}.{names[parameter]}.{slot}": value
        for number, optimiser in enumerate(trainer.optimisers)
        for parameter, slots in optimiser.state.items()
        for slot, value in slots.items()
    }


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
