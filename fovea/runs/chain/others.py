"""Further networks of a chain: teachers to imitate, and members of a soup."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from fovea.display import Display
from fovea.errors import UsageError
from fovea.model.bundle import Bundle, load
from fovea.training.losses import main_head

Given = str | Path | Sequence[str | Path] | None


def places(given: Given) -> tuple[Path, ...]:
    """Return the files of `A,B`, or of a list."""
    if given is None:
        return ()
    several = given.split(",") if isinstance(given, str) else [given] if isinstance(given, Path) else given
    return tuple(Path(str(place).strip()) for place in several)


def teacher_of(teachers: Sequence[tuple[str, Bundle]], student: Bundle) -> Callable[[Tensor], Tensor] | None:
    """Return what turns the inputs of `student` into outputs (N, K): the mean over these networks and their names.

    The mean of logits is that of the distributions' logarithms (Hinton et al. 2015, arXiv:1503.02531, section 1).

    Raises: UsageError for a network that predicts something else, or sees its samples otherwise.
    """
    if not teachers:
        return None
    asked = [_Teacher(bundle, student, name) for name, bundle in teachers]

    def outputs(inputs: Tensor) -> Tensor:
        return torch.stack([teacher(inputs) for teacher in asked]).mean(0)

    return outputs


class _Teacher:
    """One network that is asked with the inputs of another: normalised by other means, maybe, and nothing else."""

    def __init__(self, bundle: Bundle, student: Bundle, name: str) -> None:
        columns = student.target.columns_of(bundle.target)
        if columns is None or bundle.target.outputs != student.target.outputs:
            raise UsageError(
                f"`--teacher` {name} predicts {bundle.target.noun}, or has other classes, and the network that is to "
                "learn from it does not; take one that was trained on the same data."
            )
        own, given = bundle.preprocess, student.preprocess
        if not _sees_alike(bundle, student):
            shapes = ("x".join(map(str, preprocess.shape)) for preprocess in (own, given))
            raise UsageError(
                f"`--teacher` {name} sees samples of {' and the network those of '.join(shapes)}, or prepared "
                "in another way; take one of the same size, fit and kind."
            )
        self.model = bundle.model.requires_grad_(False)
        self.columns = None if columns == list(range(len(columns))) else columns
        if self.columns is not None and len(self.columns) != bundle.target.outputs:
            raise UsageError(f"`--teacher` {name} has its classes in another order; train it on the same data.")
        self.scale, self.offset = _renormalising(given.mean, given.std, own.mean, own.std)

    def __call__(self, inputs: Tensor) -> Tensor:
        shape = (1, -1, *(1,) * (inputs.ndim - 2))
        scale, offset = (torch.tensor(values, device=inputs.device).view(shape) for values in (self.scale, self.offset))
        outputs = main_head(self.model(inputs * scale + offset)).float()
        return outputs if self.columns is None else outputs[:, self.columns]


def _renormalising(
    mean: Sequence[float], std: Sequence[float], other_mean: Sequence[float], other_std: Sequence[float]
) -> tuple[list[float], list[float]]:
    """Return per channel what turns values normalised by the first mean and std into those by the others."""
    scale = [s / t for s, t in zip(std, other_std, strict=True)]
    offset = [(m - n) / t for m, n, t in zip(mean, other_mean, other_std, strict=True)]
    return scale, offset


def members_of(paths: Sequence[Path], model: Bundle, display: Display) -> tuple[Bundle, ...]:
    """Return the networks in these files, which predict what `model` does from the same samples.

    Raises: UsageError for one that does not.
    """
    found = tuple(load(path, device=str(model.device)) for path in paths)
    for path, bundle in zip(paths, found, strict=True):
        if bundle.target.classes != model.target.classes or not _sees_alike(bundle, model):
            raise UsageError(
                f"`--members` {path.name} has other classes, or sees its samples otherwise, than the network; members "
                "come from one recipe, and differ in their seeds."
            )
        if _division(bundle) != _division(model):
            display.note(
                f"soup: {path.name} was trained on another division of the data, so it may know samples that the score "
                "is of; give the data a part `val` of its own"
            )
    return found


def _sees_alike(bundle: Bundle, other: Bundle) -> bool:
    """Return whether two networks see samples of one kind and size; they may normalise them by other means."""
    own, given = bundle.preprocess, other.preprocess
    return own.shape == given.shape and own.with_normalisation(given.mean, given.std) == given


def _division(bundle: Bundle) -> tuple[object, ...]:
    """Return what decides which samples a network was not trained on; the seed does where it set some aside."""
    record = bundle.card.trained_on
    seed = bundle.card.training.seed if bundle.card.training is not None and record.val_fraction else None
    return record.fingerprint, record.val_fraction or None, seed
