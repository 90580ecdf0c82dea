"""Growing a trained network into a deeper one, before `fovea train` continues with it.

Images are (N, C, H, W) float32, as the networks get them.
"""

import torch
from torch import Tensor, nn

from fovea import registry
from fovea.data.dataset import Part
from fovea.display import Display
from fovea.errors import ShapeError, listed
from fovea.inputs.interface import Preprocessing
from fovea.plans.plan import Plan
from fovea.plans.start_weights import start_named
from fovea.tasks.task import Task
from fovea.training.growth import first_and_last, grow
from fovea.training.inference import part_labels, predict_logits
from fovea.training.losses import make_loss


def shallow_network(plan: Plan, *, outputs: int, channels: int) -> tuple[nn.Module, str]:
    """Return the network that the weights `plan.start` are for, with random ones, and its name."""
    start = start_named(plan.start, model=None)
    given = {"classes": outputs, "c_in": channels, "size": plan.size}
    return registry.build(start.model, **given, **start.arguments), registry.resolve(start.model)


def grow_network(model: nn.Module, shallow: nn.Module, plan: Plan, *, images: Tensor, display: Display) -> None:
    """Give `model` what `shallow` has learned, in the way that `plan.grow` says, and say what is new.

    Raises:
        ShapeError: the one is not the other with further layers, or these cannot be the identity.
    """
    try:
        if plan.grow == "vgg":
            display.note(f"grown: {listed(first_and_last(shallow, model))} start with random weights")
            return
        new = grow(shallow, model, images=images)
    except ShapeError as error:
        raise ShapeError(f"`--grow {plan.grow}`: {error}") from error
    with torch.inference_mode():
        change = (model.eval()(images) - shallow.eval()(images)).abs().max().item()
    display.note(f"grown: {listed(new)} start as the identity; logits change by at most {change:.1g}")


def score_before(
    model: nn.Module, val: Part, plan: Plan, *, target: Task, preprocess: Preprocessing, display: Display
) -> None:
    """Say how good the grown network is on the validation split before it is trained."""
    outputs = predict_logits(model, val.decoded, preprocess, device=next(model.parameters()).device)
    loss = make_loss(target, plan.recipe.replace(label_smoothing=0.0))
    found = target.score(outputs, part_labels(val), loss)
    display.note(f"before training  val loss {found.loss:.4f}{found.text('  val ')}")
