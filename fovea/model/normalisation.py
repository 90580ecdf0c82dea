"""How pixels are normalised for weights that do not say it: found by what the network answers to some images.

Fed as it was trained, a network is sure of what it sees: the entropy of its answers is smallest. Input that is far too
large makes it sure as well, but of different things for an image and its mirror image: the cross-entropy between the
two answers is many times as large then, and such a convention is out. No labels are needed, nor classes that the
network knows. Where it is about as sure under another convention, or says much the same of all images, as of small ones
that were enlarged, labels decide, if there are enough: a head on its features predicts them best under the true
convention. `experiments/normalisation.py` compares this with other criteria.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fovea import registry
from fovea.errors import FoveaError, UsageError
from fovea.model.reading import WeightsFile
from fovea.model.weights import Origin, load_into
from fovea.registry import IMAGENET_MEAN, IMAGENET_STD
from fovea.training.inference import autocast
from fovea.training.logistic_head import fitted_head
from fovea.training.losses import main_head
from fovea.training.probing import head_features

TRIED_IMAGES, MORE_IMAGES = 64, 256
"""So many images are shown to the network under each convention, and more where these leave two of them open."""
CERTAIN = 2.0
"""Two conventions are distinguished by a difference in entropy of so many standard errors, paired by image."""
STEADY = 1.5
"""The surprise under a convention is so many times the least one at most."""
ALIKE = 1.01
"""Entropies up to so many times the least one count as equal to it."""
CLEARLY = 1.1
"""Entropies of the others are so many times the least one where labels need not be asked."""
LEAST_INFORMATION = 0.75
"""In nats: a network that predicts the same for all images is confident, but says nothing about them."""
NO_INFORMATION = 0.001
"""In nats: the predictions for all images are the same."""
LEAST_LOG = -100.0
"""A logarithm of a probability counts as this at least."""


class Convention(NamedTuple):
    """One way in which pixels from 0 to 1 become a network's input: less `mean`, by `std`, per channel."""

    name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    reversed: bool = False
    """Whether the network takes blue first; `mean` and `std` stand for red first all the same."""

    def described(self) -> str:
        """Return the convention as a person reads it."""
        mean, std = (", ".join(f"{value:.3g}" for value in values) for values in (self.mean, self.std))
        return f"{self.name}: mean {mean} and std {std}{', blue first' if self.reversed else ''}"


CONVENTIONS = (
    Convention("ImageNet's", IMAGENET_MEAN, IMAGENET_STD),
    Convention("-1 to 1", (0.5,) * 3, (0.5,) * 3),
    Convention("0 to 1", (0.0,) * 3, (1.0,) * 3),
    Convention("Caffe's", tuple(value / 255 for value in (123.68, 116.779, 103.939)), (1 / 255,) * 3, reversed=True),
)
"""The ways that published networks are fed."""


class Trial(NamedTuple):
    """What a network answers under a convention, in nats."""

    convention: Convention
    surprise: float
    """The mean cross-entropy between the answers to an image and to its mirror image."""
    information: float
    """The mutual information of image and answer: the entropy of the mean answer less `entropy`."""
    entropy: float
    """The mean of the entropies of the answers to single images."""
    confidence: float
    """The mean of the largest probabilities."""
    entropies: tuple[float, ...] = ()
    """Of the answers to each image."""


def tried(model: nn.Module, images: Tensor, conventions: Sequence[Convention] = CONVENTIONS) -> list[Trial]:
    """Return what `model` answers to images (N, 3, H, W) float32 0..1 under each convention; it is left in eval mode.

    Its head is the one that it was trained with.
    """
    model.eval()
    return [_trial(model, images, convention) for convention in conventions]


def surest(model: nn.Module, images: Tensor, trials: Sequence[Trial]) -> Trial:
    """Return that of the trials under whose convention `model` is surest of images, with that entropy.

    Images are (N, 3, H, W) float32 0..1.
    """
    entropies = [_entropies(_answers(model, images, trial.convention)) for trial in trials]
    found = [
        trial._replace(entropy=values.mean().item(), entropies=tuple(values.tolist()))
        for trial, values in zip(trials, entropies, strict=True)
    ]
    return min(found, key=lambda trial: trial.entropy)


def loss_of_a_head(model: nn.Module, images: Tensor, labels: Tensor, convention: Convention) -> float | None:
    """Return the cross-validated loss in nats of a logistic regression on the features of images under a convention.

    Images are (N, 3, H, W) float32 0..1, labels (N,) int64. None where a class has one image, or `model` no dense end.
    """
    try:
        found = head_features(model, ((fed, labels) for fed in _fed(images, convention)))
        features = torch.cat([rows for rows, _ in found])
    except UsageError:
        return None
    return fitted_head(features, labels, classes=int(labels.max()) + 1).loss


