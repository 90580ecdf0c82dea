"""Versions of the training images, and what the frozen stages of a network make of them, computed once.

Stages that stay as they are give the same maps whenever they see the same image. So a few versions of every image, the
plain one and augmented ones, go through them before training, and each step takes the maps of one version at random.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fovea.data.augment.recipes import MIXES
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

    def of_version(self, view: int, *, batch: int) -> Iterator[Tensor]:
        """Yield the maps (n, C, H, W) float of version `view` of all images in their order, on the device."""
        for maps in torch.split(self.maps[view], batch):
            yield maps.to(self.device).contiguous(memory_format=torch.channels_last)

    def forward(self, model: nn.Module) -> Callable[[Tensor], Outputs]:
        """Return what computes the outputs of `model` from maps."""

        def outputs(x: Tensor) -> Tensor:
            for name in self.rest:
                x = getattr(model, name)(x)
            return x

        return outputs


def takes_single_images(recipe: Recipe) -> bool:
    """Return whether each image of a step is made of one training image, and each of these is used."""
    return not recipe.resample and not any(spec.startswith(MIXES) for spec in recipe.augment)


def can_be_kept(model: nn.Module, recipe: Recipe) -> bool:
    """Return whether the network has frozen stages whose maps can be kept, and every step takes images as they are."""
    parts = list(body(model))
    frozen = frozen_parts(recipe.freeze, parts)
    return isinstance(model, Classifier) and bool(frozen) and list(model.body) == parts and takes_single_images(recipe)


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
        first = 0
        for x in versions(loader, view, preprocess=preprocess, seed=recipe.seed):
            with torch.inference_mode(), autocast(loader.device, recipe.precision):
                for name in frozen:
                    x = getattr(model, name)(x)
            if maps is None:
                views = max(1, min(views, MOST_VALUES // (count * x[0].numel())))
                maps = torch.empty(views, count, *x.shape[1:])
            maps[view, first : first + len(x)] = x.float().cpu()
            first, done = first + len(x), done + len(x)
            if progress:
                progress(done, views * count)
        view += 1
    if maps is None:
        raise ValueError("there are no images")
    return FrozenMaps(maps, (*parts[len(frozen) :], "head"), loader.device)


def versions(loader: Loader, view: int, *, preprocess: Preprocessing, seed: int) -> Iterator[Tensor]:
    """Yield version `view` of all images in their order, (n, C, H, W) float32: version 0 as they are evaluated."""
    count = len(loader.part)
    if view == 0:
        yield from as_evaluated(loader.part, preprocess, loader.device, rows=range(count), batch=MAPPED_IMAGES)
        return
    for first in range(0, count, MAPPED_IMAGES):
        generator = torch.Generator(loader.device).manual_seed(seed_of(seed, VIEW, view, first))
        yield loader.load(torch.arange(first, min(first + MAPPED_IMAGES, count)), generator, epoch=0)[0]
