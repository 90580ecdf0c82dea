"""The training loop for any `nn.Module`.

All randomness of a step is a function of (seed, epoch, step), so that a training that continues from a checkpoint
repeats the same steps to the bit. Of several processes (`fovea.training.distributed`) each runs this loop; they take
the same decisions, and differ in their share of every batch.

Images are (N, C, H, W) uint8 0..255 until they are normalised to float32; indices of images are (N,) int64.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fovea.data.augment.mixing import Labels, MixedLabels
from fovea.data.augment.recipes import Augmentation
from fovea.data.dataset import Part
from fovea.data.sampling import resampled
from fovea.errors import DataError, TrainingError
from fovea.inputs.interface import Preprocessing
from fovea.inputs.views import Protocol
from fovea.layers import placed
from fovea.tasks.score import Score
from fovea.tasks.task import Task
from fovea.training import first_sizes, small_maps
from fovea.training.arithmetic import Arithmetic
from fovea.training.changes import Change, changed
from fovea.training.clock import Clock, EpochResult
from fovea.training.distributed import gathered, greatest, own_part, own_share, rank, spread_buffers, sum_gradients
from fovea.training.frozen_maps import FrozenMaps
from fovea.training.inference import autocast, part_labels, predict_logits
from fovea.training.loading import Loader, Step
from fovea.training.losses import Outputs, main_head, make_loss
from fovea.training.optim import Average, carried_over, make_optimisers
from fovea.training.own_rule import learner_in
from fovea.training.recipe import Recipe, fitted
from fovea.training.schedules import SCHEDULES, Plateau, warmed_up
from fovea.training.seeds import seed_of
from fovea.training.transfer import Learners

EXPLODED = 100.0
"""A loss of so many times the first step's stops the training."""
RISE = 0.01
"""A schedule rises where it is higher after this further share of the training."""
VALIDATION_SHARE = 0.05
"""Under a budget, validations before the last take no more than this share of the time."""


class Batch(NamedTuple):
    """The last images of a step, as the network saw them, and what it said; gradients are in its parameters."""

    images: Tensor
    labels: Labels
    outputs: Outputs


