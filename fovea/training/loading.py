"""The images of a training, step by step: the next ones are augmented while a step runs, where that is faster.

What a step gets is a function of (seed, epoch, step) alone, so that it is the same to the bit, whenever it is made.
Images are (N, C, H, W) uint8 0..255 until they are normalised to float32; indices of images are (N,) int64.
"""

import statistics
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from fovea import inputs
from fovea.data.augment.mixing import Labels, compose_mixing
from fovea.data.augment.recipes import Augmentation, AugmentContext, augmented
from fovea.data.dataset import Part
from fovea.inputs.interface import Preprocessing
from fovea.tasks.task import Task
from fovea.training.distributed import own_share
from fovea.training.inference import part_labels
from fovea.training.recipe import Recipe
from fovea.training.seeds import seed_of

if TYPE_CHECKING:
    from fovea.training.frozen_maps import FrozenMaps

TRIED = (False, True, False, True)
"""Both ways of loading are tried in turn: in the step, and ahead of it."""
TRIED_STEPS = 6
"""Steps of each turn; the first does not count."""
WORTH = 0.98
"""Loading ahead is kept where a step takes less than this share of the time that it takes otherwise."""

Chunk = tuple[Tensor, Labels]
"""Images (N, C, H, W) float32, normalised, and their labels (N,)."""


class Step(NamedTuple):
    """The images of one step: what they are and what their augmentation is drawn by."""

    indices: Tensor
    """(N,) int64."""
    batch: int
    """Images of a chunk."""
    seed: int
    epoch: int
    number: int
    """Steps of this epoch before it."""

    @property
    def chunks(self) -> int:
        """Into how many chunks the images are divided."""
        return -(-len(self.indices) // self.batch)

    def is_same(self, other: "Step") -> bool:
        """Return whether both give the same images."""
        return self[1:] == other[1:] and torch.equal(self.indices, other.indices)


class Begun(NamedTuple):
    """A step whose first chunk is being made."""

    step: Step
    chunks: Iterator[Chunk]
    first: "Future[Chunk]"


class Loader:
    """Makes chunks of images from a decoded split as `recipe` augments them."""

    def __init__(
        self,
        part: Part,
        recipe: Recipe,
        *,
        target: Task,
        preprocess: Preprocessing,
        augmentation: Augmentation,
        device: torch.device,
    ) -> None:
        self.part, self.target, self.augment, self.device = part, target, augmentation, device
        self.mix = compose_mixing(recipe.augment, without=target.changed_by)
        self.prepare = inputs.kind_of(preprocess).network_input(preprocess, device)
        self.labels = part_labels(part)
        self.maps: FrozenMaps | None = None  # what frozen stages make of the images, in their place
        self.upcoming: Step | None = None  # the step after the one that is asked for next
        self._pool: ThreadPoolExecutor | None = None
        self._begun: Begun | None = None
        self._trial: Trial | None = None

    @contextmanager
    def ahead(self, *, chosen: bool | None = None) -> Iterator[None]:
        """Load the next step while one runs, for the body, unless a trial over the first steps finds it no faster.

        Where it is `chosen` whether to, there is no trial.
        """
        pool = ThreadPoolExecutor(1, thread_name_prefix="loading")
        self._pool, self._trial = pool, Trial(chosen)
        try:
            yield
        finally:
            self._pool = self._begun = self._trial = None
            pool.shutdown(wait=False, cancel_futures=True)

    def chunks(self, step: Step) -> Iterator[Chunk]:
        """Yield the chunks of a step."""
        if self._pool is None or self._trial is None or not self._trial.ahead():
            yield from self.made(step)
            return
        begun, self._begun = self._begun, None
        if begun is None or not begun.step.is_same(step):
            begun = self._begin(step, self._pool)
        future = begun.first
        for left in reversed(range(step.chunks)):
            chunk = future.result()
            if left:
                future = self._pool.submit(begun.chunks.__next__)
            elif self.upcoming is not None:
                self._begun = self._begin(self.upcoming, self._pool)
            yield chunk

    def _begin(self, step: Step, pool: ThreadPoolExecutor) -> Begun:
        chunks = self.made(step)
        return Begun(step, chunks, pool.submit(chunks.__next__))

    def made(self, step: Step) -> Iterator[Chunk]:
        """Yield the chunks of a step as they are asked for, in the thread that asks."""
        generator = torch.Generator(self.device).manual_seed(seed_of(step.seed, step.epoch, step.number, 1))
        for indices in torch.split(step.indices, step.batch):
            yield self.load(indices, generator, epoch=step.epoch)

    def load(self, indices: Tensor, generator: torch.Generator, *, epoch: int) -> Chunk:
        """Return normalised, augmented, perhaps mixed images (N, C, H, W) and their labels (N,) on the device.

        Of several processes each augments and mixes all of them in the same way, and gets its share of the images.
        """
        if self.maps is not None:
            return self.maps.batch(indices, generator), self.labels[indices].to(self.device, non_blocking=True)
        batch = self.prepare.arranged(self.part.decoded[indices.numpy()])
        context = AugmentContext(epoch, indices.to(self.device))
        batch, movement = augmented(self.augment, batch, generator, context, follow=self.target.lies_on_image)
        labels = self.labels[indices].to(self.device, non_blocking=True)
        if movement is not None:
            labels = self.target.moved(labels, movement)
        if self.mix is None:
            return self.prepare(own_share(batch)), labels
        batch, mixed = self.mix(batch, labels, generator)
        return self.prepare(own_share(batch)), mixed


class Trial:
    """Finds out over the first steps whether loading ahead is faster on this machine; asked once at each step."""

    def __init__(self, chosen: bool | None = None) -> None:
        self.steps = 0
        self.last = 0.0
        self.times: dict[bool, list[float]] = {False: [], True: []}
        self.chosen = chosen

    def ahead(self) -> bool:
        """Return whether to load ahead in the step that begins now."""
        if self.chosen is not None:
            return self.chosen
        now, turn = time.perf_counter(), self.steps // TRIED_STEPS
        if self.steps and (self.steps - 1) % TRIED_STEPS:  # the step that ends now was not the first of its turn
            self.times[TRIED[(self.steps - 1) // TRIED_STEPS]].append(now - self.last)
        self.last, self.steps = now, self.steps + 1
        if turn == len(TRIED):
            inside, ahead = (statistics.median(self.times[way]) for way in (False, True))
            self.chosen = ahead < WORTH * inside
            return self.chosen
        return TRIED[turn]
