"""What the frozen stages of a network make of the training images, computed once.

Stages that stay as they are give the same maps whenever they see the same image. So a few versions of every image, the
plain one and augmented ones, go through them before training, and each step takes the maps of one version at random.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fovea.inputs.interface import Preprocessing
from fovea.layers import Classifier
from fovea.training.inference import Progress, as_evaluated, autocast
from fovea.training.loading import Loader
from fovea.training.losses import Outputs
from fovea.training.recipe import Recipe
from fovea.training.seeds import seed_of
from fovea.training.transfer import body, frozen_parts

MOST_VALUES = 1 << 28
"""Numbers that are kept at most: a gigabyte. Where more would be needed there are fewer versions of every image."""
MAPPED_IMAGES = 32
VIEW = 7
"""Tells the seeds of versions from those of steps."""


@dataclass(frozen=True)
class FrozenMaps:
    """Maps of several versions of every training image, and the children of the network that they enter."""

    maps: Tensor
    """(V, N, C, H, W) float32, on the CPU."""
    rest: tuple[str, ...]
    device: torch.device

    def batch(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        """Return the maps (n, C, H, W) of the images at `indices`, each of a version drawn at random."""
        versions = torch.randint(len(self.maps), indices.shape, generator=generator)
        chosen = self.maps[versions, indices].to(self.device)
        return chosen.contiguous(memory_format=torch.channels_last)

    def forward(self, model: nn.Module) -> Callable[[Tensor], Outputs]:
        """Return what computes the outputs of `model` from maps."""

        def outputs(x: Tensor) -> Tensor:
            for name in self.rest:
                x = getattr(model, name)(x)
            return x

        return outputs


def can_be_kept(model: nn.Module, recipe: Recipe) -> bool:
    """Return whether the network has frozen stages whose maps can be kept, and every step takes images as they are."""
    mixes = recipe.resample or any(spec.startswith(("mixup", "cutmix")) for spec in recipe.augment)
    parts = list(body(model))
    frozen = frozen_parts(recipe.freeze, parts)
    return isinstance(model, Classifier) and bool(frozen) and list(model.body) == parts and not mixes


def computed_maps(
    model: nn.Module,
    loader: Loader,
    recipe: Recipe,
    *,
    preprocess: Preprocessing,
    progress: Progress | None = None,
) -> FrozenMaps:
    """Return the maps of the images of `loader` in `recipe.frozen_views` versions, the first as it is evaluated.

    `model` is on the device; it is left in evaluation mode.
    """
    parts = list(body(model))
    frozen = frozen_parts(recipe.freeze, parts)
    count, views, done = len(loader.part), recipe.frozen_views, 0
    maps: Tensor | None = None
    model.eval()
    view = 0
    while view < views:
        for first in range(0, count, MAPPED_IMAGES):
            rows = range(first, min(first + MAPPED_IMAGES, count))
            with torch.inference_mode(), autocast(loader.device, recipe.precision):
                x = _version(loader, rows, view, preprocess=preprocess, seed=recipe.seed)
                for name in frozen:
                    x = getattr(model, name)(x)
            if maps is None:
                views = max(1, min(views, MOST_VALUES // (count * x[0].numel())))
                maps = torch.empty(views, count, *x.shape[1:])
            maps[view, rows.start : rows.stop] = x.float().cpu()
            done += len(rows)
            if progress:
                progress(done, views * count)
        view += 1
    if maps is None:
        raise ValueError("there are no images")
    return FrozenMaps(maps, (*parts[len(frozen) :], "head"), loader.device)


def _version(loader: Loader, rows: range, view: int, *, preprocess: Preprocessing, seed: int) -> Tensor:
    """Return version `view` of the images at `rows` as the network gets them: version 0 as they are evaluated."""
    if view == 0:
        return next(as_evaluated(loader.part, preprocess, loader.device, rows=rows, batch=len(rows)))
    generator = torch.Generator(loader.device).manual_seed(seed_of(seed, VIEW, view, rows.start))
    images, _ = loader.load(torch.arange(rows.start, rows.stop), generator, epoch=0)
    return images