class Trainer:
    """A network, its data and its optimisers in training; `fit` runs it to the end or until it is stopped."""

    def __init__(
        self,
        model: nn.Module,
        train: Part,
        recipe: Recipe,
        *,
        val: Part | None,
        target: Task,
        preprocess: Preprocessing,
        augmentation: Augmentation,
        device: torch.device,
    ) -> None:
        recipe = fitted(recipe, images=len(train), validated=val is not None)
        train = resampled(train, seed=recipe.seed) if recipe.resample else train
        self.model = placed(model, device)
        self.train_part, self.val_part, self.recipe = train, val, recipe
        self.target, self.preprocess, self.device = target, preprocess, device
        self.loader = Loader(
            train, recipe, target=target, preprocess=preprocess, augmentation=augmentation, device=device
        )
        self.prepare, self.labels = self.loader.prepare, self.loader.labels
        self.draw_weights = target.image_weights(self.labels) if recipe.balanced else None
        weights = target.class_weights(self.labels).to(device) if recipe.class_weights else None
        self.loss = make_loss(target, recipe, weights)
        self.val_loss = make_loss(target, recipe.replace(label_smoothing=0.0, aux_weight=0.0))
        self.learner = learner_in(
            self.model, recipe, labels=self.labels, outputs=target.outputs, mixes=self.loader.mix is not None
        )
        self.forward: Callable[[Tensor], Outputs] = torch.compile(self.model) if recipe.compile else self.model
        self.descends = True  # whether the last step had a gradient
        self.learners = Learners(self.model, recipe)
        self.optimisers = make_optimisers(self.model, recipe)
        self.average = Average(self.model, recipe.ema) if recipe.ema else None
        self.plateau = Plateau() if recipe.schedule == "plateau" else None
        self.schedule = warmed_up(SCHEDULES.get(recipe.schedule, SCHEDULES["constant"]), warmup=recipe.warmup)
        self.arithmetic = Arithmetic(self.model, self.optimisers, preprocess.shape)
        self.phases = first_sizes.required(recipe.first_sizes, self.arithmetic, lies_on_image=target.lies_on_image)
        self.small_maps = small_maps.pays(self.model, recipe, device)
        self.clock = Clock()
        self.changes: Sequence[Change] = ()  # by step, past and to come
        self.observe: Callable[[Batch], None] | None = None  # called before every update; changes nothing
        self.zero_at = 0.0  # the moment at which `elapsed_s` would have been 0
        self._parameters = [p for p in self.model.parameters() if p.requires_grad]
        self._share = torch.tensor(1 / recipe.accumulate, device=device)

    def take_maps(self, maps: FrozenMaps) -> None:
        """Train on what frozen stages make of the images, in place of these."""
        self.loader.maps, self.forward = maps, maps.forward(self.model)

    @property
    def images_per_step(self) -> int:
        """Images of one optimiser step."""
        return self.recipe.batch * self.recipe.accumulate

    @property
    def steps_per_epoch(self) -> int:
        """Whole steps in one pass; the images left over differ from epoch to epoch."""
        return len(self.train_part) // self.images_per_step

    @property
    def images_seen(self) -> int:
        """Images trained on, with repetition."""
        clock = self.clock
        return clock.images_before + (clock.total_steps - clock.changed_at) * self.images_per_step

    @property
    def progress(self) -> float:
        """How much of the training is done, in [0, 1]: by steps, or by time under a budget."""
        if self.recipe.budget_s:
            return min(1.0, self.clock.elapsed_s / self.recipe.budget_s)
        clock = self.clock
        steps = clock.steps_planned if clock.changed_at else self.recipe.epochs * self.steps_per_epoch
        share = (clock.total_steps - clock.changed_at) / steps if steps else 1.0
        return min(1.0, clock.progress_before + (1 - clock.progress_before) * share)

    @property
    def inference_batch(self) -> int:
        """Images at a time where nothing is learned: where outputs are maps of images, as many as a step holds."""
        return self.recipe.batch if self.target.lies_on_image else 256

    @property
    def evaluated_model(self) -> nn.Module:
        """The network whose results count: the moving average where there is one."""
        return self.average.model if self.average else self.model

    def fit(
        self,
        *,
        on_step: Callable[["Trainer"], None],
        on_epoch: Callable[["Trainer", EpochResult], None],
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """Train until the epochs, the budget or the patience are used up, or `stopped` says so after a step."""
        self.zero_at = time.monotonic() - greatest(self.clock.elapsed_s)[0]
        with self.loader.ahead():
            while (self.progress < 1 or self.clock.step) and not self.out_of_patience and not self.is_to_stop(stopped):
                for indices in self.batches():
                    if self.progress >= 1:
                        break
                    self.train_step(indices)
                    self.clock.elapsed_s = time.monotonic() - self.zero_at
                    on_step(self)
                    if self.is_to_stop(stopped):
                        return
                result = self.finish_epoch()
                on_epoch(self, result)

    def stand_still(self, seconds: float) -> None:
        """Leave out time that was waited: it spends no budget."""
        self.zero_at += seconds

    def take_changes(self) -> None:
        """Apply the changes that were made at this step."""
        for change in self.changes:
            if change.step == self.clock.total_steps:
                self.take(change)

    def take(self, change: Change) -> None:
        """Apply a change; the epoch continues with the images that are left of it."""
        clock, size = self.clock, self.images_per_step
        seen, progress = self.images_seen, self.progress
        self.go_by(change)
        if self.images_per_step != size and clock.total_steps:
            left = (len(self.train_part) - clock.seen) // self.images_per_step
            more = max(0, self.recipe.epochs - clock.epoch - 1) * self.steps_per_epoch
            clock.changed_at, clock.images_before = clock.total_steps, seen
            clock.progress_before, clock.steps_planned = progress, left + more

    def go_by(self, change: Change) -> None:
        """Take the recipe with a change for the recipe; what the optimisers keep of each parameter stays."""
        recipe = changed(self.recipe, change.values)
        recipe = recipe.replace(batch=min(recipe.batch, len(self.train_part) // recipe.accumulate))
        if recipe != self.recipe.replace(batch=recipe.batch):
            self.learners.settle(head_only=False)  # all that will learn belongs to an optimiser
            self.optimisers = carried_over(self.optimisers, make_optimisers(self.model, recipe))
        self.recipe = recipe

    def is_to_stop(self, stopped: Callable[[], bool]) -> bool:
        """Return whether any process is `stopped`, and set the clocks of all by the latest."""
        self.clock.elapsed_s, stop = greatest(self.clock.elapsed_s, stopped())
        return bool(stop)

    @property
    def out_of_patience(self) -> bool:
        """Whether `patience` epochs have gone by without a better validation result."""
        patience, clock = self.recipe.patience, self.clock
        return patience > 0 and clock.best is not None and clock.epoch - 1 - clock.best_epoch >= patience

    def batches(self) -> Iterator[Tensor]:
        """Yield the image indices of each step of this epoch that is still to be done."""
        generator = torch.Generator().manual_seed(seed_of(self.recipe.seed, self.clock.epoch))
        if self.draw_weights is not None:
            order = torch.multinomial(self.draw_weights, len(self.train_part), replacement=True, generator=generator)
        else:
            order = torch.randperm(len(self.train_part), generator=generator)
        self.take_changes()
        first = self.clock.seen if self.clock.changed_at else self.clock.step * self.images_per_step
        while (last := first + self.images_per_step) <= len(order):
            after = order[last : last + self.images_per_step]
            whole = len(after) == self.images_per_step
            self.loader.upcoming = self.step_of(after, self.clock.step + 1) if whole else None
            yield order[first:last]
            self.take_changes()
            first = last

    def step_of(self, indices: Tensor, number: int) -> Step:
        """Return what is to be loaded for the step `number` of this epoch."""
        return Step(indices, self.recipe.batch, self.recipe.seed, self.clock.epoch, number)

    def train_step(self, indices: Tensor) -> None:
        """Do one optimiser step on the images at `indices`."""
        self.learners.settle(head_only=self.progress < self.recipe.head_first)
        position = (self.recipe.seed, self.clock.epoch, self.clock.step)
        self.seed_dropout(seed_of(*position, 2 * rank()))  # 1 is the seed of the augmentation, which all share
        loss_sum = 0.0
        loaded = self.loader.chunks(self.step_of(indices, self.clock.step))
        for chunk, (images, labels) in zip(torch.split(indices, self.recipe.batch), loaded, strict=True):
            images = first_sizes.resized(images, self.pixels)
            loss, outputs = self.answered(images, labels, count=len(chunk))
            self.descends = loss.requires_grad
            if self.descends:
                loss.backward(self._share)  # type: ignore[no-untyped-call]
            loss_sum += loss.item()
            self.count(outputs, labels)
        self.check(loss_sum / self.recipe.accumulate)
        sum_gradients(self._parameters)
        if self.observe is not None:
            self.observe(Batch(images, labels, outputs))
        self.update()

    def answered(self, images: Tensor, labels: Labels, *, count: int) -> tuple[Tensor, Outputs]:
        """Return loss and outputs of a chunk of a step, `count` images over all processes.

        Where the network learns by its own rule, it does so here.
        """
        with small_maps.context(self.small_maps), autocast(self.device, self.recipe.precision):
            if self.learner is not None and isinstance(labels, Tensor):
                return self.learner.learn(images, labels, loss=self.loss, progress=self.progress)
            outputs = gathered(self.forward(images), count)
        return self.loss(outputs, labels), outputs

    def seed_dropout(self, seed: int) -> None:
        """Seed what layers draw from; `torch.manual_seed` looks at every device, which small networks notice."""
        if self.device.type == "cpu":
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)

    def load(self, indices: Tensor, generator: torch.Generator) -> tuple[Tensor, Labels]:
        """Return normalised, augmented images (N, C, H, W) of this epoch and their labels (N,) on the device."""
        return self.loader.load(indices, generator, epoch=self.clock.epoch)

    def count(self, outputs: Outputs, labels: Labels) -> None:
        """Add a batch to the epoch's score; of mixed labels those of the larger share."""
        if isinstance(labels, MixedLabels):
            labels = labels.larger
        values = self.target.per_image(main_head(outputs).detach(), labels)
        if values is not None:
            self.clock.correct += values.sum().item()
        self.clock.seen += len(labels)

    def check(self, loss: float) -> None:
        """Add a step's loss to the epoch's, or stop the training where it has diverged."""
        clock = self.clock
        if clock.total_steps == 0:
            clock.first_loss = loss
        if not math.isfinite(loss) or loss > EXPLODED * max(clock.first_loss, 1.0):
            raise self.diverged(f"The loss became {loss:.4g} at step {clock.total_steps + 1}")
        clock.loss_sum += loss

    def diverged(self, what: str) -> TrainingError:
        """Return the error that stops the training, with what to try."""
        rate, progress = f"{self.lr:.3g}", self.progress
        if self.lr < self.recipe.lr:
            rises = self.schedule(min(1.0, progress + RISE)) > self.schedule(progress)
            rate += f" of {self.recipe.lr:g}{', warming up' if rises else ''}"
        return TrainingError(
            f"{what} (epoch {self.clock.epoch + 1}, learning rate {rate}). "
            f"Try --lr {self.recipe.lr / 10:g} (a tenth), --set warmup=0.1 or --set clip=1."
        )

    @property
    def pixels(self) -> int:
        """Height and width of the images of the next step; 0 for those of the preprocessing."""
        return first_sizes.pixels_at(self.phases, self.progress)

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        return self.recipe.lr * self.schedule(self.progress) * (self.plateau.factor if self.plateau else 1.0)

    def update(self) -> None:
        """Apply the gradients, where there are any, and count the step."""
        if self.descends:
            self.descend()
        if self.average:
            self.average.update(self.model)
        self.clock.flop += self.arithmetic.of_step(self.images_per_step, pixels=self.pixels)
        self.clock.step += 1
        self.clock.total_steps += 1

    def descend(self) -> None:
        """Apply the gradients at this step's learning rate and clear them."""
        if self.recipe.clip:
            nn.utils.clip_grad_norm_(self._parameters, self.recipe.clip)
        factor = self.lr / self.recipe.lr
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["base_lr"] * factor
            optimiser.step()
        for parameter in self._parameters:  # in a quarter of the time of `Optimizer.zero_grad`
            parameter.grad = None

    def finish_epoch(self) -> EpochResult:
        """Validate, close the epoch's sums and move to the next epoch."""
        clock, lr = self.clock, self.lr
        val = self.validate() if self.validation_is_due() else None
        if val is not None:
            (now,) = greatest(time.monotonic() - self.zero_at)
            clock.validation_cost_s, clock.validated_s, clock.elapsed_s = now - clock.elapsed_s, now, now
            if not math.isfinite(val.loss):
                raise self.diverged(f"The validation loss became {val.loss:.4g} after step {clock.total_steps}")
        improved = val is not None and val.better_than(clock.best)
        if improved:
            clock.best, clock.best_epoch = val, clock.epoch
        if self.plateau and val:
            self.plateau.observe(val.loss)
        mean, score = clock.loss_sum / clock.step, self.value
        result = EpochResult(
            clock.epoch, mean, score, lr, clock.seen, clock.elapsed_s, val, improved, self.target.followed
        )
        self.clock = dataclasses.replace(clock, epoch=clock.epoch + 1, step=0, loss_sum=0.0, correct=0, seen=0)
        return result

    @property
    def value(self) -> float | None:
        """The mean of the followed score over the epoch so far; None where only the loss is followed."""
        return self.clock.correct / self.clock.seen if self.target.follows else None

    def validation_is_due(self) -> bool:
        """Whether this epoch ends with a validation: always by epochs, now and then and at the end under a budget."""
        if self.val_part is None:
            return False
        since = self.clock.elapsed_s - self.clock.validated_s
        return (
            not self.recipe.budget_s or self.progress >= 1 or since * VALIDATION_SHARE >= self.clock.validation_cost_s
        )

    def validate(self) -> Score:
        """Return the score of the validation split."""
        if self.val_part is None:
            raise DataError("There is no validation split.")
        spread_buffers(self.evaluated_model)
        labels = part_labels(self.val_part)
        own, losses = own_share(labels), []

        def condensed(outputs: Tensor, first: int) -> Tensor:
            mean = self.val_loss(outputs, own[first : first + len(outputs)])
            losses.append(mean.expand(len(outputs)))
            return self.target.condensed(outputs)

        outputs = predict_logits(
            self.evaluated_model,
            own_part(self.val_part.decoded),
            self.preprocess,
            device=self.device,
            batch=self.inference_batch,
            protocol=Protocol(flip=self.recipe.test_flip),
            precision=self.recipe.precision,
            keep=condensed if self.target.lies_on_image else lambda outputs, _: outputs,
            unmirrored=self.target.unmirrored,
        )
        found, loss = main_head(gathered(outputs, len(labels))), self.val_loss
        if losses:
            mean = main_head(gathered(torch.cat(losses), len(labels))).mean()
            found, loss = found.to(outputs.dtype), lambda *_: mean
        return self.target.score(found, labels, loss)
