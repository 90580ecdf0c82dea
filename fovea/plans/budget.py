"""The plan for a time: the network, input and batch with which a training sees enough images before it is over."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fovea import registry
from fovea.data.augment.mixing import Labels
from fovea.data.dataset import Dataset
from fovea.layers import placed
from fovea.plans.plan import Plan
from fovea.plans.rules import (
    SMALL_IMAGE,
    WANTED_EPOCHS,
    WANTED_IMAGES,
    default_plan,
    has_usual_plan,
    input_size,
    own_arguments,
    stride,
)
from fovea.training.inference import Progress
from fovea.training.losses import Outputs, main_head
from fovea.training.recipe import Recipe
from fovea.training.tuning import Setting, time_settings

USED_FOR_STEPS = 0.85
"""Share of the training that goes into steps on the network; the rest augments, validates and saves."""
FEWEST_SHARE = 0.25
"""Training gets this share of a budget at least, whatever the rest takes."""
DECODING_SHARE = 0.35
"""Decoding takes this share of a budget at most; where all images take longer, some are left out."""
PREPARING_SHARE, AROUND_S = 0.1, 4.0
"""What planning, evaluation and report take, about: a share of the budget, and seconds."""
FEWEST_AT_ONCE = 2
"""A larger input is timed by batches of so many images at most."""
TIMED_BATCH = 128
"""A network is timed on batches of this size at most."""
TIMING_SHARE = 0.02
"""A network is timed for this share of the training at most, and for a second at most."""


class Candidate(NamedTuple):
    """A width of foveola at an input size; in a table they get better and slower."""

    width: float
    size: int


PHOTOGRAPHS = (
    Candidate(0.25, 64),
    Candidate(0.5, 64),
    Candidate(0.5, 96),
    Candidate(0.75, 96),
    Candidate(1.0, 96),
    Candidate(1.0, 128),
    Candidate(1.5, 160),
)
WANTED_PHOTOGRAPHS = 40_000
"""In place of `WANTED_IMAGES`: of photographs a larger input was better or as good (`benchmarks/README.md`)."""
SMALL_IMAGES = (Candidate(0.25, 0), Candidate(0.5, 0), Candidate(1.0, 0), Candidate(1.5, 0))  # 0: as the images are


def expected_training_s(budget_s: float, *, waited_s: float) -> float:
    """Return how many seconds of a budget training will get, about, where `waited_s` of it are over."""
    left = budget_s * (1 - PREPARING_SHARE) - AROUND_S - waited_s
    return max(FEWEST_SHARE * budget_s, left)


def budget_plan(
    dataset: Dataset,
    budget_s: float,
    *,
    device: torch.device,
    size: int | None = None,
    recipe: Recipe | None = None,
    changes: Mapping[str, Any] = MappingProxyType({}),
    progress: Progress | None = None,
) -> Plan:
    """Return the plan with the largest network and input whose training in `budget_s` seconds sees enough images.

    A few steps of each candidate are timed on `device`, with the threads and precision of `recipe` where it names them.
    A kind of target that has a plan of its own is timed with those `changes` that are arguments of its network.
    """
    asked = recipe or Recipe()
    if has_usual_plan(dataset):
        plan = default_plan(dataset, size=size).replace(epochs=0, budget_s=budget_s)
        if size:
            return plan
        own = own_arguments(plan.model, changes)
        return _with_larger_input(plan, dataset, asked, own=own, device=device, progress=progress)
    images = len(dataset.parts["train"])
    tried: list[tuple[Candidate, float]] = []
    candidates = _candidates(dataset, size)
    small = (size or input_size(dataset)) <= SMALL_IMAGE
    wanted = (WANTED_IMAGES if small else WANTED_PHOTOGRAPHS) + WANTED_EPOCHS * images
    for candidate in candidates:
        if progress:
            progress(len(tried), len(candidates))
        plan = default_plan(dataset, size=candidate.size).replace(threads=asked.threads, precision=asked.precision)
        setting = _timed(candidate, dataset, plan.recipe, device, seconds=min(1.0, TIMING_SHARE * budget_s))
        seen = budget_s * USED_FOR_STEPS * min(TIMED_BATCH, plan.recipe.batch) / setting.step_s
        tried.append((candidate, seen))
        if seen < wanted:
            break
    if progress:
        progress(len(candidates), len(candidates))
    reasons = [
        f"foveola of width {candidate.width:g} at {candidate.size} px sees about {_rounded(seen)} images in the time, "
        f"{'enough' if seen >= wanted else f'fewer than the {wanted:,} wanted'}"
        for candidate, seen in tried
    ]
    candidate = ([row for row in tried if row[1] >= wanted] or tried[:1])[-1][0]
    reasons.append(f"chosen: width {candidate.width:g} at {candidate.size} px; --model and --size choose others")
    plan = default_plan(dataset, size=candidate.size)
    chosen = {"arguments": {**plan.arguments, "width": candidate.width}, "reasons": tuple(reasons)}
    return plan.replace(epochs=0, budget_s=budget_s, **chosen)


def _with_larger_input(
    plan: Plan,
    dataset: Dataset,
    asked: Recipe,
    *,
    own: Mapping[str, Any],
    device: torch.device,
    progress: Progress | None,
) -> Plan:
    """Return the `plan` of a kind of target at the largest input whose training sees enough images in the time.

    Steps stay of as many pixels: fewer images, so that there are more steps, and no more memory is needed. `own` are
    arguments of the network that the user asks for; where they are of those that a larger input changes, none are.
    """
    usual = dataset.kind.usual(dataset.native_size)
    if usual is None or not usual.larger:
        return plan
    wanted, budget_s = usual.enough + WANTED_EPOCHS * len(dataset.parts["train"]), plan.recipe.budget_s
    if progress:
        progress(0, 1)
    batch, found = plan.recipe.batch, plan
    few = min(batch, FEWEST_AT_ONCE)
    network = {**plan.arguments, **own}
    timed = plan.replace(threads=asked.threads, precision=asked.precision, batch=few, arguments=network)
    setting = _timed_plan(timed, dataset, device, seconds=min(1.0, TIMING_SHARE * budget_s))
    if progress:
        progress(1, 1)
    for side in usual.larger:
        pixels = (side / plan.size) ** 2
        seen = budget_s * USED_FOR_STEPS * few / (setting.step_s * pixels)
        if seen >= wanted:
            reason = f"at {side} px it sees about {_rounded(seen)} images in the time, enough; --size chooses others"
            changed = {name for name, _ in usual.larger_arguments.items() ^ usual.arguments.items()}
            arguments = usual.arguments if changed & own.keys() else usual.larger_arguments
            changes = {"arguments": arguments, "reasons": (*plan.reasons, reason)}
            found = plan.replace(size=side, batch=max(1, round(batch / pixels)), **changes)
    return found


def _rounded(count: float) -> str:
    """Return a count with two figures that count, as timings have no more.

    >>> _rounded(123_456), _rounded(8.7)
    ('120,000', '9')
    """
    return f"{int(float(f'{count:.2g}')):,}" if count >= 10 else f"{count:.0f}"


def _candidates(dataset: Dataset, size: int | None) -> list[Candidate]:
    native = size or input_size(dataset)
    table = SMALL_IMAGES if native <= SMALL_IMAGE else PHOTOGRAPHS
    return list(dict.fromkeys(Candidate(width, size or side or native) for width, side in table))


def _timed(candidate: Candidate, dataset: Dataset, recipe: Recipe, device: torch.device, *, seconds: float) -> Setting:
    """Return the fastest way to do a step of `recipe` with a candidate."""
    arguments = {"width": candidate.width, **stride(candidate.size)}
    plan = Plan(model="foveola", arguments=arguments, size=candidate.size, recipe=recipe)
    return _timed_plan(plan, dataset, device, seconds=seconds)


def _timed_plan(plan: Plan, dataset: Dataset, device: torch.device, *, seconds: float) -> Setting:
    """Return the fastest way to do a step of a plan with a network of the zoo, on images of noise.

    Of empty images gradients vanish, into numbers so small that arithmetic with them takes several times as long.
    """
    built = {"classes": max(1, len(dataset.classes)), "c_in": dataset.channels, "size": plan.size, **plan.arguments}
    model = placed(registry.build(plan.model, **built), device)
    shape = (min(TIMED_BATCH, plan.recipe.batch), dataset.channels, plan.size, plan.size)
    noise = torch.Generator(device).manual_seed(0)
    images = torch.randn(shape, device=device, generator=noise).contiguous(memory_format=torch.channels_last)
    labels = torch.zeros(len(images), dtype=torch.int64, device=device)

    def loss(outputs: Outputs, _: Labels) -> Tensor:  # whatever is learned: it takes next to no time
        return main_head(outputs).float().square().mean()

    return time_settings(model, images, labels, loss=loss, recipe=plan.recipe, seconds=seconds)[0]
