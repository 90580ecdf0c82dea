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
from fovea.training.frozen_maps import takes_single_images, versions
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
        features, labels = _features(prepared, "train", display), part_labels(part).long()
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
        prepared = dataclasses.replace(prepared, plan=plan, head=head, features=features)
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
    labels = torch.cat([part_labels(part) for part in parts.values()]).long()
    _, layer = last_dense(model)
    if layer.in_features * len(labels) > MOST_VALUES:
        return 0
    recipe = prepared.plan.recipe
    strength = recipe.head_strength or None
    now = dataclasses.replace(prepared, model=model, features=None if trained else prepared.features)
    if trained and layer.out_features > 1:
        features = torch.cat([_features(now, name, display, count=1)[0] for name in parts])
        strength = strength or UNCHOSEN
        head = refitted(layer.weight.detach().cpu(), layer.bias.detach().cpu(), features, labels, strength=strength)
    elif trained:
        return 0
    else:
        head = fitted_head(
            torch.cat([_features(now, name, display) for name in parts], 1),
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


def _features(prepared: "Prepared", name: str, display: Display, *, count: int = 0) -> Tensor:
    """Return the features (V, N, D) float32 of `count` versions of the images of a part, by default as the recipe says.

    What frozen stages made of the training images, or the whole body before it learned, is not computed again.
    """
    recipe, part = prepared.plan.recipe, prepared.part(name)
    count = count or _versions(prepared)
    maps = prepared.maps if name == "train" and prepared.maps and len(prepared.maps.maps) >= count else None
    if name == "train" and prepared.features is not None:
        return prepared.features[:count]
    loader, done, found = prepared.loader(part), 0, []
    for view in range(count):
        seen = versions(loader, view, preprocess=prepared.preprocess, seed=recipe.seed)
        batches = ((x, torch.zeros(len(x))) for x in (maps.of_version(view, batch=FEATURE_BATCH) if maps else seen))
        forward = maps.forward(prepared.model) if maps else None
        for rows, _ in head_features(prepared.model, batches, forward=forward, precision=recipe.precision):
            found.append(rows)
            done += len(rows)
            display.advance(f"computing features of {name}", done, count * len(part))
    return torch.cat(found).view(count, len(part), -1)


def _versions(prepared: "Prepared") -> int:
    """Return to how many versions of every image the head is fitted: as many as the recipe says, and memory holds."""
    recipe, dataset = prepared.plan.recipe, prepared.dataset
    images = sum(len(dataset.parts[name]) for name in ("train", "val") if name in dataset.parts)
    most = MOST_VALUES // (last_dense(prepared.model)[1].in_features * images)
    return max(1, min(recipe.head_versions, most)) if takes_single_images(recipe) else 1


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
