"""Any unit of a pass: its arithmetic by the rule of its operation, and the region of every earlier map that it sees."""

from collections.abc import Callable

import numpy as np

from fovea.errors import UsageError
from fovea.explanation.units import moves, sums, windows
from fovea.explanation.units.arithmetic import Arithmetic
from fovea.explanation.units.reading import Index, Reads, Region, hull, numbers
from fovea.explanation.units.tape import Call, Tape, Value

Written = Callable[[Call, Index], Arithmetic]
Seen = Callable[[Call, Region], Reads]


def arithmetic(tape: Tape, value: Value, index: Index) -> Arithmetic:
    """Return how the number at `index` of a value of the pass comes about.

    Raises:
        UsageError: no such place in it.
    """
    call, tensor = tape.calls[value.call], tape.tensor(value)
    if len(index) != tensor.ndim or any(not 0 <= at < size for at, size in zip(index, tensor.shape, strict=True)):
        raise UsageError(f"The unit {index} is outside the shape {tuple(tensor.shape)}.")
    if moves.is_move(call):
        return moves.moved(call, index, value.output)
    rule = _rules(call)[0] if value.output == 0 else None
    return _told(call, value, index) if rule is None else rule(call, index)


def field(tape: Tape, value: Value, region: Region) -> dict[Value, Region]:
    """Return which region of each earlier value of the pass a region of one depends on, the value itself included.

    A region is the smallest box that holds what is read: of two paths of a network it holds both.
    """
    found: dict[Value, Region] = {value: region}
    for number in range(value.call, 0, -1):
        call = tape.calls[number]
        for output in range(len(call.outputs)):
            own = found.get(Value(number, output))
            if own is None or any(low >= high for low, high in own):
                continue
            for source, read in _reads(call, own, output):
                found[source] = hull(found[source], read) if source in found else read
    return found


def _reads(call: Call, region: Region, output: int) -> Reads:
    if moves.is_move(call):
        return moves.moved_reads(call, region, output)
    return _rules(call)[1](call, region)


def _told(call: Call, value: Value, index: Index) -> Arithmetic:
    """Return the network's own value, where no rule writes out how it comes about."""
    network = float(numbers(call.outputs[value.output][index]))
    return Arithmetic(
        title=call.title,
        formula=f"`{call.name}` has no written-out arithmetic",
        value=network,
        network=network,
        values=np.empty(0),
        exact=False,
    )


def _rules(call: Call) -> tuple[Written | None, Seen]:
    """Return the two rules of an operation: how a unit comes about, and what a region reads."""
    for begin, rules in RULES.items():
        if call.name.startswith(begin):
            return rules
    if "pointwise" in call.tags or call.name.startswith(POINTWISE):
        return moves.pointwise, moves.pointwise_reads
    return None, moves.everything_reads


POINTWISE = ("hardtanh", "relu", "threshold", "prelu", "_prelu_kernel", "rsub")
"""Operations on single numbers that PyTorch does not tag so everywhere."""

_POOLING: tuple[Written, Seen] = (windows.pooling, windows.pooling_reads)
_RESIZING: tuple[Written, Seen] = (moves.interpolated, moves.everything_reads)
_REDUCTION: tuple[Written, Seen] = (sums.reduction, sums.reduction_reads)

RULES: dict[str, tuple[Written | None, Seen]] = {
    "convolution": (windows.convolution, windows.convolution_reads),
    **dict.fromkeys(("max_pool", "avg_pool", "adaptive_", "_adaptive_avg_pool"), _POOLING),
    **dict.fromkeys(sums.FACTORS, (sums.dense, sums.dense_reads)),
    "native_batch_norm": (sums.batch_norm, sums.batch_norm_reads),
    "_native_batch_norm_legit_no_training": (sums.batch_norm, sums.batch_norm_reads),
    "native_group_norm": (sums.group_norm, sums.group_norm_reads),
    "native_layer_norm": (sums.layer_norm, sums.layer_norm_reads),
    **dict.fromkeys(("_softmax", "_log_softmax"), (sums.softmax, sums.softmax_reads)),
    **dict.fromkeys(("mean", "sum", "amax", "amin"), _REDUCTION),
    "upsample_": _RESIZING,
}
"""By how the operation's name begins."""
