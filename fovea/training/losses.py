"""Losses: from a network's outputs and the labels to one number, auxiliary heads included."""

from collections.abc import Callable

from torch import Tensor

from fovea.data.augment.mixing import Labels, MixedLabels
from fovea.tasks.task import Task
from fovea.training.recipe import Optimisation

Outputs = Tensor | tuple[Tensor, ...]
Loss = Callable[[Outputs, Labels], Tensor]


def main_head(outputs: Outputs) -> Tensor:
    """Return the logits of a network, without those of its auxiliary heads."""
    return outputs[0] if isinstance(outputs, tuple) else outputs


def make_loss(target: Task, recipe: Optimisation, weights: Tensor | None = None) -> Loss:
    """Return the loss of `target`, as a function of float32 outputs (N, K) and labels (N,) on the network's scale.

    `weights` (K,) weigh the classes. A tuple of outputs is the main head followed by auxiliary heads, each of which
    counts `recipe.aux_weight`. Of mixed labels both losses count, each by its share.
    """

    head = target.criterion(label_smoothing=recipe.label_smoothing, weights=weights)

    def total(outputs: Outputs, labels: Labels) -> Tensor:
        if isinstance(labels, MixedLabels):
            return labels.share * total(outputs, labels.own) + (1 - labels.share) * total(outputs, labels.other)
        main, *auxiliary = outputs if isinstance(outputs, tuple) else (outputs,)
        loss = head(main.float(), labels)
        for output in auxiliary:
            loss = loss + recipe.aux_weight * head(output.float(), labels)
        return loss

    return total
