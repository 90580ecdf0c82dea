"""Choosing a plan for data that comes without one: network, input size, batch and epochs, each with its reason."""

from typing import NamedTuple

import torch

from fovea import inputs, registry
from fovea.data.augment.recipes import FLIPS
from fovea.data.dataset import Dataset
from fovea.inputs.interface import Usual
from fovea.layers import placed
from fovea.plans.named import CIFAR10
from fovea.plans.plan import Plan
from fovea.tasks.classes import Classes
from fovea.tasks.usual import UsualPlan
from fovea.training.inference import Progress
from fovea.training.losses import make_loss
from fovea.training.recipe import Recipe
from fovea.training.tuning import Setting, time_settings

PHOTO_SIZE = 96
"""Input size for images of no common or of a large size."""
SMALL_IMAGE = 40
"""Up to this side in pixels an image is taken whole; larger ones are photographs, of which random crops are taken."""
SMALLEST_INPUT = 16
"""Smaller images are enlarged: three poolings leave nothing of them."""
WANTED_IMAGES, WANTED_EPOCHS = 100_000, 6
"""A training from scratch sees so many images and passes so often over the data before a larger network pays off."""
USED_FOR_STEPS = 0.85
"""Share of the time that goes into forward and backward passes; the rest augments, validates and saves."""
FEWEST_STEPS = 6
"""Of an epoch, where a kind of target says how it is learned: batch norm's statistics need some."""
TIMED_BATCH = 32
VALIDATED, MOST_VALIDATED = 100, 0.25
"""Images to validate on at least, up to this share: the head gets them back in the end."""
TRANSFER_IMAGES = 20_000
"""A training from weights of other images sees so many."""

SMALL_STEPS = {"accumulate": 1, "lr": 0.06, "lr_rest": 0.01, "momentum": 0.9}
"""The recipe of CIFAR-10 takes steps of 1,000 images; these values are for a tenth of that."""


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
SMALL_IMAGES = (Candidate(0.25, 0), Candidate(0.5, 0), Candidate(1.0, 0), Candidate(1.5, 0))  # 0: as the images are


