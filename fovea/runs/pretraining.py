"""Unsupervised pre-training of a network's layers, before `fovea train` shows it any label."""

from collections.abc import Iterator

import torch
from torch import nn

from fovea.data.dataset import Part
from fovea.display import Display
from fovea.inputs.interface import Preprocessing
from fovea.texts import percent
from fovea.training.inference import as_evaluated
from fovea.training.pretraining import Learned, hidden_layers, pretrain
from fovea.training.recipe import Recipe
from fovea.training.seeds import seed_of


def pretrain_layers(
    model: nn.Module, part: Part, recipe: Recipe, *, preprocess: Preprocessing, display: Display
) -> None:
    """Train each layer of `model` but the last for `recipe.pretrain` passes over the images of `part`, as evaluated.

    Order and noise follow from the recipe's seed. What each layer has learned is said.
    """
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(seed_of(recipe.seed, 0, 0, 0, 0))
    seen, total = 0, len(hidden_layers(model)) * recipe.pretrain * len(part)

    def batches(_: int) -> Iterator[torch.Tensor]:
        nonlocal seen
        order = torch.randperm(len(part), generator=generator).numpy()
        for images in as_evaluated(part, preprocess, device, rows=order, batch=recipe.batch):
            yield images
            seen += len(images)
            display.advance("pre-training", seen, total)

    def done(learned: Learned) -> None:
        display.note(
            f"pre-training: {learned.layer} does not reconstruct {percent(learned.last)} of its inputs' variance "
            f"({percent(learned.first)} in its first epoch)"
        )

    pretrain(model, batches, epochs=recipe.pretrain, generator=generator, done=done)
