"""From walks through a network to its measurement."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from fovea.errors import ShapeError, first_line
from fovea.layers import PredefinedSparseConv2d, computed, copied
from fovea.measurement.axes import Lost
from fovea.measurement.fitting import nearest
from fovea.measurement.result import Group, Layer, Measurement, Shape, shape_text, total_of
from fovea.measurement.rows import field_of, layers_of
from fovea.measurement.rules import broken
from fovea.measurement.walk import Walk, readable

TRAINING_BATCH = 2
"""Images of the walk in training mode: a batch norm refuses a single value per channel."""
DECIDES = "the forward pass depends on the data"
OTHERWISE = "another image may take a different path, with other layers and MACs."
LISTED = 8
"""Rows before the failing one that an error lists."""


def measure_network(model: nn.Module, input_shape: Sequence[int], *, name: str = "") -> Measurement:
    """Return what each layer of `model` costs and sees, for one image of `input_shape`, (C, H, W).

    It is walked in evaluation mode without data, and once more in training mode for what that keeps. A network that
    decides by its data runs once on a random image; receptive field and kept bytes are then missing. `model` is left
    as it was.

    Raises:
        ShapeError: the forward pass fails; the message names the layer, the rule it breaks and the shapes up to there.
    """
    shape = tuple(input_shape)
    walk = Walk(virtual=True)
    try:
        model = _initialised(model, shape)
        twin = without_values(model)
        with _modes_kept(twin):  # a model without values is its own twin
            _run(walk, twin, shape, training=False)
            kept, missing = _kept(twin, shape)
    except Exception as error:  # a network may raise anything
        # what has no values cannot run on an image; for the others that decides whether the network is at fault
        if any(parameter.is_meta for parameter in model.parameters()):
            raise _failure(walk, shape, error) from error
        return _measured_on_data(model, shape, name=name, reason=_why_not_without(walk, error))
    return _assembled(walk, twin, shape, name=name, kept=kept, missing=missing)


def _why_not_without(walk: Walk, error: Exception) -> str:
    """Return why a network cannot be walked without values."""
    reason = first_line(error)
    if walk.operation is None or walk.decides:
        return f"{DECIDES} ({reason})"
    return f"its operation `{readable(*walk.operation)}` does not run on the `meta` device"


def without_values(model: nn.Module) -> nn.Module:
    """Return a copy of the network whose parameters and buffers have shapes and no values; itself if they are so."""
    tensors = [*model.parameters(), *model.buffers()]
    if tensors and all(tensor.is_meta for tensor in tensors):
        return model
    # deepcopy takes a twin for a tensor whose id its memo knows; one tensor used twice is one twin used twice
    twins: dict[int, object] = {}
    for tensor in tensors:
        meta = tensor.detach().to("meta")
        twins[id(tensor)] = nn.Parameter(meta, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else meta
    # weights that every pass computes anew, whose graph cannot be copied
    twins |= {id(tensor): tensor.detach().to("meta") for tensor in computed(model)}
    return copy.deepcopy(model, twins)


def _initialised(model: nn.Module, shape: Shape) -> nn.Module:
    """Return the network, or where it has lazy layers a copy in which they have taken shape."""
    if not any(is_lazy(tensor) for tensor in (*model.parameters(), *model.buffers())):
        return model
    model = copied(model).eval()
    with torch.no_grad():
        model(torch.zeros(1, *shape))
    return model


def _run(walk: Walk, model: nn.Module, shape: Shape, *, training: bool) -> None:
    floating = [parameter.dtype for parameter in model.parameters() if parameter.is_floating_point()]
    model.train(training)
    batch = TRAINING_BATCH if training else 1
    x = torch.empty(batch, *shape, dtype=next(iter(floating), None), device="meta")
    walk.run(model, x, fields=not training)


def _kept(twin: nn.Module, shape: Shape) -> tuple[dict[str, int] | None, dict[str, str]]:
    """Return the bytes of each row that a training keeps for one image, or why that is missing."""
    walk = Walk(virtual=True)
    try:
        _run(walk, twin, shape, training=True)
    except Exception as error:  # a network may raise anything
        return None, {"kept_bytes": f"the forward pass in training mode fails: {first_line(error)}"}
    return {draft.path: draft.kept_bytes // TRAINING_BATCH for draft in walk.drafts}, {}


def _measured_on_data(model: nn.Module, shape: Shape, *, name: str, reason: str) -> Measurement:
    walk = Walk(virtual=False)
    place = next(model.parameters(), torch.empty(0))
    # drawn on the processor and then moved: the same image on every device
    x = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0))
    try:
        with _modes_kept(model):
            walk.run(model.eval(), x.to(place.device, place.dtype))
    except Exception as error:  # a network may raise anything
        raise _failure(walk, shape, error) from error
    for draft in walk.drafts:
        draft.state, draft.branches = None, ()
    missing = dict.fromkeys(("receptive_field", "kept_bytes"), reason)
    note = "Measured on one random image" + (f": {OTHERWISE}" if reason.startswith(DECIDES) else ".")
    return _assembled(walk, model, shape, name=name, missing=missing, notes=(note,))


@contextmanager
def _modes_kept(model: nn.Module) -> Iterator[None]:
    """Put every module back into its own mode, training or evaluation, on exit."""
    modes = {module: module.training for module in model.modules()}
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def _assembled(
    walk: Walk,
    model: nn.Module,
    shape: Shape,
    *,
    name: str,
    missing: Mapping[str, str],
    kept: Mapping[str, int] | None = None,
    notes: tuple[str, ...] = (),
) -> Measurement:
    layers = layers_of(walk, model, kept)
    nonzero = _nonzero(model, layers)
    groups = tuple(
        Group(
            path=frame.name,
            type=frame.type,
            first=frame.first,
            stop=frame.stop,
            input_shapes=tuple(frame.inputs),
            output_shapes=tuple(frame.outputs),
            field=field_of(frame.state),
        )
        for frame in walk.groups
    )
    return Measurement(
        name=name,
        input_shape=shape,
        layers=layers,
        groups=groups,
        total=total_of(layers),
        fitting=_fitting(walk, layers, shape),
        missing={**_uncounted(layers), **_lost(walk), **missing},
        nonzero=nonzero,
        notes=(*notes, *_about_zeros(nonzero)),
    )


def _nonzero(model: nn.Module, layers: tuple[Layer, ...]) -> dict[str, int]:
    """Return parameters and MACs without those of fixed zeros; empty if there are none such."""
    sparse = {path: m for path, m in model.named_modules() if isinstance(m, PredefinedSparseConv2d)}
    total = total_of(layers)
    parameters, macs = total.parameters + total.frozen, total.macs
    for layer in layers:
        if module := sparse.get(layer.path.partition("#")[0]):
            macs -= layer.macs - layer.macs * module.nonzero // module.weight.numel()
    for module in sparse.values():
        parameters -= module.weight.numel() - module.nonzero
    return {"parameters": parameters, "macs": macs} if sparse else {}


def _about_zeros(nonzero: Mapping[str, int]) -> tuple[str, ...]:
    """Return what the table does not say of weights that are fixed at zero."""
    if not nonzero:
        return ()
    return (
        "Some weights are fixed at zero by a pattern, and the table counts them like others. Without them there "
        f"are {nonzero['parameters']:,} parameters and {nonzero['macs']:,} MACs.",
    )


def _fitting(walk: Walk, layers: Sequence[Layer], shape: Shape) -> tuple[tuple[int, ...], ...]:
    """Return for each axis of the input the nearest sizes at which every stride divides, if one does not here."""
    if not any(layer.leftovers for layer in layers):
        return ()
    return tuple(nearest(walk.strided.get(axis, ()), size) for axis, size in enumerate(shape[1:]))


def _uncounted(layers: Sequence[Layer]) -> dict[str, str]:
    """Return which operations may multiply and are not counted."""
    found = {name: row.path or row.type for row in reversed(layers) for name in row.uncounted}
    names = " and ".join(f"`{name}` (in `{path}`)" for name, path in list(found.items())[:3])
    return {"macs": f"not counted: {names}{' and others' if len(found) > 3 else ''}"} if found else {}


def _lost(walk: Walk) -> dict[str, str]:
    """Return why receptive fields are missing, and from where on."""
    for draft in walk.drafts:
        if isinstance(draft.state, Lost):
            return {"receptive_field": f"from `{draft.path}` on: {draft.state.reason}"}
    return {}


def _failure(walk: Walk, shape: Shape, error: Exception) -> ShapeError:
    """Return the error that says which layer fails, which rule it breaks, and the shapes up to there."""
    where, given = "The forward pass", shape_text((1, *shape))
    if walk.running:
        frame = walk.running[-1]
        where = f"`{frame.name}` ({frame.type})" if frame.name else f"`{frame.type}`"
        given = " and ".join(map(shape_text, frame.inputs)) or "no tensor"
    rule = walk.operation and broken(*walk.operation) or f"{first_line(error).rstrip('.')}."
    rows = [f"{draft.path} {shape_text(draft.outputs[0])}" for draft in walk.drafts if draft.outputs]
    path = ", ".join((["..."] if len(rows) > LISTED else []) + rows[-LISTED:]) or "nothing"
    return ShapeError(f"{where} fails on an input of {given}: {rule} Up to there: {path}.")
