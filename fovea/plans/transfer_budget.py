"""How trained weights are used in a time: at which size, and how many of the stages learn."""

import math
import statistics
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
from fovea.layers import Classifier, placed, takes
from fovea.plans.budget import FEWEST_SHARE
from fovea.plans.plan import Plan
from fovea.plans.start_weights import channels_of
from fovea.preprocess.decoding import upright_size
from fovea.training.inference import Progress, autocast

TIMED_IMAGES, FEW = 16, 4
BOTH, HOPELESS = ("float32", "bfloat16"), 4.0
"""The precisions to choose from; one that takes so many times as long is emulated, and timed on few images only."""
FEATURES_SHARE = 0.25
"""Features of all images, for the head, take this share of the training at most."""
SIZES = (1.43, 1.29, 1.14, 1.0, 0.86, 0.72, 0.57)
"""Inputs as shares of the side that the weights were trained at: of 224 pixels 320 to 128, in steps of 32.

Objects look larger in the random crops of training than in whole images, so that larger images suit weights better
(Touvron et al. 2019, arXiv:1906.06423).
"""
ENLARGED = 1.3
"""Images are enlarged to so many times their own side at most, but to that of the weights in any case."""
MEASURED_FILES = 64
VERSIONS_SHARE = 0.2
"""The head is fitted to fewer versions of every image where more would take this share of the training."""
VIEWS, FEWEST_VIEWS = 4, 2
"""Versions of every image that go through the frozen stages; fewer where more would take `VIEWS_SHARE` of the time."""
VIEWS_SHARE, HEAD_VIEWS_SHARE = 0.4, 0.6
"""Of the time, for these versions: where stages learn, and where the head alone does, which is fitted to all."""
WANTED_EPOCHS = 6
"""Stages learn where training passes so often over the images; otherwise fewer do, down to the head alone."""
USED_FOR_STEPS = 0.85


class Way(NamedTuple):
    """One way to use the time: which parts stay as they are, and how often the others see the images."""

    freeze: str
    views: int
    """Versions of every image that go through the frozen parts once; 0 where every step computes them anew."""
    epochs: float


class Timing(NamedTuple):
    """How work on images is timed: in the faster precision, as a training takes it."""

    device: torch.device
    precisions: tuple[str, ...]

    def image_s(self, work: Callable[[], Tensor]) -> float:
        """Return the seconds per image of `work`, which makes (N, ...) float32 of N of them."""
        took = []
        for precision in self.precisions:
            for _ in range(2):
                began = time.perf_counter()
                with autocast(self.device, precision):
                    count = len(work())
                took.append((time.perf_counter() - began) / count)
        return min(took)


class Terms(NamedTuple):
    """On what, and how long."""

    images: int
    training_s: float
    head_s: float
    """What the features of all images take, for the head."""


class Use(NamedTuple):
    """What a time is used for."""

    forward_s: float
    """Seconds for one pass of all images."""
    versions: int
    """Of every image, for the head."""
    way: Way


class Body(NamedTuple):
    """The parts of a network before its head, as images pass through them forward."""

    parts: list[str]
    part_s: list[float]
    """Seconds per image of each."""
    entering: list[Tensor]
    """What enters each part, and the head, of `TIMED_IMAGES` images."""


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
    timing = Timing(device, _precisions(model, _samples(plan, device)[:FEW], plan.recipe.precision))
    size = plan.size
    largest = plan.replace(size=_affordable(plan.size, 0.0, 0.0, most=math.inf))
    if sizes and takes(model, _samples(largest, device)[:FEW]):
        most = max(plan.size, ENLARGED * side_of_images(dataset))
        forward_s = images * sum(_passed(model, _samples(plan, device), timing).part_s)
        size = _affordable(plan.size, forward_s, FEATURES_SHARE * budget_s, most=most)
    plan = _resized(plan, size)
    found = _use(plan, model=model, dataset=dataset, images=images, timing=timing, progress=progress)
    way = found.way
    learning = {"all": "the head alone learns", "none": "all parts learn"}
    kept = f", on {way.views} versions of every image that go through the others once" if way.views else ""
    reasons = (
        f"the features of all images take about {found.forward_s:.0f} s at {size} px",
        f"{learning.get(way.freeze, f'the parts after {way.freeze} learn')}{kept}: {_passes(way.epochs)} in "
        "the time; --size and --freeze choose others",
    )
    chosen = {"freeze": way.freeze, "frozen_views": way.views, "head_versions": max(found.versions, way.views)}
    return plan.replace(**chosen, reasons=(*plan.reasons, *reasons))


def _resized(plan: Plan, size: int) -> Plan:
    named = tuple(reason.replace(f"at {plan.size} px", f"at {size} px") for reason in plan.reasons)
    return plan.replace(size=size, reasons=named)


