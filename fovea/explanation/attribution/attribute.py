"""Attribution for any network, as one function: `fovea.attribute`.

Inputs are (N, C, H, W) float, as the network takes them: normalised.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fovea.errors import ShapeError, UsageError, first_line
from fovea.explanation.attribution.methods import Method, method_named
from fovea.explanation.attribution.registry import Attribution, Progress
from fovea.explanation.objective import Objective
from fovea.explanation.outputs import evaluating, in_batches, matching
from fovea.explanation.target_layer import check_map, target_layer

Answers = int | Sequence[int] | Tensor
"""The number of an output, for all inputs or one for each of them: (N,) int64 where it is a tensor."""


def attribute(
    model: nn.Module,
    x: Tensor,
    method: str = "gradcam",
    *,
    answer: Answers | None = None,
    against: Answers | None = None,
    layer: str | None = None,
    batch: int = 32,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    """Return how much each place of inputs `x` (N, C, H, W) float counts for an answer of any network.

    `values` of what is returned are (N, h, w) float32 on the CPU, of the input's size or the feature map's; `at` brings
    them to any size. `method` is one of `fovea.explanation.attribution.methods.METHODS`. The network gives outputs
    (N, K), one per answer; `answer` is the number of one, by default the largest of each row, and the evidence for it
    is that output; `against` names an answer whose evidence is subtracted. `layer` is the path of the module whose map
    is weighed, the last spatial activation where it is None. At most `batch` inputs pass at a time, of those that a
    method makes as of `x`; `seed` decides on what it draws; `progress` gets how much is done, and of how much.

    The network is in evaluation mode meanwhile, and then as it was. `x` is moved to its device and type.

    >>> model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 5))
    >>> attribute(model, torch.zeros(4, 1, 8, 8), "saliency").values.shape
    torch.Size([4, 8, 8])

    Raises:
        UsageError: an unknown method, layer or answer, or a network that the method does not take.
        ShapeError: inputs or outputs of another shape.
    """
    chosen = method_named(method)
    _check(x, chosen, layer)
    found, told = list[Attribution](), progress or (lambda _, __: None)
    # a tensor of inference mode has no gradient
    with torch.inference_mode(False), evaluating(model):
        for part in in_batches(x, batch):
            first, given = sum(len(each.values) for each in found), matching(model, part.detach().clone())
            rows = slice(first, first + len(given))
            objective = _objective(model, given, rows, len(x), answer=answer, against=against)
            if chosen.layered:
                layer = _layer(model, given, layer, checked=first > 0)
            counted = _counter(told, first, len(given), len(x))
            found.append(chosen(model, given, objective, layer=layer, batch=batch, seed=seed, progress=counted))
    told(len(x), len(x))
    return _joined(found)


def _check(x: Tensor, method: Method, layer: str | None) -> None:
    if x.ndim - 2 not in method.axes or not len(x):
        others = "; (N, C, T) of series, (N, C, T, H, W) of clips" if len(method.axes) > 1 else ""
        raise ShapeError(f"`x` has shape {tuple(x.shape)}; it must be (N, C, H, W) with at least one input{others}.")
    if not x.dtype.is_floating_point:
        kind = str(x.dtype).removeprefix("torch.")
        raise UsageError(f"`x` is of {kind}; it must be float, normalised for the network.")
    if layer is not None and not method.layered:
        raise UsageError(
            f"`layer` (={layer}) works only for methods that weigh feature maps; {method.name} explains the input."
        )


def _objective(
    model: nn.Module, x: Tensor, rows: slice, count: int, *, answer: Answers | None, against: Answers | None
) -> Objective:
    """Return what is asked of inputs `x` (n, C, H, W), the `rows` of `count`."""
    try:
        with torch.no_grad():
            outputs = model(x.clone())  # a network may begin in place
    except Exception as error:  # a network may raise anything
        taken = "must be (N, C, H, W) of images, (N, C, T) of series or (N, C, T, H, W) of clips, as the network takes"
        raise ShapeError(f"`x` has shape {tuple(x.shape)}, and {taken}: {first_line(error)}.") from error
    if not isinstance(outputs, Tensor) or outputs.ndim != 2:
        given = tuple(outputs.shape) if isinstance(outputs, Tensor) else f"of type `{type(outputs).__name__}`"
        raise ShapeError(f"The network's output is {given}; it must be a tensor (N, K), one output for each answer.")
    chosen = [
        None if one is None else _indices(name, one, outputs, rows, count)
        for name, one in (("answer", answer), ("against", against))
    ]
    return Objective(answers=outputs.argmax(1) if chosen[0] is None else chosen[0], against=chosen[1])


def _indices(name: str, given: Answers, outputs: Tensor, rows: slice, count: int) -> Tensor:
    """Return the answers (n,) int64 to some rows of `count`, which have outputs (n, K)."""
    every = torch.as_tensor(given, device=outputs.device).long().reshape(-1)
    if len(every) not in (1, count):
        raise ShapeError(f"`{name}` has {len(every)} answers for {count} inputs.")
    if int(every.min()) < 0 or int(every.max()) >= outputs.shape[1]:
        raise UsageError(f"`{name}` (={given}) must be from 0 to {outputs.shape[1] - 1}: the network's outputs.")
    return every.expand(count)[rows]


def _layer(model: nn.Module, x: Tensor, layer: str | None, *, checked: bool) -> str:
    if layer is None:
        return target_layer(model, x)
    if not checked:
        check_map(model, x, layer)
    return layer


def _counter(told: Progress, first: int, some: int, count: int) -> Progress:
    """Return what is told how far `some` inputs are, and tells how far all are."""
    return lambda done, total: told(first * total + done * some, count * total)


def _joined(parts: Sequence[Attribution]) -> Attribution:
    figures = {name: torch.cat([part.figures[name] for part in parts]) for name in parts[0].figures}
    return Attribution(values=torch.cat([part.values for part in parts]), layer=parts[0].layer, figures=figures)
