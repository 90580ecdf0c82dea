"""CapsNet: Sabour, Frosst and Hinton 2017, "Dynamic routing between capsules", arXiv:1710.09829.

Layers: Figure 1. Squashing: equation 1. Routing: equations 2 and 3, Procedure 1. Margin loss: equation 4, which is the
loss `margin` of `fovea.tasks.classes`. Decoder: Figure 2, section 4.1.

Departures: the logits are those of the lengths, so that a softmax of them is a probability; pixels are 0 to 1 only
where `standardise` is false, as by the entry's own training. `capsnet_digits` is small, and this project's.
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.errors import UsageError
from fovea.layers import Classifier
from fovea.registry import register
from fovea.shapes import Window, chained

RECONSTRUCTION = 0.0005
"""Weight of the sum of squared differences of pixels (section 4.1)."""
PRIMARY_DIM, DIGIT_DIM = 8, 16
"""Numbers of a primary and of a class capsule."""
CAPSULE_STD = 0.1
"""Of the first weights from capsule to capsule; the paper says nothing of them."""


class Plan(NamedTuple):
    """What differs between the variants; at the size of the card."""

    kernel: int  # of both convolutions
    c: int  # channels of the first
    types: int  # of primary capsules
    decoder: tuple[int, int]  # hidden units


FIGURE_1_AND_2 = Plan(9, 256, 32, (512, 1024))  # 20 x 20, then 6 x 6 x 32 capsules
DIGITS = Plan(5, 64, 8, (128, 256))  # 12 x 12, then 4 x 4 x 8 capsules


def squash(s: Tensor) -> Tensor:
    """Return `s` (N, ..., D), float32, with its vectors made |s|^2 / (1 + |s|^2) long: equation 1."""
    square = s.square().sum(-1, keepdim=True)
    return s * (square / (1 + square) / (square + 1e-12).sqrt())


def route(predictions: Tensor, *, rounds: int) -> Tensor:
    """Return the capsules (N, J, D) on which `predictions` (N, J, I, D), float32, of I capsules agree: Procedure 1.

    Every round shares out each of the I capsules over the J (c = softmax of b), sums, squashes, and moves shares to
    those J that a prediction agrees with (b += prediction . v).
    """
    N, J, I, _ = predictions.shape  # noqa: E741 (the paper's letters)
    b = predictions.new_zeros(N, J, I, 1)
    v = predictions.new_zeros(N, J, 1, 1)
    for done in range(rounds):
        shares = b.softmax(1)
        v = squash(shares.transpose(2, 3) @ predictions)  # (N, J, 1, D)
        if done + 1 < rounds:
            b = b + predictions @ v.transpose(2, 3)
    return v.squeeze(2)


class PrimaryCapsules(nn.Module):
    """Read a map as capsules of 8 channels at each place, and squash them: (N, 8 types, H, W) -> (N, types H W, 8)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the capsules of the map `x`."""
        N, C, H, W = x.shape
        types = C // PRIMARY_DIM
        capsules = x.reshape(N, types, PRIMARY_DIM, H * W).transpose(2, 3)
        return squash(capsules.reshape(N, types * H * W, PRIMARY_DIM).float())


class RoutedCapsules(nn.Module):
    """Predict each of `classes` capsules from each of `capsules`, u W_ij, and route: (N, capsules, 8) -> (N, J, 16)."""

    def __init__(self, capsules: int, classes: int, *, rounds: int) -> None:
        super().__init__()
        self.classes, self.rounds = classes, rounds
        self.weight = nn.Parameter(torch.empty(capsules, PRIMARY_DIM, classes * DIGIT_DIM).normal_(0, CAPSULE_STD))

    def forward(self, u: Tensor) -> Tensor:
        """Return the class capsules for capsules `u`."""
        predictions = torch.bmm(u.transpose(0, 1), self.weight)  # (I, N, J D)
        return route(
            predictions.reshape(*predictions.shape[:2], self.classes, DIGIT_DIM).permute(1, 2, 0, 3).float(),
            rounds=self.rounds,
        )


class Lengths(nn.Module):
    """The logit of each capsule's length, log(l / (1 - l)), which is log |s|^2: (N, J, 16) -> (N, J).

    A length is how probably its class is there; a softmax of the logits is how probably, where exactly one is.
    """

    def forward(self, v: Tensor) -> Tensor:
        """Return the logits of capsules `v`."""
        return torch.logit(v.square().sum(-1).clamp(min=1e-14).sqrt(), eps=1e-6)


class Head(nn.Sequential):
    """Capsules, and in training the decoder beside them: (N, C, H, W) -> (N, classes).

    The decoder draws the image from the capsule of one class alone. It takes no part in the answer.
    """

    def __init__(self, chain: "OrderedDict[str, nn.Module]", decoder: nn.Sequential | None) -> None:
        super().__init__(chain)
        self.chain = tuple(chain)
        if decoder is not None:
            self.decoder = decoder

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits for the map `x`."""
        return self.answered(x)[1]

    def answered(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the class capsules (N, J, 16) and the logits (N, J) for the map `x`."""
        *before, last = (self.get_submodule(name) for name in self.chain)
        for part in before:
            x = part(x)
        return x, cast(Tensor, last(x))

    def drawn(self, v: Tensor, classes: Tensor) -> Tensor:
        """Return pixels (N, c_in H W) from 0 to 1 that capsules `v` (N, J, 16) of `classes` (N,) int64 stand for."""
        alone = v * F.one_hot(classes, v.shape[1]).to(v.dtype).unsqueeze(2)
        return cast(Tensor, self.decoder(alone))


class CapsNet(Classifier):
    """A classifier by capsules, with the loss of section 4: that of the recipe, and of the image drawn again."""

    head: Head

    def learn(
        self, images: Tensor, labels: Tensor, *, loss: Callable[[Tensor, Tensor], Tensor], progress: float
    ) -> tuple[Tensor, Tensor]:
        """Return the loss for `images` (N, C, H, W) in 0..1 and `labels` (N,) int64, and the logits (N, classes)."""
        v, logits = self.head.answered(self.features(images))
        total = loss(logits, labels)
        if hasattr(self.head, "decoder"):
            missed = self.head.drawn(v, labels).float() - images.flatten(1)
            total = total + RECONSTRUCTION * missed.square().sum(1).mean()
        return total, logits


def _decoder(classes: int, hidden: tuple[int, int], pixels: int) -> nn.Sequential:
    """Figure 2: two dense layers with ReLU, one with a sigmoid: (N, J, 16) -> (N, pixels)."""
    first, second = hidden
    layers = {
        "flatten": nn.Flatten(),
        "dense1": nn.Linear(classes * DIGIT_DIM, first),
        "relu1": nn.ReLU(),
        "dense2": nn.Linear(first, second),
        "relu2": nn.ReLU(),
        "dense3": nn.Linear(second, pixels),
        "sigmoid": nn.Sigmoid(),
    }
    return nn.Sequential(OrderedDict(layers))


def _capsnet(plan: Plan, classes: int, *, c_in: int, size: int, routing: int, reconstruction: bool) -> CapsNet:
    if routing < 1:
        raise UsageError(f"`routing` (={routing}) must be 1 round or more.")
    kernel, channels = plan.kernel, PRIMARY_DIM * plan.types
    side = chained(size, [Window("stem.conv", kernel), Window("stage1.conv", kernel, stride=2)])
    stem = OrderedDict[str, nn.Module](conv=nn.Conv2d(c_in, plan.c, kernel), relu=nn.ReLU())
    stage = OrderedDict[str, nn.Module](conv=nn.Conv2d(plan.c, channels, kernel, stride=2))
    chain = OrderedDict[str, nn.Module](
        primary=PrimaryCapsules(),
        capsules=RoutedCapsules(plan.types * side**2, classes, rounds=routing),
        lengths=Lengths(),
    )
    decoder = _decoder(classes, plan.decoder, c_in * size**2) if reconstruction else None
    return CapsNet(stem=nn.Sequential(stem), stages=[nn.Sequential(stage)], head=Head(chain, decoder))


SECTION_5 = {
    "loss": "margin",
    "standardise": False,
    "optimiser": "adam",
    "lr": 0.001,
    "weight_decay": 0.0,
    "clip": 0.0,
}
"""Adam at the rate of its authors; the paper says nothing of weight decay or clipping."""

_register = partial(
    register,
    paper="arXiv:1710.09829",
    title="Dynamic routing between capsules",
    authors="Sabour et al.",
    year=2017,
)


@_register(input=(1, 28, 28), params=8_215_568, macs=201_793_536, decks=("000",), training=SECTION_5)
def capsnet(
    classes: int = 10, *, c_in: int = 1, size: int = 28, routing: int = 3, reconstruction: bool = True
) -> CapsNet:
    return _capsnet(FIGURE_1_AND_2, classes, c_in=c_in, size=size, routing=routing, reconstruction=reconstruction)


@_register(input=(1, 16, 16), params=387_392, macs=2_135_040, training={**SECTION_5, "epochs": 30})
def capsnet_digits(
    classes: int = 10, *, c_in: int = 1, size: int = 16, routing: int = 3, reconstruction: bool = True
) -> CapsNet:
    return _capsnet(DIGITS, classes, c_in=c_in, size=size, routing=routing, reconstruction=reconstruction)
