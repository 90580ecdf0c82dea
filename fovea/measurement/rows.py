"""The rows of a walk, with the parameters and buffers that belong to each."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from fovea.measurement.axes import State
from fovea.measurement.ledger import Draft, memory
from fovea.measurement.quantised import packed_counts
from fovea.measurement.result import Field, Layer
from fovea.measurement.walk import Walk

Counts = defaultdict[str, dict[str, Any]]
"""By path and column: integers."""


def layers_of(walk: Walk, model: nn.Module, kept: Mapping[str, int] | None) -> tuple[Layer, ...]:
    """Return the rows in order; last, those that did not run but have parameters, or keep bytes in training.

    `kept` are these bytes by path, None if they are unknown.
    """
    counts, index = _counted(walk, model), {draft: i for i, draft in enumerate(walk.drafts)}
    rows = [_layer(draft, counts[draft.path], kept, index) for draft in walk.drafts]
    paths, modules = {row.path for row in rows}, dict(model.named_modules())
    for path in dict.fromkeys((*counts, *(kept or ()))):
        bytes_ = None if kept is None else kept.get(path, 0)
        if path not in paths and (counts[path] or bytes_):
            # a module by its class; an operation that runs in training only by its name, out of `block1.add()#2`
            type_ = type(modules[path]).__name__ if path in modules else path.rpartition(".")[2].partition("(")[0]
            rows.append(Layer(path=path, type=type_, ran=False, kept_bytes=bytes_, **counts[path]))
    return tuple(rows)


def field_of(state: State) -> Field | None:
    """Return the receptive field of a state, where it has one."""
    if not isinstance(state, tuple):
        return None
    return tuple(replace(place.axis, dim=place.dim if place.inner == 1 else None) for place in state)


def _layer(
    draft: Draft, counts: Mapping[str, Any], kept: Mapping[str, int] | None, index: Mapping[Draft, int]
) -> Layer:
    return Layer(
        path=draft.path,
        type=draft.type,
        input_shapes=tuple(draft.inputs),
        output_shapes=tuple(draft.outputs),
        macs=draft.macs,
        uncounted=tuple(dict.fromkeys(draft.uncounted)),
        activation_bytes=draft.activation_bytes,
        kept_bytes=None if kept is None else kept.get(draft.path, 0),
        field=field_of(draft.state),
        branches=tuple(map(tuple, draft.branches)),
        leftovers=tuple(draft.leftovers),
        # sources that were merged away with their module are found by `row`; what is no row has no index
        sources=tuple(sorted({index[source.row] for source in draft.sources if source.row in index})),
        **counts,
    )


def _counted(walk: Walk, model: nn.Module) -> Counts:
    """Return the parameters and buffers of each row: the first that reads them, or the module they stand in."""
    counts: Counts = defaultdict(dict)
    for name, tensor in _tensors(model):
        reader = walk.ledger.reader.get(memory(walk.without_values(tensor)))
        row = counts[name.rpartition(".")[0] if reader is None else reader.row.path]
        parameter = isinstance(tensor, nn.Parameter)
        column = "buffers" if not parameter else "parameters" if tensor.requires_grad else "frozen"
        row[column] = row.get(column, 0) + tensor.numel()
        if parameter:
            row["parameter_bytes"] = row.get("parameter_bytes", 0) + tensor.nbytes
    for path, row in packed_counts(model).items():
        counts[path] = {key: counts[path].get(key, 0) + value for key, value in row.items()} | {
            key: value for key, value in counts[path].items() if key not in row
        }
    return counts


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield parameters and buffers with their names, each once, but for counters, which have no dimension."""
    yield from model.named_parameters()
    yield from ((name, buffer) for name, buffer in model.named_buffers() if buffer.ndim)
