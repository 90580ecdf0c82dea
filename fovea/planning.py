"""Choosing a plan for data that comes without one: network, input size, batch and epochs, each with its reason."""

from typing import NamedTuple

from fovea.data.dataset import Dataset
from fovea.recipes import CIFAR10, Plan
from fovea.training.recipe import Recipe

IMAGES_SEEN = 150_000
"""Images a training from scratch sees at least, however small the data, before a larger network pays off."""
MIN_EPOCHS = 6
"""Passes it makes at least, however large the data."""

PHOTO_SIZE = 128


class Candidate(NamedTuple):
    """A network at an input size, in the order in which they get better and slower."""

    model: str
    size: int
    arguments: dict[str, object]
    macs: int


def default_plan(dataset: Dataset, *, model: str | None = None, size: int | None = None) -> Plan:
    """Return a plan by rule, without timing anything: for `model` where one is given, else for the kind of images."""
    images = len(dataset.parts.get("train", ()))
    photo = _side(dataset) > 40
    size = size or _input_size(dataset, model)
    batch = _batch(images)
    augment = ("flip", "crop 0.35") if photo else ("flip", f"shift {max(1, size // 14)}")
    epochs = max(10, min(100, round(IMAGES_SEEN / max(images, 1)) + 10))
    if model is None or model == "foveola":
        training = CIFAR10.training.replace(epochs=epochs, batch=batch, augment=augment, test_flip=False)
        reason = f"foveola at {size} px: this project's fast network for images of this kind"
        arguments = {"stride": 2} if size > 40 else {}
        return Plan(model="foveola", arguments=arguments, size=size, training=training, reasons=(reason,))
    training = Recipe(
        epochs=epochs, batch=batch, optimiser="adamw", lr=0.002, weight_decay=0.02, clip=1.0, augment=augment
    )
    return Plan(model=model, size=size, training=training, reasons=(f"{model} at {size} px, as asked for",))


def _side(dataset: Dataset) -> int:
    return max(dataset.native_size) if dataset.native_size else PHOTO_SIZE


def _input_size(dataset: Dataset, model: str | None) -> int:
    if dataset.native_size and max(dataset.native_size) <= PHOTO_SIZE:
        return max(dataset.native_size)
    return PHOTO_SIZE


def _batch(images: int) -> int:
    """About a hundred steps an epoch, in powers of two from 16 to 512."""
    batch = 16
    while batch < 512 and images // (2 * batch) >= 60:
        batch *= 2
    return batch


def budget_plan(dataset: Dataset, budget_s: float, *, device: object, size: int | None = None) -> Plan:
    """Return a plan that fits `budget_s` seconds on `device`, from timing a few steps of each candidate."""
    return default_plan(dataset, size=size).replace(epochs=0, budget_s=budget_s)
