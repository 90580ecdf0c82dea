"""Checkpoints: everything a training needs to go on as if it had never stopped, in one safetensors file."""

import dataclasses
import json
import math
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from fovea.errors import BundleError, first_line
from fovea.fields import LARGEST, Fields
from fovea.files import check_regular, utf8_path
from fovea.storage import write_atomically
from fovea.tasks.score import Score
from fovea.training.clock import Clock
from fovea.training.engine import Trainer
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
    text = json.dumps(scalars)
    write_atomically(path, save(tensors, metadata={"fovea-checkpoint": text, "crc32": _checksum(text, tensors)}))


def load_checkpoint(path: Path, trainer: Trainer) -> None:
    """Bring a newly made `trainer` to the state that `save_checkpoint` wrote.

    Raises:
        BundleError: the file is damaged, or belongs to another network or recipe.
        StorageError: it is a pipe or a device.
    """
    check_regular(path)
    try:
        with utf8_path(path) as named, safe_open(named, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        text = metadata["fovea-checkpoint"]
        if metadata.get("crc32", found := _checksum(text, tensors)) != found:  # earlier versions wrote none
            raise ValueError("it is damaged, by its checksum")
        restore(trainer, State(tensors, json.loads(text)))
    except (SafetensorError, LookupError, TypeError, ValueError, RuntimeError, OSError, AttributeError) as error:
        raise BundleError(
            f"`{path.name}` is not a checkpoint of this run: {first_line(error).rstrip('.:')}. "
            "Start a new run without --resume."
        ) from error


def restore(trainer: Trainer, state: State) -> None:
    """Bring a newly made `trainer` of the same network and recipe to `state`."""
    tensors, scalars = state
    read = Fields(scalars, ValueError)
    clock = _clock(read.table("clock"), trainer)
    for change in trainer.changes:
        if change.step < clock.total_steps:  # one of this very step is taken before the next
            trainer.go_by(change)
    trainer.model.load_state_dict(_under("model.", tensors))
    if trainer.average:
        trainer.average.model.load_state_dict(_under("average.", tensors))
        trainer.average.updates = read.whole("average_updates")
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
    trainer.clock = clock
    if trainer.plateau:
        trainer.plateau = _plateau(read.table("plateau"))


def _clock(clock: Fields, trainer: Trainer) -> Clock:
    """Return the clock that a checkpoint holds; ValueError names a field that cannot be."""
    clock.only([field.name for field in dataclasses.fields(Clock)])
    epochs = trainer.recipe.epochs or LARGEST
    # a change of the batch changes how many steps an epoch has, to one for every image at most
    most = len(trainer.train_part) if trainer.changes else trainer.steps_per_epoch
    epoch, step = clock.whole("epoch", most=epochs), clock.whole("step", most=most)
    total_steps = clock.whole("total_steps", least=step, most=(epoch + 1) * most)
    seconds = ("elapsed_s", "validated_s", "validation_cost_s")
    # a run that has not taken a step has no first loss, which JSON of Python says as NaN
    first = clock.values.get("first_loss")
    first_loss = math.nan if isinstance(first, float) and math.isnan(first) else clock.number("first_loss")
    best = clock.table("best") if clock.values.get("best") else None
    followed = trainer.target.followed
    if best is not None:
        best.number("loss")
        if best.values.get(followed.name) is not None:
            best.number(followed.name)
    return Clock(
        epoch=epoch,
        step=step,
        total_steps=total_steps,
        loss_sum=clock.number("loss_sum"),
        correct=clock.values["correct"] if clock.number("correct") else 0,
        seen=clock.whole("seen", least=min(step, 1)),
        flop=_operations(clock, trainer, total_steps),
        first_loss=first_loss,
        best_epoch=clock.whole("best_epoch", least=-1),
        best=Score.from_dict(best.values, followed) if best is not None else None,
        **{name: clock.values[name] for name in seconds if clock.number(name) is not None},
        **_at_the_change(clock, most_steps=total_steps),
    )


def _operations(clock: Fields, trainer: Trainer, steps: int) -> float:
    """Return the operations so far; of a version that did not count them all steps were the same."""
    if "flop" in clock.values:
        return clock.number("flop", least=0)
    return steps * trainer.arithmetic.of_step(trainer.images_per_step)


def _at_the_change(clock: Fields, *, most_steps: int) -> dict[str, Any]:
    """Return what a clock says of the last change of the batch; nothing where it is of an earlier version."""
    if "changed_at" not in clock.values:
        return {}
    return {
        "changed_at": clock.whole("changed_at", most=most_steps),
        "images_before": clock.whole("images_before"),
        "progress_before": clock.number("progress_before", least=0, most=1),
        "steps_planned": clock.whole("steps_planned"),
    }


def _plateau(values: Fields) -> Plateau:
    values.only([field.name for field in dataclasses.fields(Plateau)])
    best = values.values.get("best")  # infinite before the first validation
    return Plateau(
        patience=values.whole("patience"),
        factor=values.number("factor", least=0, most=1),
        best=math.inf if best == math.inf else values.number("best"),
        epochs_without_gain=values.whole("epochs_without_gain"),
    )


def _checksum(text: str, tensors: dict[str, Tensor]) -> str:
    """Return CRC-32 over all that a checkpoint holds."""
    crc = zlib.crc32(text.encode())
    for name in sorted(tensors):
        crc = zlib.crc32(f"{name} {tuple(tensors[name].shape)} {tensors[name].dtype}".encode(), crc)
        crc = zlib.crc32(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().data, crc)
    return f"{crc:08x}"


def _optimiser_state(trainer: Trainer) -> dict[str, Tensor]:
    names: dict[Tensor, str] = {parameter: name for name, parameter in trainer.model.named_parameters()}
    return {
        f"{number}.{names[parameter]}.{slot}": value
        for number, optimiser in enumerate(trainer.optimisers)
        for parameter, slots in optimiser.state.items()
        for slot, value in slots.items()
    }


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
