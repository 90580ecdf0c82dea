"""The data of a chain: what steps train on, what scores are of, and training further as the card's recipe did.

Stored samples are (N, H, W, C) uint8 of images; inputs (N, C, H, W) float32, normalised.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor, nn

from fovea import inputs
from fovea.compression.refit import Refit, refit_recipe
from fovea.data.augment.families import compose_for
from fovea.data.augment.recipes import FLIPS, Augmentation
from fovea.data.dataset import Dataset
from fovea.data.sources.source import Reading
from fovea.data.splits import take
from fovea.display import Display
from fovea.errors import DataError, FoveaError
from fovea.evaluation.divided import Purpose, divided_data
from fovea.model.bundle import Bundle
from fovea.tasks.figures import Measured
from fovea.tasks.task import Labels, Task
from fovea.training.inference import as_evaluated, predict_logits
from fovea.training.recipe import Recipe
from fovea.training.seeds import seed_of

PURPOSE = Purpose(judged="Steps are judged by a score", trained="Steps train", most=5000)
JUDGED = 2000
"""Samples of the validation split that steps judge their choices by, at most."""
BATCH = 64


@dataclass(frozen=True, kw_only=True)
class Material:
    """Decoded data whose labels are those of the network."""

    dataset: Dataset
    """Parts `train` and `val`, perhaps `test`."""
    bundle: Bundle
    """The network as it was given; its preprocessing and task stay."""
    unseen: bool
    """Whether the validation split was not trained on."""
    recipe: Recipe
    augmentation: Augmentation
    seed: int
    lowers_rate: bool
    """Whether the rate of further training may give way to a lower one: nobody asked for it."""

    @property
    def target(self) -> Task:
        """What is learned."""
        return self.bundle.target

    @property
    def steps_per_epoch(self) -> int:
        """Steps of the optimiser in one pass over the training part."""
        return self.refit(step=0, display=Display(quiet=True), title="").steps(1)

    def labels(self, name: str) -> Labels:
        """Return the labels (N,) of a split as the network's task has them."""
        return self.target.matched(self.dataset.parts[name].labels, self.dataset.classes)

    def refit(self, *, step: int, display: Display, title: str) -> Refit:
        """Return what trains a network further in the step with a number."""
        part = self.dataset.parts["train"]
        return Refit(
            train=replace(part, labels=self.target.to_network(self.labels("train"))),
            recipe=self.recipe.replace(seed=seed_of(self.seed, step)),
            target=self.target,
            preprocess=self.bundle.preprocess,
            augmentation=self.augmentation,
            device=self.bundle.device,
            lowers_rate=self.lowers_rate,
            progress=lambda share, detail: display.advance(title, share, 1.0, detail=detail),
            note=lambda text: display.note(f"{title}: {text}"),
        )

    def batches(self, count: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield so many training samples as the network is evaluated on them, and their labels on its scale."""
        part = self.dataset.parts["train"]
        rows = np.random.default_rng(self.seed).permutation(len(part))[:count]
        labels = torch.from_numpy(np.array(self.target.to_network(self.labels("train"))[rows]))
        found = as_evaluated(part, self.bundle.preprocess, self.bundle.device, rows=rows, batch=BATCH)
        for first, samples in enumerate(found):
            yield samples, labels[first * BATCH : first * BATCH + len(samples)].to(self.bundle.device)

    def score(self, model: nn.Module) -> float:
        """Return the score of a network on some of the validation split; higher is better."""
        part = self.dataset.parts["val"]
        rows = np.random.default_rng(self.seed).permutation(len(part))[:JUDGED]
        chosen = take(part, rows).decoded
        keep = lambda outputs, _: self.target.condensed(outputs)  # noqa: E731
        outputs = predict_logits(model, chosen, self.bundle.preprocess, device=self.bundle.device, keep=keep)
        value = self.measured(outputs, self.labels("val")[rows]).value or 0.0
        return value if self.target.metric.higher_is_better else -value

    def measured(self, outputs: Tensor, labels: Labels) -> Measured:
        """Return the task's score of outputs (N, K). Raises: DataError where it is not defined."""
        found = self.target.measured(outputs, labels)
        if found.value is None:
            raise DataError(
                f"The {self.target.metric.title} of `{self.dataset.name}` is not defined: give more samples."
            )
        return found


def material_of(
    bundle: Bundle,
    data: str | Path,
    *,
    seed: int,
    changes: Mapping[str, Any] | None = None,
    allow_bad: bool,
    display: Display,
    **reading: Unpack[Reading],
) -> Material:
    """Return the data of a chain, divided as the network's training divided it, and decoded.

    `changes` are those of the recipe of further training.

    Raises:
        DataError: there is no train split, or it is of another kind or has other classes.
        UsageError: the network's task has no score, or a change that cannot be.
    """
    recipe = refit_recipe(recipe_of(bundle, display), seed=seed, changes=changes)
    source, divided, _, seen = divided_data(bundle, data, PURPOSE, allow_bad=allow_bad, display=display, **reading)
    for note in divided.notes:
        display.note(f"data: {note}")
    if seen:
        display.note(
            "data: there is no validation split; some of train is set aside for the score, which the network as given "
            "was trained on: what later rows lose against it is overstated"
        )
    decoded = source.decode(divided, bundle.preprocess, progress=display.counter("decoding"))
    return Material(
        dataset=decoded,
        bundle=bundle,
        unseen=not seen,
        recipe=recipe,
        augmentation=_augmentation(bundle, decoded, recipe),
        seed=seed,
        lowers_rate="lr" not in (changes or {}),
    )


def recipe_of(bundle: Bundle, display: Display) -> Recipe:
    """Return the recipe in the card of a network, or one of plain defaults where there is none that can be read."""
    given = bundle.card.training.recipe if bundle.card.training is not None else None
    plain = Recipe(loss=bundle.target.loss)
    if given is None:
        display.note(
            "training: the model file names no recipe; further training takes batches of 128, and no augmentation: "
            "`--set augment='flip,shift 4'` gives some"
        )
        return plain
    try:
        return Recipe.from_dict(
            {**given, "loss": bundle.target.loss, "probe": False, "class_means": False, "epochs": 1, "budget_s": 0.0}
        )
    except (FoveaError, TypeError):
        display.note("training: the recipe in the model file is not known here; further training has no augmentation")
        return plain


def _augmentation(bundle: Bundle, dataset: Dataset, recipe: Recipe) -> Augmentation:
    """Return the augmentation of a recipe, without what this kind of target, or these labels, do not bear."""
    shape, family = bundle.preprocess.shape, inputs.kind(dataset.input).augments
    without = (*type(bundle.target).changed_by, *(FLIPS if dataset.directional else ()))
    if family in ("images", "clips") and shape[-1] != shape[-2]:  # augmentations of these give squares
        return lambda batch, *_: batch
    return compose_for(family, recipe.augment, size=shape[-1], without=without)