def _trial(model: nn.Module, images: Tensor, convention: Convention) -> Trial:
    logs, mirrored = (_answers(model, view, convention) for view in (images, images.flip(3)))
    entropies = _entropies(logs)
    entropy = entropies.mean().item()
    mean_answer = logs.exp().mean(0).clamp(min=1e-300)
    return Trial(
        convention=convention,
        surprise=-(logs.exp() * mirrored.clamp(min=LEAST_LOG)).sum(1).mean().item(),
        information=-(mean_answer * mean_answer.log()).sum().item() - entropy,
        entropy=entropy,
        confidence=logs.exp().amax(1).mean().item(),
        entropies=tuple(entropies.tolist()),
    )


def _answers(model: nn.Module, images: Tensor, convention: Convention) -> Tensor:
    """Return the logarithms of the probabilities (N, K) float64 that `model` answers to images 0..1."""
    with torch.inference_mode(), autocast(images.device, "float32"):
        answers = [main_head(model(fed)) for fed in _fed(images, convention)]
        return torch.cat(answers).double().log_softmax(1)


def _fed(images: Tensor, convention: Convention) -> Iterator[Tensor]:
    """Yield images 0..1 as the network gets them under a convention, some at a time."""
    mean, std = (torch.tensor(values, device=images.device)[:, None, None] for values in convention[1:3])
    for chunk in torch.split((images - mean) / std, 32):
        fed = chunk.flip(1) if convention.reversed else chunk
        yield fed.contiguous(memory_format=torch.channels_last)


def _entropies(logs: Tensor) -> Tensor:
    return -(logs.exp() * logs).sum(1)


def conventions_of(origin: Origin) -> list[Convention]:
    """Return the conventions to try: first the one that the library of the weights usually follows."""
    usual = Convention(f"as usual in {origin.naming}", origin.mean, origin.std)
    known = next((convention for convention in CONVENTIONS if convention[1:] == usual[1:]), usual)
    return [known, *(convention for convention in CONVENTIONS if convention != known)]


def best_of(trials: Sequence[Trial]) -> Trial:
    """Return the trial with the most confident predictions, of those that are stable and differ between images.

    Of equally sure ones it is the steadiest. The first is the usual one, which stays where no other tells images apart.
    """
    steady = _steady(trials)
    least_entropy = min(trial.entropy for trial in steady)
    return min((trial for trial in steady if trial.entropy <= ALIKE * least_entropy), key=lambda trial: trial.surprise)


def tell_apart(trials: Sequence[Trial]) -> bool:
    """Return whether the predictions for some images differ enough from those for others, under any convention."""
    return any(trial.information >= LEAST_INFORMATION for trial in trials)


def open_between(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials that may have the surest answers: more images would tell which; one alone is settled."""
    steady = _steady(trials)
    surest = min(steady, key=lambda trial: trial.entropy)
    return [trial for trial in steady if trial is surest or not _less_sure(trial, than=surest)]


def settled(trials: Sequence[Trial], best: Trial) -> bool:
    """Return whether the answers under the best trial are clearly surer than under every other, and not all alike."""
    others = [trial for trial in trials if trial.convention != best.convention]
    clear = all(trial.entropy >= CLEARLY * best.entropy for trial in others)
    return clear and best.information >= LEAST_INFORMATION


def _less_sure(trial: Trial, *, than: Trial) -> bool:
    """Return whether the entropies of a trial are larger than those of another by more than chance."""
    differences = torch.tensor(trial.entropies) - torch.tensor(than.entropies)
    error = differences.std() / max(1, len(differences)) ** 0.5
    return bool(differences.mean() > CERTAIN * error)


def _steady(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials that tell images apart, the first in any case, and say much the same of a mirror image."""
    return consistent([trials[0], *(trial for trial in trials[1:] if trial.information >= LEAST_INFORMATION)])


def consistent(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials whose answers to an image and its mirror image are about as much alike as under the best.

    Answers that are all the same are out, unless all trials have such.
    """
    telling = [trial for trial in trials if trial.information > NO_INFORMATION] or list(trials)
    least_surprise = min(trial.surprise for trial in telling)
    return [trial for trial in telling if trial.surprise <= STEADY * least_surprise]


def with_own_head(file: WeightsFile, network: str, **arguments: object) -> nn.Module | None:
    """Return the network with all tensors of the file, its head included; None if no number of classes fits."""
    lengths = [len(tensor) for tensor in file.tensors.values() if tensor.ndim == 1]
    for classes in _counts(lengths):
        try:
            model = registry.build(network, **arguments, **classes)
            load_into(model, file, network=registry.resolve(network))
        except FoveaError:
            continue
        return model
    return None


def _counts(lengths: Sequence[int]) -> list[dict[str, int]]:
    """Return the arguments that may give the head its classes: the last bias of the file, or the network's default."""
    return [*([{"classes": lengths[-1]}] if lengths else []), {}]


def reverse_channels(model: nn.Module) -> None:
    """Let the first convolution of `model` that takes colours, and takes blue first, take red first.

    What the network computes of an image stays the same.
    """
    first = next((m for m in model.modules() if isinstance(m, nn.Conv2d) and m.in_channels == 3), None)
    if first is not None:
        with torch.no_grad():
            first.weight.copy_(first.weight.flip(1))
