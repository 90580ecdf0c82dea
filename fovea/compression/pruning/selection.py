"""Which groups become how narrow, and which blocks go: greedily what costs most for what it does.

Every group may take some widths, every block may go; each of these moves spares something and does some damage. The
move with the least damage for what it spares is made, until the goal is reached (Yang et al. 2018, "NetAdapt",
arXiv:1804.03230, section 3, with damages that were measured beforehand).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from fovea.compression.pruning.targets import Costs, LayerAt
from fovea.errors import UsageError
from fovea.texts import percent

EXACT = 1e-9
NEAR = 0.02
"""Share of the whole cost by which the last move may spare more than it must, where there is a choice."""


@dataclass(frozen=True, kw_only=True)
class Narrowing:
    """A group of channels that live and die together, as a plan sees it."""

    name: str
    widths: tuple[int, ...]
    """Numbers of channels that it may keep, falling; first all."""
    damages: tuple[float, ...]
    """What each of these widths does to the network, rising from 0."""
    outputs: Mapping[str, int]
    """By path of layer: how many output channels of it one channel of the group is."""
    inputs: Mapping[str, int]
    """Likewise of its inputs: more than one where a map is flattened."""

    @property
    def paths(self) -> set[str]:
        """Of all its layers, norms too."""
        return {*self.outputs, *self.inputs}


@dataclass(frozen=True, kw_only=True)
class Leaving:
    """A block that may go."""

    name: str
    damage: float

    def holds(self, path: str) -> bool:
        """Say whether a layer lies in the block."""
        return path.startswith(f"{self.name}.")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be done."""

    widths: Mapping[str, int]
    """Channels that are kept, of the groups that become narrower."""
    blocks: tuple[str, ...]
    """Those that go."""
    share: float
    """What is left of the cost of layers, as estimated."""


class Move(NamedTuple):
    """One thing that may be done."""

    spares: float
    damage: float
    group: str = ""
    place: int = 0
    """Index of its width."""
    block: str = ""


@dataclass
class Planner:
    """A plan in the making."""

    layers: Mapping[str, LayerAt]
    costs: Costs
    narrowings: Sequence[Narrowing]
    leavings: Sequence[Leaving] = ()
    _places: dict[str, int] = field(default_factory=dict)
    _gone: list[str] = field(default_factory=list)
    _moves: dict[str, list[Move]] = field(default_factory=dict)
    """Of each group that may become narrower, as long as no neighbour changes."""

    def __post_init__(self) -> None:
        self._groups = {narrowing.name: narrowing for narrowing in self.narrowings}
        self._places = dict.fromkeys(self._groups, 0)
        self._at: dict[str, list[str]] = {}
        for narrowing in self.narrowings:
            for path in narrowing.paths & self.layers.keys():
                self._at.setdefault(path, []).append(narrowing.name)
        self._fewer = dict.fromkeys(self.layers, (0, 0))
        self._known: dict[tuple[str, int, int], float] = {}
        self._now = {path: self.costs.layer(layer) for path, layer in self.layers.items()}
        self._whole = sum(self._now.values())

    @property
    def share(self) -> float:
        """What is left of the cost of all layers, from 0 to 1."""
        return sum(self._now.values()) / self._whole if self._whole else 1.0

    def reach(self, share: float, *, closely: bool = True) -> Plan:
        """Return the plan after which so much of the cost is left, or less; a little less if `closely`.

        Raises:
            UsageError: nothing more may go, and more is left.
        """
        while self.share > share + EXACT:
            moves = list(self._possible())
            if not moves:
                raise UsageError(
                    f"At least {percent(self.share, 0)} of the {self.costs.target} must be kept: no group can "
                    f"become narrower{' and no block can be removed' if self.leavings else ''}."
                )
            best = min(moves, key=lambda move: (move.damage / move.spares, -move.spares))
            missing = (self.share - share) * self._whole
            if closely and best.spares >= missing:
                best = self._last(moves, missing)
            self._do(best)
        return self.plan

    def _last(self, moves: Sequence[Move], missing: float) -> Move:
        """Return the move that does least, of those that are enough; of these rather one that is not far too much."""
        enough = [move for move in moves if move.spares >= missing * (1 - EXACT)]
        near = [move for move in enough if move.spares <= missing + NEAR * self._whole]
        return min(near or enough, key=lambda move: (move.damage, move.spares))

    @property
    def plan(self) -> Plan:
        """What has been chosen so far."""
        widths = {name: self._groups[name].widths[place] for name, place in self._places.items() if place}
        # of what is gone with its block nothing is left to be narrowed
        widths = {name: kept for name, kept in widths.items() if not self._is_gone(self._groups[name])}
        return Plan(widths=widths, blocks=tuple(self._gone), share=self.share)

    def _possible(self) -> Iterator[Move]:
        for narrowing in self.narrowings:
            if narrowing.name not in self._moves:
                self._moves[narrowing.name] = list(self._narrower(narrowing))
            yield from self._moves[narrowing.name]
        for leaving in self.leavings:
            spares = sum(cost for path, cost in self._now.items() if leaving.holds(path))
            if leaving.name not in self._gone and spares > 0:
                yield Move(spares, leaving.damage, block=leaving.name)

    def _narrower(self, narrowing: Narrowing) -> Iterator[Move]:
        now = self._places[narrowing.name]
        paths = [path for path in narrowing.paths if path in self.layers]
        before = sum(self._now[path] for path in paths)
        for place in range(now + 1, len(narrowing.widths)):
            lost = narrowing.widths[now] - narrowing.widths[place]
            spares = before - sum(self._cost(path, *self._fewer_after(path, narrowing, lost)) for path in paths)
            if spares > 0:
                damage = narrowing.damages[place] - narrowing.damages[now]
                yield Move(spares, damage, group=narrowing.name, place=place)

    def _do(self, move: Move) -> None:
        if move.block:
            self._gone.append(move.block)
            changed = {path for path in self.layers if path.startswith(f"{move.block}.")}
        else:
            narrowing = self._groups[move.group]
            lost = narrowing.widths[self._places[move.group]] - narrowing.widths[move.place]
            self._places[move.group] = move.place
            changed = narrowing.paths & self.layers.keys()
            self._fewer.update((path, self._fewer_after(path, narrowing, lost)) for path in changed)
        for path in changed:
            self._now[path] = self._cost(path, *self._fewer[path])
            for name in self._at.get(path, ()):
                self._moves.pop(name, None)

    def _fewer_after(self, path: str, narrowing: Narrowing, lost: int) -> tuple[int, int]:
        """Return how many inputs and outputs a layer has lost when a group has lost some more."""
        inputs, outputs = self._fewer[path]
        return inputs + lost * narrowing.inputs.get(path, 0), outputs + lost * narrowing.outputs.get(path, 0)

    def _cost(self, path: str, inputs: int, outputs: int) -> float:
        """Return what a layer costs with so many fewer inputs and outputs."""
        if any(path.startswith(f"{block}.") for block in self._gone):
            return 0.0
        key = (path, inputs, outputs)
        if key not in self._known:
            self._known[key] = self.costs.layer(self.layers[path].less(inputs, outputs))
        return self._known[key]

    def _is_gone(self, narrowing: Narrowing) -> bool:
        paths = narrowing.paths & self.layers.keys()
        return all(any(path.startswith(f"{block}.") for block in self._gone) for path in paths)
