"""Losses: from a network's outputs and the labels to one number, auxiliary heads included."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from fovea.data.augment.mixing import Labels, MixedLabels
from fovea.training.recipe import Recipe

Outputs = Tensor | tuple[Tensor, ...]
Loss = Callable[[Outputs, Labels], Tensor]


def class_weights(labels: Tensor, classes: int) -> Tensor:
    """Return (classes,) float32 weights, inverse to the class frequencies, with mean 1 over the images."""
    counts = torch.bincount(labels, minlength=classes).clamp(min=1)
    return labels.numel() / (classes * counts.float())


def main_head(outputs: Outputs) -> Tensor:
    """Return the logits of a network, without those of its auxiliary heads."""
    return outputs[0] if isinstance(outputs, tuple) else outputs


def make_loss(recipe: Recipe, weights: Tensor | None = None) -> Loss:
    """Return the loss that `recipe` names, as a function of float32 outputs (N, K) and labels (N,).

    `weights` (K,) weigh the classes. A tuple of outputs is the main head followed by auxiliary heads, each of which
    counts `recipe.aux_weight`. Of mixed labels both losses count, each by its share.
    """

    def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, weight=weights, label_smoothing=recipe.label_smoothing)

    def binary(logits: Tensor, labels: Tensor) -> Tensor:
        target = labels.float() * (1 - recipe.label_smoothing) + recipe.label_smoothing / 2
        weight = None if weights is None else weights[labels]
        return F.binary_cross_entropy_with_logits(logits.squeeze(1), target, weight=weight)

    def mse(outputs: Tensor, numbers: Tensor) -> Tensor:
        return F.mse_loss(outputs.squeeze(1), numbers)

    head = {"cross-entropy": cross_entropy, "binary": binary, "mse": mse}[recipe.loss]

    def total(outputs: Outputs, labels: Labels) -> Tensor:
        if isinstance(labels, MixedLabels):
            return labels.share * total(outputs, labels.own) + (1 - labels.share) * total(outputs, labels.other)
        main, *auxiliary = outputs if isinstance(outputs, tuple) else (outputs,)
        loss = head(main.float(), labels)
        for output in auxiliary:
            loss = loss + recipe.aux_weight * head(output.float(), labels)
        return loss

    return total


def chosen_classes(outputs: Tensor) -> Tensor:
    """Return the (N,) class each row of logits (N, K) chooses; with K = 1 that is 1 where the sigmoid exceeds 1/2."""
    if outputs.shape[1] == 1:
        return (outputs.squeeze(1) > 0).long()
    return outputs.argmax(1)


def output_count(loss: str, classes: int) -> int:
    """Return how many outputs a network needs: one per class, or a single one for `binary` and `mse`."""
    return classes if loss == "cross-entropy" else 1


def probabilities(outputs: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Return (N, classes) probabilities of logits (N, K): softmax; for K = 1 the sigmoid, for the second of two."""
    scaled = outputs / temperature
    if outputs.shape[1] == 1:
        second = torch.sigmoid(scaled)
        return torch.cat([1 - second, second], dim=1)
    return scaled.softmax(1)