def default_plan(dataset: Dataset, *, model: str | None = None, size: int | None = None) -> Plan:
    """Return a plan by rule, without timing anything: for `model` where one is given, else for the kind of images."""
    images = len(dataset.parts["train"])
    learned = dataset.kind.usual(dataset.native_size)
    if learned is not None:
        return _plan_of_target(learned, dataset, model=model, size=size)
    usual = inputs.kind(dataset.input).usual(dataset.native_size)
    if usual is not None:
        return _usual_plan(usual, dataset, model=model, size=size)
    size = size or _input_size(dataset)
    epochs = max(10, min(100, WANTED_IMAGES // images + WANTED_EPOCHS))
    augment = _augment(dataset, size)
    if model is None:
        recipe = CIFAR10.recipe.replace(
            **SMALL_STEPS, epochs=epochs, batch=_batch(images), augment=augment, test_flip=not dataset.directional
        )
        reason = f"foveola at {size} px: this project's fast network; --model and --budget choose others"
        return Plan(model="foveola", arguments=_stride(size), size=size, recipe=recipe, reasons=(reason,))
    recipe = Recipe(
        epochs=epochs, batch=_batch(images), optimiser="adamw", lr=0.002, weight_decay=0.02, clip=1.0, augment=augment
    )
    return Plan(model=model, size=size, recipe=recipe)


def _usual_plan(usual: Usual, dataset: Dataset, *, model: str | None, size: int | None) -> Plan:
    """Return the plan that a kind of input usually has, for its own network or for `model`."""
    images, kind = len(dataset.parts["train"]), inputs.kind(dataset.input)
    epochs = max(10, min(usual.most_epochs, usual.seen // images + WANTED_EPOCHS))
    augment = tuple(spec for spec in usual.recipe.get("augment", ()) if spec not in FLIPS or not dataset.directional)
    recipe = Recipe().replace(**{**usual.recipe, "epochs": epochs, "augment": augment})
    reason = f"{usual.model} on {kind.nouns} of size {size or usual.size}; --model and --size choose others"
    return Plan(
        model=model or usual.model,
        arguments={} if model else usual.arguments,
        size=size or usual.size,
        recipe=recipe.replace(batch=min(recipe.batch, max(1, images // 4))),
        reasons=() if model else (reason,),
    )


def _plan_of_target(usual: UsualPlan, dataset: Dataset, *, model: str | None, size: int | None) -> Plan:
    """Return the plan that a kind of target usually has, for its own network or for `model`."""
    images = len(dataset.parts["train"])
    epochs = max(10, min(usual.most_epochs, usual.seen // images + WANTED_EPOCHS))
    recipe = Recipe().replace(**{**usual.recipe, "epochs": epochs, "loss": dataset.kind.losses[0]})
    size = size or usual.size
    return Plan(
        model=model or usual.model,
        arguments={} if model else usual.arguments,
        size=size,
        fit=usual.fit,
        recipe=recipe.replace(batch=min(recipe.batch, max(2, images // FEWEST_STEPS))),
        reasons=()
        if model
        else (f"{usual.model} at {size} px, for {dataset.kind.noun}; --model and --size choose others",),
    )


def transfer_plan(dataset: Dataset, *, model: str, size: int, weights: str) -> Plan:
    """Return the plan for a network that begins with the file `weights`: few epochs, the head fitted first.

    A kind of target that says how it is learned is learned so, but for what its `start` changes; `size` may be 0 there.
    """
    images, learned = len(dataset.parts["train"]), dataset.kind.usual(dataset.native_size)
    reason = f"{model} at {{}} px, beginning with the weights {weights}; --from none trains from scratch"
    if learned is not None:
        plan = _plan_of_target(learned, dataset, model=model, size=size or None)
        return plan.replace(**learned.start, reasons=(reason.format(plan.size),))
    fits = dataset.kind.closed_form == "discriminants"
    recipe = Recipe(
        epochs=max(5, min(50, TRANSFER_IMAGES // images + 2)),
        batch=min(64, _batch(images)),
        optimiser="adamw",
        lr=0.001,
        weight_decay=0.02,
        clip=1.0,
        label_smoothing=0.1 if dataset.kind.smooths else 0.0,
        frozen_statistics=True,
        fit_head=fits,
        refit_head=fits,
        head_first=0.0 if fits else 0.2,
        stage_decay=0.7,
        augment=_augment(dataset, size),
    )
    return Plan(
        model=model,
        size=size,
        val_fraction=round(min(MOST_VALIDATED, max(Plan.val_fraction, VALIDATED / images)), 3),
        recipe=recipe,
        reasons=(reason.format(size),),
    )


def _has_usual_plan(dataset: Dataset) -> bool:
    """Return whether the kind of target or of input says how it is learned."""
    size = dataset.native_size
    return dataset.kind.usual(size) is not None or inputs.kind(dataset.input).usual(size) is not None


def shows_photographs(dataset: Dataset) -> bool:
    """Return whether images are so large, or of such different sizes, that weights from photographs help."""
    return not _has_usual_plan(dataset) and _input_size(dataset) > SMALL_IMAGE


def budget_plan(
    dataset: Dataset,
    budget_s: float,
    *,
    device: torch.device,
    size: int | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Return the plan with the largest network and input whose training in `budget_s` seconds sees enough images.

    A few steps of each candidate are timed on `device`, and with them the thread count and precision.
    """
    if _has_usual_plan(dataset):
        return default_plan(dataset, size=size).replace(epochs=0, budget_s=budget_s)
    images = len(dataset.parts["train"])
    wanted = WANTED_IMAGES + WANTED_EPOCHS * images
    tried: list[tuple[Candidate, Setting, float]] = []
    candidates = _candidates(dataset, size)
    for candidate in candidates:
        if progress:
            progress(len(tried), len(candidates))
        setting = _timed(candidate, dataset, device)
        seen = budget_s * USED_FOR_STEPS * TIMED_BATCH / setting.step_s
        tried.append((candidate, setting, seen))
        if seen < wanted:
            break
    if progress:
        progress(len(candidates), len(candidates))
    reasons = [
        f"foveola of width {candidate.width:g} at {candidate.size} px: about {seen:,.0f} images in the time, "
        f"{seen / images:.0f} epochs, {'enough' if seen >= wanted else f'fewer than the {wanted:,} wanted'}"
        for candidate, _, seen in tried
    ]
    enough = [row for row in tried if row[2] >= wanted] or tried[:1]
    candidate, setting, _ = enough[-1]
    reasons.append(
        f"chosen: width {candidate.width:g} at {candidate.size} px, {setting.threads} threads, {setting.precision}"
    )
    plan = default_plan(dataset, size=candidate.size)
    chosen = {"arguments": {**plan.arguments, "width": candidate.width}, "reasons": tuple(reasons)}
    timed = {"threads": setting.threads, "precision": setting.precision}
    return plan.replace(epochs=0, budget_s=budget_s, **timed, **chosen)


def _candidates(dataset: Dataset, size: int | None) -> list[Candidate]:
    native = size or _input_size(dataset)
    table = SMALL_IMAGES if native <= SMALL_IMAGE else PHOTOGRAPHS
    return list(dict.fromkeys(Candidate(width, size or side or native) for width, side in table))


def _timed(candidate: Candidate, dataset: Dataset, device: torch.device) -> Setting:
    classes, size = max(1, len(dataset.classes)), candidate.size
    built = {"classes": classes, "c_in": dataset.channels, "size": size, "width": candidate.width, **_stride(size)}
    model = placed(registry.build("foveola", **built), device)
    images = torch.zeros(TIMED_BATCH, dataset.channels, size, size, device=device).contiguous(
        memory_format=torch.channels_last
    )
    labels = torch.zeros(TIMED_BATCH, dtype=torch.int64, device=device)
    # whatever is learned: the loss takes next to no time
    loss = make_loss(Classes(names=tuple(map(str, range(classes)))), Recipe())
    return time_settings(model, images, labels, loss=loss, recipe=Recipe(), seconds=1.0)[0]


def _input_size(dataset: Dataset) -> int:
    side = max(dataset.native_size or (PHOTO_SIZE, PHOTO_SIZE))
    return max(side, SMALLEST_INPUT) if side <= SMALL_IMAGE else PHOTO_SIZE


def _stride(size: int) -> dict[str, int]:
    return {"stride": 2} if size > SMALL_IMAGE else {}


def _augment(dataset: Dataset, size: int) -> tuple[str, ...]:
    if not inputs.kind(dataset.input).augments:
        return ()
    mirror = () if dataset.directional else ("flip",)
    if size > SMALL_IMAGE:
        return (*mirror, "crop 0.25", "colour 0.3")
    return (*mirror, f"shift {max(1, size // 14)}")


def _batch(images: int) -> int:
    """Return a power of two from 16 to 512 that gives about sixty steps an epoch."""
    batch = 16
    while batch < 512 and images // (2 * batch) >= 50:
        batch *= 2
    return batch