def _use(
    plan: Plan, *, model: Classifier, dataset: Dataset, images: int, timing: Timing, progress: Progress | None
) -> Use:
    """Return the best use of the time at the size of a plan."""
    body = _passed(model, _samples(plan, timing.device), timing)
    forward_s = images * sum(body.part_s)
    after_s = _evaluated(dataset, plan.val_fraction) * sum(body.part_s)
    budget_s = max(FEWEST_SHARE * plan.recipe.budget_s, plan.recipe.budget_s - after_s)
    versions = max(1, min(plan.recipe.head_versions, int(VERSIONS_SHARE * budget_s / forward_s)))
    terms = Terms(images, USED_FOR_STEPS * budget_s, head_s=versions * forward_s)
    return Use(forward_s, versions, _best_way(model, body, timing, terms, progress))


def _passes(epochs: float) -> str:
    """Return how many epochs there are time for, in words; a budget may be over before the first one begins."""
    return "less than one epoch" if epochs < 1 else f"about {epochs:.0f} epoch{'' if round(epochs) == 1 else 's'}"


def _evaluated(dataset: Dataset, val_fraction: float) -> int:
    """Return how many images are evaluated in the end: the validation part twice, with its last check in training."""
    parts = dataset.parts
    val = len(parts["val"]) if "val" in parts else round(val_fraction * len(parts["train"]))
    return 2 * val + (len(parts["test"]) if "test" in parts else 0)


def _precisions(model: Classifier, few: Tensor, asked: str) -> tuple[str, ...]:
    """Return the precisions that a training may be given: both where none is asked for, but bfloat16 in emulation."""
    if asked != "auto":
        return (asked,)
    if few.device.type == "mps":
        return BOTH[:1]
    work = partial(_through, model, model.body, few)
    plain_s, half_s = (Timing(few.device, (name,)).image_s(work) for name in BOTH)
    return BOTH[:1] if half_s > HOPELESS * plain_s else BOTH


def _passed(model: Classifier, x: Tensor, timing: Timing) -> Body:
    """Return how images `x` (n, C, H, W) pass through the body."""
    parts, part_s, entering = list(model.body), [], [x]
    for name in parts:
        part_s.append(timing.image_s(partial(_through, model, (name,), x)))
        x = _through(model, (name,), x)
        entering.append(x)
    return Body(parts, part_s, entering)


def _best_way(model: Classifier, body: Body, timing: Timing, terms: Terms, progress: Progress | None) -> Way:
    """Return the way in which most parts learn, of those that pass over the images often enough."""
    count = len(body.parts)
    best = _way(model, body, count, timing, terms)  # the head alone
    fewest, most, tried = 0, count, 1  # more parts cost more, so that halving finds the limit
    while fewest < most:
        if progress:
            progress(tried, count.bit_length() + 1)
        first = (fewest + most) // 2
        way, tried = _way(model, body, first, timing, terms), tried + 1
        if way.epochs < WANTED_EPOCHS:
            fewest = first + 1
        else:
            best, most = way, first
    if progress:
        progress(1, 1)
    return best


def _way(model: Classifier, body: Body, first: int, timing: Timing, terms: Terms) -> Way:
    """Return how often the parts from number `first` on, and the head, see the images."""
    frozen, learning = body.parts[:first], [*body.parts[first:], "head"]
    freeze = "all" if not body.parts[first:] else frozen[-1] if frozen else "none"
    through_s = terms.images * sum(body.part_s[:first])
    step_s = terms.images * timing.image_s(partial(_step, model, learning, body.entering[first]))
    share, fewest = (VIEWS_SHARE, FEWEST_VIEWS) if body.parts[first:] else (HEAD_VIEWS_SHARE, 1)
    views = min(VIEWS, int(share * terms.training_s / through_s)) if through_s else 0
    if views < fewest and frozen:
        return Way(freeze, 0, (terms.training_s - terms.head_s) / (through_s + step_s))
    used_s = views * through_s if views else terms.head_s
    return Way(freeze, views, (terms.training_s - used_s) / step_s)


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


def _affordable(size: int, needed_s: float, allowed_s: float, *, most: float) -> int:
    """Return the largest of the sizes, up to `most`, at which what takes `needed_s` at `size` takes what is allowed."""
    sizes = [size if share == 1 else max(32, round(size * share / 32) * 32) for share in SIZES]
    fitting = [side for side in sizes if side <= most and needed_s * (side / size) ** 2 <= allowed_s]
    return fitting[0] if fitting else sizes[-1]


def side_of_images(dataset: Dataset) -> float:
    """Return the median of the shorter sides of some training images in pixels; infinite where none is known."""
    if dataset.native_size is not None:
        return min(dataset.native_size)
    files = dataset.parts["train"].files or ()
    some = files[:: max(1, len(files) // MEASURED_FILES)]
    sides = [min(size) for size in map(upright_size, some) if size is not None]
    return statistics.median(sides) if sides else math.inf


def _through(model: nn.Module, names: Iterable[str], x: Tensor) -> Tensor:
    with torch.no_grad():
        for name in names:
            x = getattr(model, name)(x)
    return x


def _step(model: nn.Module, names: Iterable[str], x: Tensor) -> Tensor:
    for name in names:
        x = getattr(model, name)(x)
    labels = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    F.cross_entropy(x.float(), labels).backward()  # type: ignore[no-untyped-call]
    model.zero_grad()
    return x
