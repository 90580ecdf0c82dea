"""Further networks of a chain: teachers to imitate, and members of a soup."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from fovea.card import CUSTOM
from fovea.display import Display
from fovea.errors import BundleError, UsageError
from fovea.layers import copied
from fovea.model.bundle import Bundle, load
from fovea.model.container import read_header
from fovea.model.opening import own_network
from fovea.training.losses import main_head

Given = str | Path | Sequence[str | Path] | None


def places(given: Given) -> tuple[Path, ...]:
    """Return the files of `A,B`, or of a list."""
    if given is None:
        return ()
    several = given.split(",") if isinstance(given, str) else [given] if isinstance(given, Path) else given
    return tuple(Path(str(place).strip()) for place in several)


class Opened:
    """What opens the model files of a chain: those of a user's own network with the code that `--network` names."""

    def __init__(self, network: nn.Module | str | None, *, device: str) -> None:
        self.network, self.device = network, device

    def __call__(self, path: Path) -> Bundle:
        """Return the network in a file.

        Raises: BundleError where the file cannot be read; UsageError where the code gives no network, or another one.
        """
        own = self.code_of(path)
        if own is None:
            if read_header(path)[0].architecture == CUSTOM:
                raise UsageError(
                    f"`{path.name}` holds a network of your own: give its code with `--network file.py:Net`."
                )
            return load(path, device=self.device)
        try:
            return load(path, model=own, device=self.device)
        except BundleError as error:
            if "does not match its network" not in str(error):
                raise
            raise UsageError(
                f"`--network` does not fit `{path.name}`: all networks of your own in a chain, teachers and members "
                f"too, are of the one that it names. {error}"
            ) from error

    def code_of(self, path: Path) -> nn.Module | None:
        """Return the code of the network in a file, a new one; None where the zoo has it, or none is named."""
        if self.network is None or read_header(path)[0].architecture != CUSTOM:
            return None
        return own_network(self.network, path) if isinstance(self.network, str) else copied(self.network)

    def check_used(self, paths: Sequence[Path]) -> None:
        """Raise UsageError where a network is named and none of these files holds one of the user's own."""
        if self.network is None:
            return
        if isinstance(self.network, str):
            own_network(self.network, paths[0])  # it may be no code at all
        if all(read_header(path)[0].architecture != CUSTOM for path in paths):
            raise UsageError("`--network` is for model files of your own network, and none of these is; leave it out.")


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
            raise UsageError(f"`--teacher` {name} has the classes in another order; train it on the same data.")
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


def members_of(paths: Sequence[Path], model: Bundle, opened: Opened, display: Display) -> tuple[Bundle, ...]:
    """Return the networks in these files, which predict what `model` does from the same samples.

    Raises: UsageError for one that does not.
    """
    found = tuple(opened(path) for path in paths)
    for path, bundle in zip(paths, found, strict=True):
        if bundle.target.classes != model.target.classes or not _sees_alike(bundle, model):
            raise UsageError(
                f"`--members` {path.name} has other classes, or sees its samples otherwise, than the network; members "
                "come from one recipe, and differ in their seeds."
            )
        if _division(bundle) != _division(model):
            display.note(
                f"soup: {path.name} was trained on another division of the data, so it may know samples that the score "
                "is of; give the data a `val` split of its own"
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
