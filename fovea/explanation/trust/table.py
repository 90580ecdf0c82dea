"""Whether the maps of a method are to be believed: one row of figures for each method, from the same images.

Inputs are (N, C, H, W) float, normalised; maps (N, H, W) float32.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

from torch import Tensor, nn

from fovea.explanation.attribution.registry import Method
from fovea.explanation.objective import Objective, probabilities
from fovea.explanation.trust.boxes import Boxes, energy, pointing, shares
from fovea.explanation.trust.curves import STEPS, Areas, areas_of, centre_map, random_maps
from fovea.explanation.trust.sanity import STEPS as SANITY_STEPS
from fovea.explanation.trust.sanity import Sanity, sanity_check


@dataclass(frozen=True, kw_only=True)
class Located:
    """How maps fit known boxes, mean over the images."""

    pointing: float
    """How often the highest place lies in a box."""
    energy: float
    """Share of the positive values inside; images without any count as 0."""
    share: float
    """Of the image that the boxes cover: what a map that knows nothing reaches in both."""


@dataclass(frozen=True, kw_only=True)
class Trust:
    """What speaks for and against the maps of one method."""

    method: str
    areas: Areas
    """Under the curves of insertion, high is good, and deletion, low is good: (N,) float32 each, of the probability."""
    random: Areas
    """The same of a map that knows nothing."""
    centre: Areas
    """The same of a Gaussian at the centre of the image."""
    sanity: Sanity | None
    """None where it was not asked for."""
    located: Located | None
    """None where no boxes are known."""
    seconds: float
    """That a map takes, per image."""

    def better_than(self, rival: Areas) -> float:
        """Return the share of images on which the map's insertion less deletion is above the rival's; one number."""
        return float((self.areas.gain > rival.gain).float().mean())

    @property
    def verdict(self) -> str:
        """Return `pass`, or what fails, as it falls: the sanity check, or the comparison with what knows nothing."""
        faults = []
        if self.sanity is not None and not self.sanity.passed:
            faults.append("sanity")
        for name, rival in (("random", self.random), ("centre", self.centre)):
            if float(self.areas.gain.mean()) <= float(rival.gain.mean()):
                faults.append(f"no better than {name}")
        return ", ".join(faults) or "pass"


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


def trust(
    model: nn.Module,
    x: Tensor,
    objective: Objective,
    methods: Sequence[Method],
    *,
    boxes: Boxes | None = None,
    measured: Objective | None = None,
    checks: Checks = Checks(),  # noqa: B008 (frozen)
    layer: str | None = None,
) -> Iterator[Trust]:
    """Yield a row for each method, from the same images (N, C, H, W) and random maps.

    Maps explain `objective`; insertion and deletion follow `measured`, or where it is None the softmax probability of
    the same answers. Boxes are as in `boxes`.
    """
    measured = measured or replace(objective, evidence=probabilities)
    size = (x.shape[2], x.shape[3])
    rivals = [random_maps(len(x), size, seed=checks.seed), centre_map(size).expand(len(x), -1, -1)]
    options = {"batch": checks.batch, "seed": checks.seed, "steps": checks.steps}
    random, centre = areas_of(model, x, rivals, measured, **options)
    common: dict[str, Any] = {"batch": checks.batch, "seed": checks.seed}
    for method in methods:
        layered = common | ({"layer": layer} if method.layered else {})
        began = perf_counter()
        maps = method(model, x, objective, **layered).at(size)
        seconds = (perf_counter() - began) / len(x)
        yield Trust(
            method=method.name,
            areas=areas_of(model, x, [maps], measured, **options)[0],
            random=random,
            centre=centre,
            sanity=_sanity(model, x, objective, method, checks, layered),
            located=None if boxes is None else located(maps, boxes),
            seconds=seconds,
        )


def located(maps: Tensor, boxes: Boxes) -> Located:
    """Return how maps (N, H, W) float fit boxes of the same images."""
    return Located(
        pointing=float(pointing(maps, boxes).mean()),
        energy=float(energy(maps, boxes).nan_to_num(0).mean()),
        share=float(shares(boxes, (maps.shape[1], maps.shape[2])).mean()),
    )


def _sanity(
    model: nn.Module, x: Tensor, objective: Objective, method: Method, checks: Checks, common: dict[str, Any]
) -> Sanity | None:
    if not checks.sanity_steps:
        return None
    rows = slice(checks.sanity_images)
    some = replace(
        objective,
        answers=_first(objective.answers, rows),
        against=None if objective.against is None else _first(objective.against, rows),
    )
    return sanity_check(model, x[rows], some, method, steps=checks.sanity_steps, **common)


def _first(answers: Tensor, rows: slice) -> Tensor:
    return answers if len(answers) == 1 else answers[rows]
