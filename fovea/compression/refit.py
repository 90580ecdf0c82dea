"""Training a network that has been changed: with the loss of its task, its own recipe shortened, or from a teacher.

Inputs are (N, C, H, W) float32, normalised; outputs (N, K) float32.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from fovea.data.augment.mixing import Labels
from fovea.data.augment.recipes import Augmentation
from fovea.data.dataset import Part
from fovea.errors import TrainingError, UsageError, unknown
from fovea.inputs.interface import Preprocessing
from fovea.tasks.task import Task
from fovea.training.engine import Batch, Trainer
from fovea.training.losses import Outputs, main_head
from fovea.training.optim import Muon
from fovea.training.recipe import Recipe, fitted

Teacher = Callable[[Tensor], Tensor]
"""Inputs (N, *shape) float32 -> outputs (N, K) float32."""
SETTLED: dict[str, Any] = {
    **{"budget_s": 0.0, "patience": 0, "keep_best": False, "ema": 0.0, "compile": False, "test_flip": False},
    **{"initialisation": "own", "whiten": False, "pretrain": 0, "probe": False, "class_means": False},
    **{"freeze": "none", "head_first": 0.0, "resample": False, "stage_decay": 1.0, "warmup": 0.0, "schedule": "cosine"},
}
"""Fields of a recipe that have no meaning, or another one, for a network that has learned already."""
OPTIMISER: dict[str, Any] = {"optimiser": "adam", "weight_decay": 0.0, "momentum": 0.9}
"""Steps that do not depend on the scale of weights: folding batch norms spreads it over orders of magnitude."""
RATES = {"adam": 1e-3, "adamw": 1e-3, "muon": 0.015, "sgd": 0.01, "rmsprop": 1e-4, "adadelta": 0.1}
"""By optimiser: the first learning rate where none is asked for."""
HARM, SMALL_LOSS = 2.0, 0.1
"""A first step that multiplies the loss of its own images, or a small loss, by more than this is too large: a network
whose batch norms are folded has nothing that takes the change back."""
LOWER, LOWEST = 3, 0.01
"""The rate is divided by `LOWER` until the step does no such harm, down to `LOWEST` of what it was."""
TAKEN = (
    *("augment", "batch", "accumulate", "optimiser", "lr", "lr_rest", "momentum", "nesterov", "weight_decay"),
    *("schedule", "warmup", "clip", "label_smoothing", "aux_weight", "class_weights", "balanced", "precision"),
)
"""Fields of a recipe that may be asked for."""


def refit_recipe(recipe: Recipe, *, seed: int, changes: Mapping[str, Any] | None = None) -> Recipe:
    """Return the recipe by which a network that was trained by `recipe` is trained further, with `changes`.

    Raises: UsageError for a change that is not of `TAKEN`, or out of range.
    """
    changes = dict(changes or {})
    for name in changes:
        if name not in TAKEN:
            raise unknown("field of further training", name, TAKEN)
    precision = "float32" if recipe.precision == "auto" else recipe.precision
    settled: dict[str, Any] = {**SETTLED, **OPTIMISER, "epochs": 1, "precision": precision, "seed": seed, **changes}
    return recipe.replace(**{"lr": RATES.get(settled["optimiser"], 1e-3), **settled})


@dataclass(frozen=True, kw_only=True)
class Refit:
    """Trains a network on the training split, and leaves it in evaluation mode. Same seed and threads, same weights."""

    train: Part
    """Decoded, its labels on the network's scale."""
    recipe: Recipe
    """As `refit_recipe` makes it."""
    target: Task
    preprocess: Preprocessing
    augmentation: Augmentation
    device: torch.device
    temperature: float = 2.0
    """What the outputs of teacher and student are divided by before they are compared (`benchmarks/ensembles.py`)."""
    teacher_weight: float = 0.9
    """Share of the teacher in the loss; the labels have the rest."""
    lowers_rate: bool = False
    """Whether the recipe's rate gives way to a lower one where a first step harms; not where a person gave the rate."""
    progress: Callable[[float, str], None] = lambda share, detail: None
    """Shows the share that is done, 0..1, and what there is to say of it."""
    note: Callable[[str], None] = lambda text: None
    """Says what a reader has to know."""

    def for_values(self) -> "Refit":
        """Return it with Adam at its usual rate, where another optimiser or its rate is meant for filters.

        Values that many weights share have the sum of their gradients.
        """
        changes = {} if self.recipe.optimiser == OPTIMISER["optimiser"] else {**OPTIMISER, "lr": RATES["adam"]}
        return replace(self, recipe=self.recipe.replace(**changes))

    def steps(self, epochs: float) -> int:
        """Return how many steps, calls of `after_step`, a training of so many `epochs` takes."""
        recipe = fitted(self.recipe, images=len(self.train), validated=False)
        per_epoch = len(self.train) // (recipe.batch * recipe.accumulate)
        return max(1, round(epochs * per_epoch)) if epochs > 0 else 0

    def __call__(
        self,
        model: nn.Module,
        *,
        epochs: float,
        lr: float | None = None,
        teacher: Teacher | None = None,
        after_step: Callable[[nn.Module], None] | None = None,
    ) -> None:
        """Train `model` in place for `epochs` passes, which may be a fraction; of its end the weights are kept.

        `lr` is the first learning rate, which falls to 0 by half a cosine; None takes that of the recipe.
        With a `teacher` the loss is that of Hinton, Vinyals and Dean 2015 (arXiv:1503.02531, section 2), see
        `Task.imitation`. `after_step` is called after each step, to bring weights back to where they may be.
        Parameters that are parametrised, or do not require a gradient, stay so.

        Raises:
            TrainingError: the loss grows without bound.
            UsageError: there is no teacher for a network that learns by a rule of its own.
        """
        if epochs <= 0:
            model.eval()
            return
        if lr is None and self.lowers_rate:
            lr = self._harmless_rate(model, epochs, teacher)
        trainer = _Refitting(self, model, epochs=epochs, lr=lr, teacher=teacher)

        def on_step(at: Trainer) -> None:
            if after_step is not None:
                after_step(at.model)
            self.progress(at.progress, f"loss {at.clock.loss_sum / at.clock.step:.3f}")

        trainer.fit(on_step=on_step, on_epoch=lambda *_: None)
        model.eval()

    def _harmless_rate(self, model: nn.Module, epochs: float, teacher: Teacher | None) -> float:
        """Return the first of ever lower rates whose first step does no harm; `model` stays as it is."""
        tensors = [*model.parameters(), *model.buffers()]
        before = [tensor.detach().clone() for tensor in tensors]
        wanted = rate = self.recipe.lr
        while rate > LOWEST * wanted:
            trainer = _Refitting(self, model, epochs=epochs, lr=rate, teacher=teacher)
            harm = trainer.harm_of_first_step()
            with torch.no_grad():
                for tensor, value in zip(tensors, before, strict=True):
                    tensor.copy_(value)
            if harm <= HARM:
                break
            rate /= LOWER
        if rate < wanted:
            self.note(f"the learning rate is {rate:.2g}; the first step at {wanted:.2g} would have done harm")
        return rate


