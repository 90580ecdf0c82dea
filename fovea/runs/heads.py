"""The head that a training with trained weights begins from, and the one that it ends with.

Both are logistic regressions on features that are computed once, of images as they are evaluated.
"""

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from fovea.data.dataset import Part
from fovea.display import Display
from fovea.inputs.views import Protocol
from fovea.plans.plan import Plan
from fovea.tasks.score import Score
from fovea.tasks.task import Task
from fovea.training.inference import as_evaluated, part_labels, predict_logits
from fovea.training.logistic_head import MOST_VALUES, UNCHOSEN, fitted_head, refitted
from fovea.training.losses import make_loss
from fovea.training.probing import ends_dense, fit_head, head_features, last_dense, set_head

if TYPE_CHECKING:
    from fovea.runs.preparation import Prepared

FEATURE_BATCH = 64


def settled_head(plan: Plan, model: nn.Module, target: Task, display: Display) -> Plan:
    """Return the plan with the head learning alone first where `model` or `target` has no logistic regression."""
    if not plan.recipe.fit_head or (ends_dense(model) and target.closed_form == "discriminants"):
        return plan
    display.note(
        "head: it begins with random weights and is first trained alone; only a dense layer for classes can be fitted"
    )
    return plan.replace(fit_head=False, refit_head=False, head_first=plan.recipe.head_first or 0.2)


def fitted_start(prepared: "Prepared", display: Display) -> "Prepared":
    """Return the training with its head fitted to the training images, and how good that is on validation."""
    model, recipe = prepared.model, prepared.plan.recipe
    part = prepared.part("train")
    _, layer = last_dense(model)
    if layer.in_features * len(part) > MOST_VALUES:
        batches = labelled(prepared, part, display, "fitting the head")
        fit_head(model, batches, target=prepared.target)
        display.note("head: linear discriminants, as the features of so many images do not fit into memory")
    else:
        features, labels = _features(prepared, model, {"train": part}, display)
        head = fitted_head(
            features,
            labels,
            classes=max(2, prepared.target.outputs),
            balanced=recipe.balanced or recipe.class_weights,
            strength=recipe.head_strength or None,
            seed=recipe.seed,
            progress=display.counter("cross-validating the head"),
        )
        set_head(model, head.weight, head.bias)
        plan = prepared.plan.replace(head_strength=head.strength)
        prepared = dataclasses.replace(prepared, plan=plan, head=head)
        display.note(f"head: {head.described()}")
    val = prepared.dataset.parts.get("val")
    if val is None:
        return prepared
    score = _score(prepared, prepared.part("val"))
    display.note(f"head: val loss {score.loss:.4f}{score.text('  val ')} before training")
    return dataclasses.replace(prepared, head_score=score)


def refit_head(prepared: "Prepared", model: nn.Module, *, trained: bool, display: Display) -> int:
    """Fit the head of `model` to the training and validation images, and return how many those are.

    After training the head moves as little as it can; a head that was only fitted is fitted anew.
    """
    parts = {name: prepared.part(name) for name in ("train", "val")}
    _, layer = last_dense(model)
    if layer.in_features * sum(map(len, parts.values())) > MOST_VALUES:
        return 0
    features, labels = _features(prepared, model, parts, display)
    recipe = prepared.plan.recipe
    strength = recipe.head_strength or None
    if trained and layer.out_features > 1:
        strength = strength or UNCHOSEN
        head = refitted(layer.weight.detach().cpu(), layer.bias.detach().cpu(), features, labels, strength=strength)
    elif trained:
        return 0
    else:
        head = fitted_head(
            features,
            labels,
            classes=max(2, prepared.target.outputs),
            balanced=recipe.balanced or recipe.class_weights,
            strength=strength,
            seed=recipe.seed,
        )
    set_head(model, head.weight, head.bias)
    display.note(f"head: fitted at the end to {len(labels):,} images, of train and val")
    return len(labels)


def kept(best_epoch: int) -> str:
    """Return which of the fitted head and the trained network was better on validation, by the best epoch or -1."""
    if best_epoch < 0:
        return "the weights that training began with, with the fitted head: no epoch was better on validation"
    return f"after epoch {best_epoch + 1}, better on validation than the fitted head"


def labelled(prepared: "Prepared", part: Part, display: Display, title: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield all images of a part, (n, C, H, W) float32, as they are evaluated, and labels (n,), on the device."""
    labels = part_labels(part).to(prepared.device)
    done = 0
    rows = range(len(part))
    for images in as_evaluated(part, prepared.preprocess, prepared.device, rows=rows, batch=FEATURE_BATCH):
        yield images, labels[done : done + len(images)]
        done += len(images)
        display.advance(title, done, len(part))


def _features(
    prepared: "Prepared", model: nn.Module, parts: dict[str, Part], display: Display
) -> tuple[Tensor, Tensor]:
    """Return the features (N, D) and labels (N,) of all images of `parts`."""
    found = [
        batch
        for name, part in parts.items()
        for batch in head_features(model, labelled(prepared, part, display, f"computing features of {name}"))
    ]
    features, labels = zip(*found, strict=True)
    return torch.cat(features), torch.cat(labels).long()


def _score(prepared: "Prepared", val: Part) -> Score:
    recipe, target = prepared.plan.recipe, prepared.target
    outputs = predict_logits(
        prepared.model,
        val.decoded,
        prepared.preprocess,
        device=prepared.device,
        protocol=Protocol(flip=recipe.test_flip),
        precision=recipe.precision,
    )
    return target.score(
        outputs, part_labels(val), make_loss(target, recipe.replace(label_smoothing=0.0, aux_weight=0.0))
    )
