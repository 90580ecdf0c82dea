"""Unsupervised pre-training of a network's layers, before `fovea train` shows it any label."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from fovea.data.dataset import Images
from fovea.jobs.progress import Display
from fovea.preprocess import Preprocess
from fovea.training.engine import seed_of
from fovea.training.evaluation import Normaliser
from fovea.training.pretraining import Learned, hidden_layers, pretrain
from fovea.training.recipe import Recipe


def pretrain_layers(
    model: nn.Module, pixels: Images, recipe: Recipe, *, preprocess: Preprocess, display: Display
) -> None:
    """Train each layer of `model` but the last for `recipe.pretrain` passes over `pixels` (N, h, w, C), as evaluated.

    Order and noise follow from the recipe's seed. What each layer has learned is said.
    """
    device = next(model.parameters()).device
    normalise = Normaliser(preprocess, device)
    generator = torch.Generator().manual_seed(seed_of(recipe.seed, 0, 0, 0, 0))
    seen, total = 0, len(hidden_layers(model)) * recipe.pretrain * len(pixels)

    def batches(_: int) -> Iterator[torch.Tensor]:
        nonlocal seen
        for rows in torch.split(torch.randperm(len(pixels), generator=generator), recipe.batch):
            batch = np.stack([preprocess.fit_pixels(pixels[row]) for row in rows.tolist()])
            yield normalise(torch.from_numpy(batch).permute(0, 3, 1, 2).to(device))
            seen += len(rows)
            display.advance("pre-training", seen, total)

    def done(learned: Learned) -> None:
        display.note(
            f"pre-training: {learned.layer} misses {learned.last:.1%} of its inputs' variance "
            f"({learned.first:.1%} in its first epoch)"
        )

    pretrain(model, batches, epochs=recipe.pretrain, generator=generator, done=done)
