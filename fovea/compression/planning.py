"""Which steps reach a target: `latency=4x`, `macs=10M`, `bytes=200k`; and why these.

Works without PyTorch.
"""

import re
from typing import NamedTuple

from fovea.compression.table import Row, scaled
from fovea.errors import UsageError

UNITS = {"latency": {"us": 1e-6, "ms": 1e-3, "s": 1.0}, "macs": {}, "bytes": {}}
"""What is measured, and units of its own."""
COUNTS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
EXAMPLES = "latency=4x, latency=2ms, macs=10M, bytes=200k"
MOST = {"latency": 8.0, "macs": 8.0, "bytes": 100.0}
"""Times that pruning and coding reach with any use; beyond, a smaller network is the way."""

FEW_VALUES, FEWER_VALUES = 4.0, 6.0
"""Times that 256 and that 32 values per layer, Huffman coded, save: 32 bits against about 8 and about 5."""
KEPT_BITS = 8.5
"""Of a weight that stays after sparsifying: about 5 for its value and 3.5 for its place (Han et al. 2015, table 4)."""
FEWEST_STEPS, MOST_EPOCHS = 600, 100
"""Of further training in a chain that is chosen."""
TABLE_BYTES = 5_000
"""What a card gets to say of the chain, and of how tensors are coded, about."""
INT8_TIMES = 2.0
"""What onnxruntime gains by integers on a processor that has instructions for them, at least (docs/int8.md)."""
PRUNED_ALONE = 2.5
"""Times up to which pruning alone is asked for a latency."""
WORTH = 1.2
"""Times that integers must gain where that was measured: a small network takes its time between the layers."""


TOLERANCE = {"latency": 0.1, "macs": 0.03, "bytes": 0.05}
"""Share of what is asked for by which less is as good: beyond, more was taken away than had to be."""


class Target(NamedTuple):
    """What is to be reached."""

    text: str
    what: str
    """`latency`, `macs` or `bytes`."""
    times: float | None
    """Of what it is now, one part in so many; None if `most` says it."""
    most: float | None
    """At most so much, in seconds, multiply-adds or bytes."""

    def asked(self, first: Row) -> float:
        """Return how many times less than in the first row is asked for. Raises: UsageError if it is no less."""
        now = measured(first, self.what)
        times = self.times or now / (self.most or now)
        if times <= 1:
            raise UsageError(f"`--target {self.text}`: the network already reaches it ({self.said(now)}).")
        return times

    def goal(self, first: Row) -> float:
        """Return what may be left, in seconds, multiply-adds or bytes."""
        return self.most if self.most is not None else measured(first, self.what) / (self.times or 1)

    def met(self, value: float, first: Row) -> bool:
        """Tell whether a value reaches the target, and takes away no more than it must, by the tolerance."""
        goal = self.goal(first)
        return goal * (1 - TOLERANCE[self.what]) <= value <= goal

    def said(self, value: float) -> str:
        """Return a value with its unit."""
        if self.what == "latency":
            return f"{1e3 * value:.3g} ms"
        return f"{scaled(value)}{'B' if self.what == 'bytes' else 'MAC'}"


class Chosen(NamedTuple):
    """A chain that was chosen."""

    steps: str
    reasons: tuple[str, ...]


def measured(row: Row, what: str) -> float:
    """Return what a target is about, of a row. Raises: UsageError if it is not known."""
    value = {"latency": row.latency[1].median_s, "macs": row.macs, "bytes": row.file_bytes}[what]
    if not value:
        raise UsageError(f"The {what} of this network are unknown: not all of its operations are counted.")
    return float(value)


def target_of(text: str) -> Target:
    """Return what `latency=4x` asks for. Raises: UsageError for another form."""
    what, _, value = text.partition("=")
    what, value = what.strip().lower(), value.strip()
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z]*)", value)
    if what not in UNITS or found is None:
        raise UsageError(
            f"`--target` (={text}) must be one of {', '.join(UNITS)} with a value, for example {EXAMPLES}."
        )
    number, unit = float(found[1]), found[2].lower()
    if unit == "x":
        if not 1 < number <= MOST[what]:
            raise UsageError(
                f"`--target {text}`: the factor must be above 1x and at most {MOST[what]:g}x. For more, train a "
                "smaller network with this one as teacher (`distil`)."
            )
        return Target(text, what, number, None)
    units = UNITS[what] or COUNTS
    if unit not in units or not number:
        known = ", ".join(name or "nothing" for name in ("x", *units))
        raise UsageError(
            f"`--target` (={text}): expected a number with one of these units: {known}; for example {EXAMPLES}."
        )
    return Target(text, what, None, number * units[unit])


