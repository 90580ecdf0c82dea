"""Steps towards a target: what each is to do is measured, and corrected, before the chain goes on.

`prune` is taken again from where it began, with another share, until what is left is what was asked for. What
`sparsify` and `share` come to in bytes is known before they train: values are found, and coded, on a copy.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torch import nn

from fovea.compression.planning import Target
from fovea.compression.pruning.sparsify import CubicSchedule, Sparsifier
from fovea.compression.share import Share
from fovea.compression.step import Done
from fovea.compression.steps import Asked, parsed
from fovea.errors import UsageError
from fovea.layers import copied
from fovea.model.bundle import Bundle, save_bundle
from fovea.runs.chain.measured import macs_of, timing_of

if TYPE_CHECKING:
    from fovea.runs.chain.chain import Chain

TRIES = 4
"""Times that a network is pruned at most, for one target."""
HALVINGS = 7
"""Of the range in which the share of zeros is looked for."""
LEAST, MOST = 0.02, 0.98
"""Shares that may go."""
FEWEST_BITS, MOST_BITS = 3, 8
"""Of a weight that shares its value."""
SHARED_BITS = 5
"""Of those that are left of a network that was made sparse."""
ROW_BYTES = 900
"""What a card gets for each further step, and for the scores on test, about."""


@dataclass(frozen=True)
class _Tried:
    amount: float
    value: float
    asked: Asked
    done: Done


def corrected(chain: "Chain", asked: Asked, index: int) -> tuple[Asked, Done]:
    """Return a step as it was taken, and what came of it; where the chain has a target, with what it takes to reach it.

    Errors as the step's.
    """
    target, name = chain.settings.target, asked.kind.name
    if target is not None and name == "prune" and target.what != "bytes":
        found = _pruned(chain, asked, index, target)
        asked, done = found.asked, found.done
    else:
        if target is not None and target.what == "bytes" and name in ("sparsify", "share"):
            asked = (_sparse if name == "sparsify" else _sharing)(chain, asked, target.goal(chain.rows[0]))
        done = asked(chain.bundle.model, chain.work(asked, index))
    steps = list(chain.settings.steps)
    steps[index] = asked
    chain.settings = replace(chain.settings, steps=tuple(steps))
    return asked, done


def _pruned(chain: "Chain", asked: Asked, index: int, target: Target) -> _Tried:
    """Return the network pruned by the share that leaves what the target asks for, or comes nearest to it."""
    first = chain.rows[0]
    goal = target.goal(first)
    now = _value(chain, chain.bundle, target)
    tried: list[_Tried] = []
    refused: UsageError | None = None
    amount, most = _within(1 - goal / now), 1.0
    for _ in range(TRIES):
        step = parsed(f"prune={amount:.4g}:{target.what}")[0]
        try:
            done = step(copied(chain.bundle.model), chain.work(step, index))
        except UsageError as error:  # so much may not go
            refused, most = error, amount
            amount = _within((max((one.amount for one in tried), default=0.0) + most) / 2)
            continue
        value = _value(chain, replace(chain.bundle, model=done.model, card=chain.card_of(done)), target)
        tried.append(_Tried(amount, value, step, done))
        chain.display.note(f"{step.text}: {target.said(value)} are left; the target is {target.said(goal)}")
        if target.met(value, first):
            break
        amount = _next(tried, goal, most=most)
        if any(abs(one.amount - amount) < 1e-4 for one in tried):
            break
    if refused is not None:
        if not tried:
            raise refused
        chain.display.note(f"{asked.kind.name}: {refused}")
    return min(tried, key=lambda one: (one.value > goal, abs(one.value - goal)))


def _next(tried: list[_Tried], goal: float, *, most: float) -> float:
    """Return the share that would have left the goal, were the cost in proportion; between those on both sides.

    It lies below `most`, which may not go.
    """
    last = tried[-1]
    amount = 1 - (1 - last.amount) * goal / last.value
    below = max((one.amount for one in tried if one.value > goal), default=0.0)
    above = min((one.amount for one in tried if one.value <= goal), default=most)
    return _within(amount if below < amount < above else (below + above) / 2)


def _within(amount: float) -> float:
    return min(MOST, max(LEAST, amount))


def _value(chain: "Chain", bundle: Bundle, target: Target) -> float:
    """Return what the target is about, of a network as the last row will measure it."""
    if target.what == "macs":
        return float(macs_of(bundle) or 0)
    measured = chain.settings.in_integers
    return timing_of(bundle, 1).median_s if measured is None else measured(bundle)


def _sparse(chain: "Chain", asked: Asked, goal: float) -> Asked:
    """Return `sparsify` with the least share of zeros with which the file, coded, may reach the goal."""

    def bytes_at(amount: float) -> float:
        def change(model: nn.Module) -> None:
            sparsifier = Sparsifier(model, CubicSchedule(amount=amount), steps=1)
            sparsifier(model)
            sparsifier.finish()

        return _coded_bytes(chain, change, bits=SHARED_BITS)

    least, most = LEAST, MOST
    for _ in range(HALVINGS):
        amount = (least + most) / 2
        least, most = (least, amount) if bytes_at(amount) <= goal else (amount, most)
    return parsed(f"sparsify={most:.4g}:{asked.value[1]:g}")[0]


def _sharing(chain: "Chain", asked: Asked, goal: float) -> Asked:
    """Return `share` with the most bits with which the file, coded, reaches the goal; with the fewest if none does."""
    for bits in range(MOST_BITS, FEWEST_BITS - 1, -1):
        if _coded_bytes(chain, lambda model: None, bits=bits) <= goal:
            break
    return parsed(f"share={bits}bit:{asked.value[1]:g}")[0]


def _coded_bytes(chain: "Chain", change: Callable[[nn.Module], None], *, bits: int) -> int:
    """Return the bytes of the file of the network with shared values, which training does not make more."""
    model, scratch = copied(chain.bundle.model), chain.kept.scratch
    change(model)
    Share(bits=bits, epochs=0)(model, chain.work(parsed(f"share={bits}bit")[0], 0))
    further = len(chain.settings.steps) + 1 - len(chain.rows)
    try:
        save_bundle(scratch, model.eval(), chain.bundle.card, coded=True)
        return scratch.stat().st_size + ROW_BYTES * (further + 1)
    finally:
        scratch.unlink(missing_ok=True)