class _Refitting(Trainer):
    """A training that counts fractions of epochs, and may learn from a teacher."""

    def __init__(
        self, refit: Refit, model: nn.Module, *, epochs: float, lr: float | None, teacher: Teacher | None
    ) -> None:
        recipe = refit.recipe if lr is None else refit.recipe.replace(lr=lr)
        super().__init__(
            model,
            refit.train,
            recipe,
            val=None,
            target=refit.target,
            preprocess=refit.preprocess,
            augmentation=refit.augmentation,
            device=refit.device,
        )
        if teacher is not None and self.learner is not None:
            raise UsageError(
                f"`{type(model).__name__}` has its own training rule, which uses labels; it cannot learn from a "
                "teacher."
            )
        for optimiser in self.optimisers:
            if isinstance(optimiser, Muon):
                optimiser.hold_norms()
        self.refit, self.teacher = refit, teacher
        self.steps = refit.steps(epochs)

    @property
    def progress(self) -> float:
        """How much is done, in [0, 1]."""
        return min(1.0, self.clock.total_steps / self.steps)

    def harm_of_first_step(self) -> float:
        """Return by how much the first step multiplies the loss of its images: infinite where that is not finite."""
        seen: list[Batch] = []
        self.observe = seen.append
        self.train_step(next(self.batches()))
        images, labels = seen[0].images, seen[0].labels
        with torch.no_grad():
            loss, _ = self.answered(images, labels, count=len(images))
        harm = loss.item() / max(self.clock.loss_sum, SMALL_LOSS)
        return harm if math.isfinite(harm) else math.inf

    def diverged(self, what: str) -> TrainingError:
        """Return the error that stops the training, with what to try."""
        return TrainingError(
            f"{what} during fine-tuning (learning rate {self.lr:.3g}): the step before removed too much. Remove "
            "less per step, for example `prune=0.3,finetune=2,prune=0.3,finetune=2`, or train at a lower rate: "
            f"`--set lr={self.recipe.lr / 10:.2g}`."
        )

    def answered(self, images: Tensor, labels: Labels, *, count: int) -> tuple[Tensor, Outputs]:
        """Return loss and outputs of a chunk of a step."""
        loss, outputs = super().answered(images, labels, count=count)
        if self.teacher is None:
            return loss, outputs
        with torch.no_grad():
            wanted = self.teacher(images).float()
        own = main_head(outputs).float()
        imitation = self.target.imitation(own, wanted, temperature=self.refit.temperature)
        weight = self.refit.teacher_weight
        return (1 - weight) * loss + weight * imitation, outputs
