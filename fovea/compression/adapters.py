"""What each name of a chain does, in terms of the tools: one small function per step.

Each takes the network, what it may use, and the value behind `=`, and returns what became of it.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fovea.compression.binarise import binarise
from fovea.compression.dead import remove_dead
from fovea.compression.factors import lowrank, separable
from fovea.compression.fold import fold
from fovea.compression.inq import inq
from fovea.compression.predefined import predefined
from fovea.compression.quantise import quantise
from fovea.compression.share import Share
from fovea.compression.soups import check_form, greedy_soup, uniform_soup
from fovea.compression.step import Done, Work
from fovea.errors import UsageError

STATISTICS = 2048
"""Training samples that set the batch norms of a soup."""
NAMED = 5
"""Batch norms that stay, and for which a reason is given."""
PATTERN = 0.01
"""Share of zeros in a weight from which on they are taken for a pattern, and held."""


def folded(model: nn.Module, work: Work, _: None) -> Done:
    """Fold batch norms; those that stay are named with the reason."""
    folding = fold(model, work.input_shape)
    count = sum(len(change.get("into", ())) for change in folding.changes)
    norms = "1 batch norm is" if count == 1 else f"{count} batch norms are"
    notes = [f"{norms} folded" if count else "there is no batch norm to fold"]
    notes += [f"`{name}` is kept: {reason}" for name, reason in list(folding.kept.items())[:NAMED]]
    if len(folding.kept) > NAMED:
        notes.append(f"{len(folding.kept) - NAMED} more are kept for similar reasons")
    before = sum(parameter.numel() for parameter in model.parameters())
    if removed := remove_dead(model, work.input_shape):
        left = sum(parameter.numel() for parameter in model.parameters())
        notes.append(f"channels without effect are removed, {before - left:,} parameters")
    return Done(model=model, changes=[*folding.changes, *removed], notes=notes)


def finetune(model: nn.Module, work: Work, epochs: float) -> Done:
    """Train further on the labels; weights that a pattern has set to zero stay there."""
    held = zeros_held(model)
    work.refit(model, epochs=epochs, after_step=held)
    return Done(model=model)


def distil(model: nn.Module, work: Work, epochs: float) -> Done:
    """Train further on what a teacher says; weights that a pattern has set to zero stay there."""
    if work.teacher is None:
        raise UsageError("`distil` needs a teacher, whose outputs the network learns to imitate.")
    held = zeros_held(model)
    work.refit(model, epochs=epochs, teacher=work.teacher, after_step=held)
    return Done(model=model)


def soup(model: nn.Module, work: Work, how: str) -> Done:
    """Average the network with the members: those that help, or all."""
    if not work.members:
        raise UsageError(
            "`soup` needs networks with the same architecture; give them with `--members A.safetensors,B.safetensors`."
        )
    check_form(model, work.members)
    models = [model, *work.members]

    def batches() -> list[Tensor]:
        return [inputs for inputs, _ in work.batches(STATISTICS)]

    uniform = uniform_soup(models, batches=batches)
    if how == "uniform":
        return Done(model=uniform, notes=(f"the mean of all {len(models)} networks",))
    greedy, kept = greedy_soup(models, work.score, batches=batches)
    names = ", ".join("MODEL" if index == 0 else f"member {index}" for index in sorted(kept))
    scores = (
        f"score {work.score(greedy):.4g} on validation; the mean of all {len(models)} has {work.score(uniform):.4g}"
    )
    return Done(model=greedy, notes=(f"greedy: the mean of {names}, {scores}",))


def share(model: nn.Module, work: Work, asked: tuple[int, float]) -> Done:
    """Let the weights of each layer share values; zeros stay zero."""
    return Share(bits=asked[0], epochs=asked[1])(model, work)


def low_rank(model: nn.Module, work: Work, asked: tuple[float, float]) -> Done:
    """Write layers as two of low rank that leave a share of their multiply-adds."""
    return lowrank(model, work, share=asked[0], epochs=asked[1])


def depthwise_separable(model: nn.Module, work: Work, epochs: float) -> Done:
    """Write convolutions as depthwise ones and 1 x 1."""
    return separable(model, work, epochs=epochs)


def with_predefined_zeros(model: nn.Module, work: Work, asked: tuple[int, float]) -> Done:
    """Hold all but so many places of each kernel at zero."""
    return predefined(model, work, support=asked[0], epochs=asked[1])


def quantised(model: nn.Module, work: Work, epochs: float) -> Done:
    """Train on a grid of 256 levels."""
    return quantise(model, work, epochs=epochs)


def powers_of_two(model: nn.Module, work: Work, asked: tuple[int, float]) -> Done:
    """Bring weights to powers of two."""
    return inq(model, work, bits=asked[0], epochs=asked[1])


def binary(model: nn.Module, work: Work, epochs: float) -> Done:
    """Train with binary weights."""
    return binarise(model, work, epochs=epochs)


def xnor(model: nn.Module, work: Work, epochs: float) -> Done:
    """Train with binary weights and inputs."""
    return binarise(model, work, epochs=epochs, inputs=True)


def zeros_held(model: nn.Module) -> Callable[[nn.Module], None] | None:
    """Return what brings weights that are zero now back to zero after each step; None if no weight has a pattern."""
    masks: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        mask = parameter.detach() != 0
        if parameter.ndim > 1 and 1 - mask.float().mean().item() >= PATTERN:
            masks[name] = mask
    if not masks:
        return None

    @torch.no_grad()
    def hold(trained: nn.Module) -> None:
        parameters = dict(trained.named_parameters())
        for name, mask in masks.items():
            parameters[name].masked_fill_(~mask, 0.0)  # a product would leave zeros of both signs

    return hold
