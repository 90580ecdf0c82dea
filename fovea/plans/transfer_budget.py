"""How trained weights are used in a time: at which size, and how many of the stages learn."""

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea import registry
from fovea.custom import custom_name
from fovea.data.dataset import Dataset
from fovea.layers import Classifier, placed
from fovea.plans.plan import Plan
from fovea.plans.start_weights import channels_of
from fovea.training.inference import Progress
from fovea.training.transfer import body

TIMED_IMAGES = 16
FEATURES_SHARE = 0.25
"""Features of all images, for the head, take this share of the training at most."""
SMALLER = (0.86, 0.72, 0.57)
"""Smaller inputs than that of the weights, as shares of its side: of 224 pixels 192, 160 and 128."""
VIEWS, FEWEST_VIEWS = 4, 2
"""Versions of every image that go through the frozen stages; fewer where more would take `VIEWS_SHARE` of the time."""
VIEWS_SHARE = 0.4
WANTED_EPOCHS = 6
"""Stages learn where training passes so often over the images; otherwise fewer do, down to the head alone."""
USED_FOR_STEPS = 0.85


class Way(NamedTuple):
    """One way to use the time: which parts stay as they are, and how often the others see the images."""

    freeze: str
    views: int
    """Versions of every image that go through the frozen parts once; 0 where every step computes them anew."""
    epochs: float


def budgeted_transfer(
    plan: Plan,
    dataset: Dataset,
    *,
    device: torch.device,
    sizes: bool = True,
    progress: Progress | None = None,
) -> Plan:
    """Return the `plan` of a network of the zoo with the size and the learning stages that fit into its budget.

    The size stays as it is without `sizes`, and so does all of a plan that fits no head.
    """
    budget_s = plan.recipe.budget_s
    images = max(1, round(len(dataset.parts["train"]) * (1 - plan.val_fraction)))
    model = _network(plan, dataset)
    if model is None or not plan.recipe.fit_head:
        return plan
    model = placed(model, device).train()
    forward_s = images * _timed(partial(_through, model, body(model), _samples(plan, device)))
    size = _affordable(plan.size, forward_s, FEATURES_SHARE * budget_s) if sizes else plan.size
    forward_s *= (size / plan.size) ** 2
    named = tuple(reason.replace(f"at {plan.size} px", f"at {size} px") for reason in plan.reasons)
    plan = plan.replace(size=size, reasons=named)
    way = _best_way(model, _samples(plan, device), images, USED_FOR_STEPS * budget_s - forward_s, progress)
    learning = {"all": "the head alone learns", "none": "all parts learn"}
    kept = f", on {way.views} versions of every image that go through the others once" if way.views else ""
    reasons = (
        f"the features of all images take about {forward_s:.0f} s at {size} px",
        f"{learning.get(way.freeze, f'the parts after {way.freeze} learn')}{kept}: {_passes(way.epochs)} in "
        "the time; --size and --freeze choose others",
    )
    return plan.replace(freeze=way.freeze, frozen_views=way.views, reasons=(*plan.reasons, *reasons))


def _passes(epochs: float) -> str:
    """Return how many epochs there are time for, in words; a budget may be over before the first one begins."""
    return "less than one epoch" if epochs < 1 else f"about {epochs:.0f} epoch{'' if round(epochs) == 1 else 's'}"


def _best_way(model: Classifier, x: Tensor, images: int, left_s: float, progress: Progress | None) -> Way:
    """Return the way in which most parts learn, of those that pass over the images often enough in `left_s`."""
    parts = list(model.body)
    best = _way(model, parts, len(parts), x, images=images, left_s=left_s)  # the head alone
    for first in reversed(range(len(parts))):
        if progress:
            progress(len(parts) - first, len(parts) + 1)
        way = _way(model, parts, first, x, images=images, left_s=left_s)
        if way.epochs < WANTED_EPOCHS:
            break
        best = way
    if progress:
        progress(len(parts) + 1, len(parts) + 1)
    return best


def _way(model: Classifier, parts: list[str], first: int, x: Tensor, *, images: int, left_s: float) -> Way:
    """Return how often the parts from number `first` on, and the head, see the images in `left_s`."""
    frozen, learning = parts[:first], [*parts[first:], "head"]
    freeze = "all" if first == len(parts) else frozen[-1] if frozen else "none"
    through_s = images * _timed(partial(_through, model, frozen, x)) if frozen else 0.0
    maps = _through(model, frozen, x).clone()
    step_s = images * _timed(partial(_step, model, learning, maps))
    views = min(VIEWS, int(VIEWS_SHARE * left_s / through_s)) if through_s else 0
    if views < FEWEST_VIEWS and frozen:
        return Way(freeze, 0, left_s / (through_s + step_s))
    return Way(freeze, views, (left_s - views * through_s) / step_s)


def _network(plan: Plan, dataset: Dataset) -> Classifier | None:
    """Return the network of the plan with random weights, where it is a chain of the zoo."""
    if custom_name(plan.model) is not None:
        return None
    given = {"classes": max(2, len(dataset.classes)), "size": plan.size, **plan.arguments}
    model = registry.build(plan.model, **given)
    return model if isinstance(model, Classifier) else None


def _samples(plan: Plan, device: torch.device) -> Tensor:
    """Return images of noise (n, C, size, size) float32 for the network of a plan."""
    channels = channels_of(plan.start, model=plan.model, default=registry.entry(plan.model).input[0])
    images = torch.rand(TIMED_IMAGES, channels, plan.size, plan.size, device=device)
    return images.contiguous(memory_format=torch.channels_last)


def _affordable(size: int, needed_s: float, allowed_s: float) -> int:
    """Return the largest of the sizes at which what takes `needed_s` at `size` takes no more than is allowed."""
    sizes = [size, *(max(32, round(size * share / 32) * 32) for share in SMALLER)]
    fitting = [side for side in sizes if needed_s * (side / size) ** 2 <= allowed_s]
    return fitting[0] if fitting else sizes[-1]


def _through(model: nn.Module, names: Iterable[str], x: Tensor) -> Tensor:
    with torch.no_grad():
        for name in names:
            x = getattr(model, name)(x)
    return x


def _timed(work: Callable[[], object]) -> float:
    """Return the seconds per image of `work` on `TIMED_IMAGES`, the better of two runs."""
    took = []
    for _ in range(2):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return min(took) / TIMED_IMAGES


def _step(model: nn.Module, names: Iterable[str], x: Tensor) -> None:
    for name in names:
        x = getattr(model, name)(x)
    F.cross_entropy(x, torch.zeros(len(x), dtype=torch.int64, device=x.device)).backward()  # type: ignore[no-untyped-call]
    model.zero_grad()