def chosen(target: Target, first: Row, *, steps_per_epoch: int, integers: float | None = None) -> Chosen:
    """Return the steps for a target, and a line for each that says why. Raises: UsageError if there are none.

    A small data set is seen more often, so that further training has `FEWEST_STEPS` of the optimiser. `integers` is how
    many times less time the network as given takes in them, where that was measured.
    """
    least = min(MOST_EPOCHS, -(-FEWEST_STEPS // steps_per_epoch))
    times = target.asked(first)
    if times > MOST[target.what]:
        raise UsageError(
            f"`--target {target.text}` is {times:.3g} times less than now, and the limit is {MOST[target.what]:g}. "
            "Train a smaller network with this one as teacher (`distil`)."
        )
    if target.what == "bytes":
        return _for_bytes(times, of_tensors=_times_of_tensors(target, first, times), least=least)
    if target.what == "macs":
        return _for_macs(times, least=least)
    return _for_latency(times, least=least, integers=integers)


def wants_integers(target: Target, first: Row) -> bool:
    """Tell whether a target is a latency that pruning alone is not asked for."""
    return target.what == "latency" and target.asked(first) > PRUNED_ALONE


def epochs_for(times: float, *, least: int) -> int:
    """Return how many epochs, `least` of them, make good what so much less costs."""
    return max(least, 3 if times <= 2 else 5 if times <= 4 else 10)


def _times_of_tensors(target: Target, first: Row, times: float) -> float:
    """Return how many times fewer bytes tensors may take, where the rest of the file stays and gets a table.

    Raises: UsageError if the rest alone is too much.
    """
    rest = first.file_bytes - first.tensor_bytes + TABLE_BYTES
    room = first.file_bytes / times - rest
    if room <= 0 or first.tensor_bytes / room > MOST["bytes"]:
        raise UsageError(
            f"`--target {target.text}`: the card of the file alone needs about {scaled(rest)}B; choose a larger "
            "target, or reduce the tensors with `--steps`."
        )
    return first.tensor_bytes / room


def _for_bytes(asked: float, *, of_tensors: float, least: int) -> Chosen:
    times = of_tensors
    goal = f"{asked:.3g} times fewer bytes"
    if times <= FEW_VALUES:
        return Chosen(
            "share=8bit", (f"share=8bit: {goal} need at most 8 of 32 bits per weight; 256 values per layer are enough",)
        )
    if times <= FEWER_VALUES:
        return Chosen(
            "share=5bit", (f"share=5bit: {goal} need about 5 of 32 bits per weight; 32 values per layer are enough",)
        )
    share = min(0.98, round(1 - 32 / (KEPT_BITS * times), 3))
    epochs = epochs_for(times, least=least)
    return Chosen(
        f"sparsify={share:g},finetune={epochs},share=5bit",
        (
            f"sparsify={share:g}: {goal} leave {32 / times:.2g} bits per weight, without the card; a kept weight "
            f"needs about {KEPT_BITS:g} bits with its position",
            f"finetune={epochs}: recovers the accuracy, with the zeros fixed",
            "share=5bit: 32 values per layer, in Huffman codes",
        ),
    )


def _for_macs(times: float, *, least: int) -> Chosen:
    share, epochs = round(1 - 1 / times, 3), epochs_for(times, least=least)
    return Chosen(
        f"fold,prune={share:g},finetune={epochs}",
        (
            "fold: batch norms cost nothing inside convolutions, and the outputs do not change",
            f"prune={share:g}: whole channels, until there are {times:.3g} times fewer multiply-adds",
            f"finetune={epochs}: recovers the accuracy",
        ),
    )


def _for_latency(times: float, *, least: int, integers: float | None) -> Chosen:
    gain = f"{integers:.3g} times, as measured" if integers else f"{INT8_TIMES:g} times at least"
    alone = times <= PRUNED_ALONE or (integers is not None and integers < WORTH)
    pruned = times if alone else times / (integers or INT8_TIMES)
    if pruned <= 1:
        return Chosen("fold,int8", ("fold: batch norms take time", f"int8: gains {gain}"))
    share, epochs = round(1 - 1 / pruned, 3), epochs_for(pruned, least=least)
    steps = f"fold,prune={share:g}:latency,finetune={epochs}"
    reasons = (
        "fold: batch norms take time, but none inside convolutions",
        f"prune={share:g}:latency: whole channels, in widths that are faster when timed here",
        f"finetune={epochs}: recovers the accuracy",
    )
    if alone:
        return Chosen(steps, reasons)
    further = f"int8: gains {gain} in onnxruntime; pruning alone would cost more accuracy"
    return Chosen(f"{steps},int8", (*reasons, further))


def verdict(target: Target, first: Row, last: Row) -> tuple[bool, str]:
    """Return whether the last row reaches the target, and a line that says so."""
    now, before = measured(last, target.what), measured(first, target.what)
    reached = now <= target.most if target.most is not None else before / now >= (target.times or 1)
    times = f"{before / now:.3g} times less than {target.said(before)}"
    if not target.met(now, first):
        off = now / target.goal(first) - 1
        times += f", {abs(100 * off):.1f} % {'above' if off > 0 else 'below'} the target"
    elsewhere = target.what == "latency" and last.runs != first.runs
    where = f"; timed in {last.runs}, the original in {first.runs}" if elsewhere else ""
    return reached, f"{'reaches' if reached else 'misses'} `{target.text}`: {target.said(now)}, {times}{where}"
