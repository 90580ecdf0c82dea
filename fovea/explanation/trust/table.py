"""Whether the maps of a method are to be believed: one row of figures for each method, from the same images.

Inputs are (N, C, H, W) float, normalised; maps (N, H, W) float32.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from fovea.explanation.attribution.registry import Method, Progress, part_of
from fovea.explanation.objective import Objective, probabilities
from fovea.explanation.trust.boxes import Boxes, energy, pointing, shares
from fovea.explanation.trust.curves import STEPS, Areas, areas_of, centre_map, random_maps
from fovea.explanation.trust.sanity import STEPS as SANITY_STEPS
from fovea.explanation.trust.sanity import Sanity, sanity_check


@dataclass(frozen=True, kw_only=True)
class Located:
    """How maps fit known boxes, mean over the images that have one."""

    pointing: float
    """How often the highest place lies in a box."""
    energy: float
    """Share of the positive values inside; images without any count as 0."""
    share: float
    """Of the image that the boxes cover: what a random map reaches in both."""
    images: int
    """That have a box."""


@dataclass(frozen=True, kw_only=True)
class Trust:
    """The results of the checks of one method."""

    method: str
    areas: Areas
    """Under the curves of insertion, high is good, and deletion, low is good: (N,) float32 each, of the probability."""
    random: Areas
    """The same of a random map."""
    centre: Areas
    """The same of a Gaussian at the centre of the image."""
    sanity: Sanity | None
    """None if it was not asked for."""
    located: Located | None
    """None if no boxes are known."""
    seconds: float
    """That a map takes, per image."""

    def better_than(self, rival: Areas) -> float:
        """Return the share of images on which the map's insertion less deletion is above the rival's; one number."""
        return float((self.areas.gain > rival.gain).float().mean())

    @property
    def verdict(self) -> str:
        """Return `pass`, or what fails, as it falls: the sanity check, or the comparison with other maps."""
        return ", ".join(f"no better than {name}" if name != "sanity" else name for name in self.faults) or "pass"

    @property
    def faults(self) -> list[str]:
        """What fails: `sanity`, `random`, `centre`."""
        checked = {"sanity": self.sanity is None or self.sanity.passed}
        for name, rival in (("random", self.random), ("centre", self.centre)):
            checked[name] = float(self.areas.gain.mean()) > float(rival.gain.mean())
        return [name for name, passed in checked.items() if not passed]


@dataclass(frozen=True, kw_only=True)
class Checks:
    """Which checks are made, and how finely."""

    steps: int = STEPS
    """Of the curves of insertion and deletion."""
    sanity_steps: int = SANITY_STEPS
    """Maps of the randomised network; 0 leaves the check out."""
    sanity_images: int = 8
    """The first so many images go through it."""
    batch: int = 64
    seed: int = 0


class Bench:
    """Images on which methods are tried one after the other, beside maps that do not depend on the network.

    Maps explain `objective`; insertion and deletion follow `measured`, or where it is None the softmax probability of
    the same answers. Boxes are as in `boxes`, for each image; those without any do not count where maps should point.
    """

    def __init__(
        self,
        model: nn.Module,
        x: Tensor,
        objective: Objective,
        *,
        boxes: Boxes | None = None,
        measured: Objective | None = None,
        checks: Checks = Checks(),  # noqa: B008 (frozen)
        layer: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.model, self.x, self.objective, self.checks, self.layer = model, x, objective, checks, layer
        self.measured = measured or replace(objective, evidence=probabilities)
        self.size = (x.shape[2], x.shape[3])
        self.boxed = [] if boxes is None else [index for index, given in enumerate(boxes) if len(given)]
        self.boxes = [] if boxes is None else [boxes[index] for index in self.boxed]
        rivals = (random_maps(len(x), self.size, seed=checks.seed), centre_map(self.size).expand(len(x), -1, -1))
        self.random, self.centre = (self._areas(maps, part_of(progress, place, 2)) for place, maps in enumerate(rivals))
        self.located_random, self.located_centre = map(self._located, rivals)

    def row(self, method: Method, progress: Progress | None = None) -> Trust:
        """Return the results of the checks of one method, from images (N, C, H, W) float.

        Raises: UsageError and ShapeError if the method does not go with the network.
        """
        common: dict[str, Any] = {"batch": self.checks.batch, "seed": self.checks.seed}
        if method.layered:
            common["layer"] = self.layer
        began = perf_counter()
        maps = self._maps(method, common, part_of(progress, 0, 3))
        seconds = (perf_counter() - began) / len(self.x)
        return Trust(
            method=method.name,
            areas=self._areas(maps, part_of(progress, 1, 3)),
            random=self.random,
            centre=self.centre,
            sanity=self._sanity(method, common, part_of(progress, 2, 3)),
            located=self._located(maps),
            seconds=seconds,
        )

    def _maps(self, method: Method, common: dict[str, Any], progress: Progress) -> Tensor:
        """Return the maps (N, H, W), of `batch` images at a time."""
        found = []
        for first in range(0, len(self.x), self.checks.batch):
            rows = slice(first, first + self.checks.batch)
            part = part_of(progress, first // self.checks.batch, -(-len(self.x) // self.checks.batch))
            made = method(self.model, self.x[rows], self.objective.rows(rows), progress=part, **common)
            found.append(made.at(self.size))
            part(1, 1)
        return torch.cat(found)

    def _areas(self, maps: Tensor, progress: Progress) -> Areas:
        options = {"batch": self.checks.batch, "seed": self.checks.seed, "steps": self.checks.steps}
        return areas_of(self.model, self.x, maps, self.measured, progress=progress, **options)

    def _located(self, maps: Tensor) -> Located | None:
        return located(maps[self.boxed], self.boxes) if self.boxes else None

    def _sanity(self, method: Method, common: dict[str, Any], progress: Progress) -> Sanity | None:
        if not self.checks.sanity_steps:
            return None
        rows, steps = slice(self.checks.sanity_images), self.checks.sanity_steps
        some = self.objective.rows(rows)
        return sanity_check(self.model, self.x[rows], some, method, steps=steps, progress=progress, **common)


def trust(
    model: nn.Module, x: Tensor, objective: Objective, methods: Sequence[Method], **options: Any
) -> Iterator[Trust]:
    """Yield a row for each method, from the same images (N, C, H, W) float; `options` are those of `Bench`."""
    bench = Bench(model, x, objective, **options)
    yield from map(bench.row, methods)


def located(maps: Tensor, boxes: Boxes) -> Located:
    """Return how maps (N, H, W) float fit boxes of the same images."""
    return Located(
        pointing=float(pointing(maps, boxes).mean()),
        energy=float(energy(maps, boxes).nan_to_num(0).mean()),
        share=float(shares(boxes, (maps.shape[1], maps.shape[2])).mean()),
        images=len(maps),
    )
