"""Whole channels and blocks are taken out of a network until it costs what it may.

In each of some rounds it is measured what the network loses without each group's channels and each block; then a plan
is made of what does least for what it spares, carried out, and the result measured.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from fovea.compression.blocks import Gone, residual_blocks
from fovea.compression.channels import Channels, channel_groups, remove
from fovea.compression.pruning.clock import Clock
from fovea.compression.pruning.held import held_by
from fovea.compression.pruning.importance import Samples
from fovea.compression.pruning.judging import Damages, narrowing, orders_of, scores_of, widths_of
from fovea.compression.pruning.selection import EXACT, Leaving, Plan, Planner
from fovea.compression.pruning.sensitivity import SHARES, Judged, Sensitivity, sensitivity
from fovea.compression.pruning.targets import UNITS, Costs, LayerAt, layers_at
from fovea.compression.step import Done
from fovea.errors import UsageError
from fovea.layers import copied
from fovea.texts import percent, scaled

TRIES = 6
"""Plans that are carried out on a copy, and measured, before one is kept."""
LISTED, MENTIONED = 3, 12
"""Fixed groups, and narrower ones, that a line names."""
AFFORDABLE_MACS = 1e12
"""What the sensitivities take in a round at most, half a minute or so, and the rest of a round as well.

Networks of large inputs take longer: of an image of 256 pixels, with its boxes or mask, few tell enough.
"""
FEWEST, FEWEST_STATISTICS = 8, 32
"""Samples that the sensitivities, and importance and the statistics of norms, take at least."""
PASSES = 4
"""That importance, by gradients, and statistics take together: forwards, twice as much backwards, forwards."""
ENDS = "they are the network's"
"""Begins the reasons why its inputs and outputs stay, which need no mention."""
CLOSE = 0.01
"""A plan is good enough that leaves what may be left, or less by this share of the whole at most."""


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """What is to go, and how it is chosen.

    Raises:
        UsageError: a share out of range, an unknown target, or `latency` without a clock.
    """

    amount: float
    """Share of the cost that goes, above 0 and below 1."""
    target: str = "macs"
    """What is counted: `macs`, `params`, `bytes`, `latency` or `energy`."""
    importance: str = "taylor"
    """What orders the channels of a group: `magnitude`, `norm` or `taylor`."""
    blocks: bool = True
    """Whether whole residual blocks may go; only where samples tell what that does."""
    clock: Clock | None = None
    """Times layers, so that only widths are chosen that are faster than all larger ones; None takes any width."""
    least: float = 0.1
    """Share of every group that stays."""
    rounds: int = 3
    """In which it goes, where samples tell what is lost: that is measured anew for each, as what goes together costs
    more than the sum."""

    def __post_init__(self) -> None:
        if not 0 < self.amount < 1:
            raise UsageError(f"`prune` (={self.amount}) must be above 0 and below 1: the fraction to remove.")
        if not 0 <= self.least < 1:
            raise UsageError(
                f"`least` (={self.least}) must be at least 0 and below 1: the fraction of a group to keep."
            )
        if self.rounds < 1:
            raise UsageError(f"`rounds` (={self.rounds}) must be 1 or more.")
        Costs(target=self.target, clock=self.clock)


@dataclass(frozen=True, kw_only=True)
class Pruned(Done):
    """What pruning has made."""

    before: float
    """What the network cost, in the unit of the target."""
    after: float
    widths: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """By name of group: channels before and after, of those that became narrower."""
    blocks: tuple[str, ...] = ()
    """Those that were removed."""
    sensitivity: Sensitivity | None = None
    """What was measured before; None without samples."""


@dataclass
class _Work:
    """What is known of a network that is to be pruned."""

    model: nn.Module
    pruning: Pruning
    channels: Channels
    scores: Mapping[str, Tensor]
    """By name of group: the importance of its channels, (channels,) float32."""
    orders: Mapping[str, Judged]
    layers: Mapping[str, LayerAt]
    costs: Costs
    before: float

    def done(self, model: nn.Module, plan: Plan) -> list[dict[str, Any]]:
        """Carry out a plan on `model`, in place, and return the changes."""
        keep = {
            name: sorted(self.orders[name].order[len(self.orders[name].order) - kept :])
            for name, kept in plan.widths.items()
        }
        changes = list(remove(model, self.channels, keep)) if keep else []
        if plan.blocks:
            gone = Gone(plan.blocks)
            gone.apply(model)
            changes.append(gone.to_dict())
        return changes


def prune(
    model: nn.Module,
    input_shape: Sequence[int],
    pruning: Pruning,
    *,
    samples: Samples | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Pruned:
    """Take channels and blocks out of `model`, in place, until the share `pruning.amount` of its cost is removed.

    `samples` of the training split tell what the network loses; without them the importance of what goes does, and one
    round takes all. Norms get the statistics of what is left from them. For inputs (C, *sizes).

    Raises:
        UsageError: nothing may go, with the layers and why, or not so much; the network is left as it was.
    """
    rounds = 1 if samples is None else pruning.rounds
    if samples is not None:
        samples = _few(samples, layers_at(model, input_shape), passes=PASSES, fewest=FEWEST_STATISTICS)
    first = work = _work(model, input_shape, pruning, samples)
    done = Pruned(model=model, before=first.before, after=first.before)
    for number in range(1, rounds + 1):
        if number > 1:
            try:
                work = _work(model, input_shape, pruning, samples)
            except UsageError:  # nothing more may go
                break
        blocks = residual_blocks(model, input_shape) if pruning.blocks and samples else ()
        found = None
        if samples is not None:
            passes = 1 + len(SHARES) * len(work.orders) + len(blocks)
            few = _few(samples, work.layers, passes=passes, fewest=FEWEST)
            found = sensitivity(
                model, few, list(work.orders.values()), blocks=blocks, progress=_in_round(progress, number, rounds)
            )
        last = number == rounds
        planner = _planner(work, found, floors={group.name: len(group) for group in first.channels.groups})
        if number == 1:
            planner().reach(1 - pruning.amount)  # before anything goes: whether so much may
        wanted = (1 - pruning.amount) ** (number / rounds) * first.before / work.before
        try:
            plan, after = _reached(work, planner, input_shape, wanted=wanted, last=last)
        except UsageError:
            if number == 1:
                raise
            break
        done = _with(done, work, plan, after=after, changes=work.done(model, plan), found=found)
        if samples is not None:
            renew_statistics(model, [inputs for inputs, _ in samples.batches])
    notes = _notes(done, first)
    share, wanted = done.after / done.before, 1 - pruning.amount
    if share > wanted + CLOSE:
        held = held_by(model, input_shape, first.costs)
        notes = (f"{percent(share)} are left, more than the {percent(wanted)} asked for; most is in {held}", *notes)
    return replace(done, notes=notes)


def _in_round(
    progress: Callable[[int, int], None] | None, number: int, rounds: int
) -> Callable[[int, int], None] | None:
    """Return what shows of one round, counted from 1, how far all of them are."""
    if progress is None:
        return None
    return lambda done, total: progress((number - 1) * total + done, rounds * total)


def _work(model: nn.Module, input_shape: Sequence[int], pruning: Pruning, samples: Samples | None) -> _Work:
    """Return what is known of a network. Raises: UsageError if nothing may go."""
    channels = channel_groups(model, input_shape)
    costs = Costs(target=pruning.target, clock=pruning.clock)
    scores, unjudged = scores_of(model, channels.free, importance=pruning.importance, samples=samples)
    groups = [replace(group, fixed=unjudged.get(group.name, group.fixed)) for group in channels.groups]
    channels = replace(channels, groups=tuple(groups))
    orders = orders_of(model, channels, scores)
    if not orders and not (pruning.blocks and samples and residual_blocks(model, input_shape)):
        raise UsageError(f"`prune` found no channels to remove: {_reasons(channels)}")
    layers = layers_at(model, input_shape)
    return _Work(model, pruning, channels, scores, orders, layers, costs, costs.network(model, input_shape))


def _with(
    done: Pruned,
    work: _Work,
    plan: Plan,
    *,
    after: float,
    changes: Sequence[Mapping[str, Any]],
    found: Sensitivity | None,
) -> Pruned:
    """Return what has been made with what one more round has."""
    blocks = (*done.blocks, *plan.blocks)
    narrower = {
        name: (done.widths.get(name, (len(work.orders[name].order), 0))[0], kept) for name, kept in plan.widths.items()
    }
    widths = {
        name: width
        for name, width in {**done.widths, **narrower}.items()
        if not any(name.startswith(f"{block}.") for block in blocks)
    }
    return replace(
        done,
        changes=[*done.changes, *changes],
        after=after,
        widths=widths,
        blocks=blocks,
        sensitivity=done.sensitivity or found,
    )


def _few(samples: Samples, layers: Mapping[str, LayerAt], *, passes: int, fewest: int) -> Samples:
    """Return so many of the samples that such passes take a bounded number of multiply-adds."""
    macs = sum(layer.macs for layer in layers.values())
    return samples.first(max(fewest, int(AFFORDABLE_MACS / max(1, macs * passes))))


def _planner(work: _Work, found: Sensitivity | None, *, floors: Mapping[str, int]) -> Callable[[], Planner]:
    """Return what makes a planner with nothing done; `floors` are the channels of groups before any went."""
    pruning, layers = work.pruning, work.layers
    damages = Damages(work.scores, found)
    groups = []
    for group in work.channels.free:
        fewest = math.ceil(pruning.least * floors.get(group.name, len(group)))
        widths = widths_of(group, layers, clock=pruning.clock, fewest=fewest)
        groups.append(narrowing(group, work.orders[group.name], damages, widths))
    leavings = [Leaving(name=name, damage=max(0.0, loss - found.base)) for name, loss in found.blocks] if found else []
    return lambda: Planner(layers, work.costs, groups, leavings)


def _reached(
    work: _Work, planner: Callable[[], Planner], input_shape: Sequence[int], *, wanted: float, last: bool
) -> tuple[Plan, float]:
    """Return the first plan that leaves what may be left as measured, and what it leaves; else the closest.

    Layers are not all that costs: norms, what lies between, how the whole is run. So another goal is set for them,
    between those that left too much and too little. Only the last round comes close to what is wanted; those before it
    make the best moves, and the first plan counts.
    """
    goal, best, least, most = wanted, None, 0.0, 1.0
    for _ in range(TRIES if last else 1):
        try:
            plan = planner().reach(goal, closely=last)
        except UsageError:  # so much may not go: a goal between this one and what left too much
            if best is None:
                raise
            least = goal
            goal = (least + most) / 2
            continue
        trial = copied(work.model)
        work.done(trial, plan)
        after = work.costs.network(trial, input_shape)
        share = after / work.before
        if best is None or _nearer(share, best[1] / work.before, wanted):
            best = plan, after
        if wanted - CLOSE <= share <= wanted + EXACT:
            break
        least, most = (least, goal) if share > wanted + EXACT else (goal, most)
        goal *= wanted / share
        if not least < goal < most:
            goal = (least + most) / 2
    if best is None:
        raise UsageError("`prune` found no way to remove channels.")
    return best


def _nearer(share: float, other: float, wanted: float) -> bool:
    """Tell whether a share is a better one than another: what leaves too much comes last, then what is far."""
    return (share > wanted + EXACT, abs(share - wanted)) < (other > wanted + EXACT, abs(other - wanted))


@torch.no_grad()
def renew_statistics(model: nn.Module, batches: Sequence[Tensor]) -> None:
    """Give batch norms the statistics of these inputs (N, *shape) float32, batch by batch; leave evaluation mode."""
    model.eval()
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats]
    if not norms or not batches:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all batches
        norm.train()
    try:
        for inputs in batches:
            model(inputs)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        model.eval()


def _reasons(channels: Channels) -> str:
    """Return why groups are fixed, a few of them."""
    fixed = [f"`{group.name}` ({group.fixed})" for group in channels.fixed]
    more = f" and {len(fixed) - LISTED} more" if len(fixed) > LISTED else ""
    return ", ".join(fixed[:LISTED]) + more or "it has none"


def _notes(done: Pruned, work: _Work) -> tuple[str, ...]:
    """Return what a person should know."""
    pruning, unit = work.pruning, UNITS[work.pruning.target]
    share = percent(done.after / done.before)
    before, after = (
        f"{cost:.4g}" if pruning.target == "latency" else scaled(round(cost)) for cost in (done.before, done.after)
    )
    notes = [f"{before} {unit} become {after}, {share}; importance: {pruning.importance}"]
    if pruning.clock is not None:
        notes.append(f"only widths that are faster than all larger ones, timed at batch size {pruning.clock.batch}")
    narrower = [f"{name} {before} to {after}" for name, (before, after) in done.widths.items()]
    if narrower:
        more = f" and {len(narrower) - MENTIONED} more" if len(narrower) > MENTIONED else ""
        notes.append(f"narrower: {', '.join(narrower[:MENTIONED])}{more}")
    if done.blocks:
        notes.append(f"removed blocks: {', '.join(done.blocks)}")
    inner = replace(work.channels, groups=tuple(g for g in work.channels.fixed if not g.fixed.startswith(ENDS)))
    if inner.groups:
        notes.append(f"unchanged: {_reasons(inner)}")
    return tuple(notes)
