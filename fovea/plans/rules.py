"""Choosing a plan for data that comes without one: network, input size, batch and epochs, each with its reason."""

from collections.abc import Mapping
from typing import Any

from fovea import inputs, registry
from fovea.data.augment.recipes import FLIPS
from fovea.data.dataset import Dataset
from fovea.inputs.interface import Usual
from fovea.plans.named import CIFAR10
from fovea.plans.plan import Plan
from fovea.tasks.usual import UsualPlan
from fovea.training.recipe import Recipe

PHOTO_SIZE = 96
"""Input size for images of no common or of a large size."""
SMALL_IMAGE = 40
"""Up to this side in pixels an image is taken whole; larger ones are photographs, of which random crops are taken."""
SMALLEST_INPUT = 16
"""Smaller images are enlarged: three poolings leave nothing of them."""
WANTED_IMAGES, WANTED_EPOCHS = 100_000, 6
"""A training from scratch sees so many images and passes so often over the data before a larger network pays off."""
FEWEST_STEPS = 6
"""Of an epoch, where a kind of target says how it is learned: batch norm's statistics need some."""
VALIDATED, MOST_VALIDATED = 100, 0.25
"""Images to validate on at least, up to this share: the head gets them back in the end."""
TRANSFER_LR = 0.001
"""Of AdamW, behind a fitted head too: of 0.0003, 0.001 and 0.003 the best there, by the same section."""
HEAD_VERSIONS = 4
"""Of every image, to which the head is fitted: benchmarks/README.md, section transfer.py, compares."""
TRANSFER_IMAGES = 20_000
"""A training from weights of other images sees so many."""

FOLLOWING = frozenset({"classes", "c_in", "size", "frames"})
"""Arguments of a network that follow from the data and its input."""

SMALL_STEPS = {"accumulate": 1, "lr": 0.06, "lr_rest": 0.01, "momentum": 0.9}
"""The recipe of CIFAR-10 takes steps of 1,000 images; these values are for a tenth of that."""


def default_plan(dataset: Dataset, *, model: str | None = None, size: int | None = None) -> Plan:
    """Return a plan by rule, without timing anything: for `model` where one is given, else for the kind of images."""
    images = len(dataset.parts["train"])
    learned = dataset.kind.usual(dataset.native_size)
    if learned is not None:
        return _plan_of_target(learned, dataset, model=model, size=size)
    usual = inputs.kind(dataset.input).usual(dataset.native_size)
    if usual is not None:
        return _usual_plan(usual, dataset, model=model, size=size)
    size = size or input_size(dataset)
    epochs = max(10, min(100, WANTED_IMAGES // images + WANTED_EPOCHS))
    augment = _augment(dataset, size)
    if model is None:
        recipe = CIFAR10.recipe.replace(
            **SMALL_STEPS, epochs=epochs, batch=_batch(images), augment=augment, test_flip=not dataset.directional
        )
        reason = f"foveola at {size} px: this project's fast network; --model and --budget choose others"
        return Plan(model="foveola", arguments=stride(size), size=size, recipe=recipe, reasons=(reason,))
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
        lr=TRANSFER_LR,
        weight_decay=0.02,
        clip=1.0,
        label_smoothing=0.1 if dataset.kind.smooths else 0.0,
        frozen_statistics=True,
        fit_head=fits,
        head_versions=HEAD_VERSIONS if fits else 1,
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


def own_arguments(model: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the `changes` to a plan that are arguments of its network, text in the type of its default."""
    takes = registry.arguments_of(model).keys() - FOLLOWING
    return registry.parsed_arguments(model, {name: value for name, value in changes.items() if name in takes})


def has_usual_plan(dataset: Dataset) -> bool:
    """Return whether the kind of target or of input says how it is learned."""
    size = dataset.native_size
    return dataset.kind.usual(size) is not None or inputs.kind(dataset.input).usual(size) is not None


def shows_photographs(dataset: Dataset) -> bool:
    """Return whether images are so large, or of such different sizes, that weights from photographs help."""
    return not has_usual_plan(dataset) and input_size(dataset) > SMALL_IMAGE


def input_size(dataset: Dataset) -> int:
    """Return the side of the input in pixels: that of small images, or `PHOTO_SIZE`."""
    side = max(dataset.native_size or (PHOTO_SIZE, PHOTO_SIZE))
    return max(side, SMALLEST_INPUT) if side <= SMALL_IMAGE else PHOTO_SIZE


def stride(size: int) -> dict[str, int]:
    """Return the stride that foveola takes at an input size, as arguments of its builder."""
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
