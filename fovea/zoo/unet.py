"""U-Net: Ronneberger, Fischer and Brox 2015, arXiv:1505.04597. Figure 1.

`unet` is the figure: valid convolutions, so that a tile of 572 pixels is answered for its inner 388. `unet_padded` pads
them and answers for every pixel. `unet_on` puts the expansive path on the stages of any network of the zoo.

Departures: none in `unet`. Its dropout, "at the end of the contracting path", has the rate and the places of the
authors' code, which the paper does not print. `unet_padded` repeats the last row and column of a map that was odd
before pooling; `batch_norm` or `instance_norm` stand between a convolution, which has no bias then, and its ReLU. With
`stride` its first convolution goes in steps of so many pixels, with a kernel of three steps, and the last, transposed,
goes back: the 3x3 and the 1x1 for pixels of `stride` x `stride` laid into channels (Shi et al. 2016, arXiv:1609.05158,
enlarge so), so that 512 pixels cost what 256 do without. `unet_on` has batch norm, projects by 1x1 before it enlarges
instead of a 2x2 up-convolution, and keeps `width` channels for every pixel of the stride.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.errors import UsageError
from fovea.layers import Convolution, InstanceNorm2d
from fovea.registry import register
from fovea.shapes import Window, chained
from fovea.zoo.backbones import Pyramid, raised, resized, stages_of

FIGURE_1 = (
    # channels: two 3x3 each, then 2x2 pooling
      64,  # 568 x 568
     128,  # 280 x 280
     256,  # 136 x 136
     512,  #  64 x  64
    1024,  #  28 x  28
)  # fmt: skip
DROPPED = (3, 4)
"""Which of them end in dropout."""


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "bn": nn.BatchNorm2d,
    "in": partial(InstanceNorm2d, affine=True),
}
"""Normalisations between a convolution and its ReLU, by the start of their names."""


def _pair(c_in: int, c_out: int, *, padding: int, norm: str = "", stride: int = 1) -> dict[str, nn.Module]:
    """3x3 (, BN or IN), ReLU, twice: (N, c_in, H, W) -> (N, c_out, H - 4 + 4 padding, W - 4 + 4 padding).

    With a `stride` the first is larger by as much: the sides are divided by it before.
    """
    layers: dict[str, nn.Module] = {}
    for i, (c, step) in enumerate(((c_in, stride), (c_out, 1)), start=1):
        conv = nn.Conv2d(c, c_out, 3 * step, stride=step, padding=step * padding, bias=not norm)
        layers[f"conv{i}"] = conv
        if norm:
            layers[f"{norm}{i}"] = NORMS[norm](c_out)
        layers[f"relu{i}"] = nn.ReLU()
    return layers


def cropped(x: Tensor, like: Tensor) -> Tensor:
    """Return `x` (N, C, H, W) float at the size of `like`: its middle, or its last row and column repeated."""
    missing = [small - large for large, small in zip(x.shape[-2:], like.shape[-2:], strict=True)]
    top, left = (max(0, -count) // 2 for count in missing)
    x = x[..., top : top + like.shape[-2], left : left + like.shape[-1]]
    down, right = (max(0, count) for count in missing)
    return F.pad(x, (0, right, 0, down), mode="replicate") if down or right else x


class Expansion(nn.Module):
    """2x2 up-convolution that halves the channels, beside the map of the contracting path; twice 3x3, ReLU.

    (N, c_in, h, w), (N, c_in / 2, H, W) -> (N, c_in / 2, 2h - 4, 2w - 4), or with padding (N, c_in / 2, H, W)
    """

    def __init__(self, c_in: int, *, padding: int, norm: str) -> None:
        super().__init__()
        self.padding = padding
        self.up = nn.ConvTranspose2d(c_in, c_in // 2, 2, stride=2)
        self.convs = nn.Sequential(OrderedDict(_pair(c_in, c_in // 2, padding=padding, norm=norm)))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Return the finer map."""
        x = self.up(x)
        skip, x = (skip, cropped(x, skip)) if self.padding else (cropped(skip, x), x)
        return self.convs(torch.cat([skip, x], dim=1))  # type: ignore[no-any-return]


class Lateral(nn.Module):
    """1x1, enlarged to the finer map, beside it; twice 3x3, BN, ReLU.

    (N, c_in, h, w), (N, c_skip, H, W) -> (N, c_out, H, W)
    """

    def __init__(self, c_in: int, c_skip: int, c_out: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(c_in, c_out, 1)
        self.convs = nn.Sequential(OrderedDict(_pair(c_out + c_skip, c_out, padding=1, norm="bn")))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Return the finer map."""
        return self.convs(torch.cat([skip, raised(self.project(x), skip)], dim=1))  # type: ignore[no-any-return]


class ExpansivePath(nn.Module):
    """`up1`, `up2`, ... from the coarsest map to the finest, then 1x1 to the logits; of a `stride` transposed.

    The input (N, c_in, H, W) and the maps from the finest to the coarsest -> (N, classes, H, W), where `whole`
    """

    def __init__(self, ups: Sequence[nn.Module], c: int, classes: int, *, whole: bool, stride: int = 1) -> None:
        super().__init__()
        self.ups = tuple(f"up{i}" for i in range(1, len(ups) + 1))
        for name, up in zip(self.ups, ups, strict=True):
            self.add_module(name, up)
        self.logits = nn.ConvTranspose2d(c, classes, stride, stride=stride) if stride > 1 else nn.Conv2d(c, classes, 1)
        self.whole = whole

    def forward(self, image: Tensor, *maps: Tensor) -> Tensor:
        """Return the logits, at the size of the image where `whole`."""
        *skips, x = maps
        for name, skip in zip(self.ups, reversed(skips), strict=True):
            x = getattr(self, name)(x, skip)
        logits = self.logits(x)
        return resized(logits, image) if self.whole else logits


def he_normal(model: nn.Module) -> None:
    """Draw weights from N(0, 2 / N), N the incoming nodes of one neuron (section 3.1)."""
    for module in model.modules():
        if isinstance(module, Convolution | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class Form(NamedTuple):
    """What the forms of the network differ in."""

    c_in: int
    dropout: float
    padding: int
    norm: str = ""
    stride: int = 1


def _unet(channels: Sequence[int], classes: int, form: Form) -> Pyramid:
    c_in, dropout, padding, norm, stride = form
    stages: list[nn.Module] = []
    for i, c in enumerate(channels):
        layers: dict[str, nn.Module] = {"pool": nn.MaxPool2d(2)} if i else {}
        layers |= _pair(c_in, c, padding=padding, norm=norm, stride=1 if i else stride)
        if i in DROPPED and dropout:
            layers["dropout"] = nn.Dropout(dropout)
        stages.append(nn.Sequential(OrderedDict(layers)))
        c_in = c
    ups = [Expansion(c, padding=padding, norm=norm) for c in reversed(channels[1:])]
    head = ExpansivePath(ups, channels[0], classes, whole=bool(padding), stride=stride)
    model = Pyramid(stages=stages, head=head, taps=[f"stage{i}" for i in range(1, len(channels) + 1)])
    he_normal(model)
    if stride > 1:  # each pixel has one place that it comes from
        nn.init.normal_(head.logits.weight, std=(2 / channels[0]) ** 0.5)
    return model


def _contracted(padding: int, stride: int = 1) -> list[Window]:
    """Return the windows of the contracting path."""
    windows = [Window("stage1.conv1", 3 * stride, stride=stride, padding=stride * padding)]
    windows += [Window("stage1.conv2", 3, padding=padding)]
    for i in range(2, len(FIGURE_1) + 1):
        windows += [Window(f"stage{i}.pool", 2, stride=2)]
        windows += [Window(f"stage{i}.conv{j}", 3, padding=padding) for j in (1, 2)]
    return windows


_register = partial(
    register,
    paper="arXiv:1505.04597",
    title="U-Net: convolutional networks for biomedical image segmentation",
    authors="Ronneberger et al.",
    year=2015,
    answers="masks",
    form="logits",
    decks=("002",),
)


@_register(input=(1, 572, 572), params=31_030_658, macs=150_428_424_448)
def unet(classes: int = 2, *, c_in: int = 1, size: int = 572, dropout: float = 0.5) -> Pyramid:
    # the map that is left grows only from 4 x 4: 2 x 4 - 4
    chained(size, [*_contracted(padding=0), Window("head.up1", 4)])
    return _unet(FIGURE_1, classes, Form(c_in, dropout, padding=0))


@_register(input=(1, 512, 512), params=31_030_658, macs=192_384_335_872)
def unet_padded(
    classes: int = 2,
    *,
    c_in: int = 1,
    size: int = 512,
    width: int = 64,
    dropout: float = 0.5,
    batch_norm: bool = False,
    instance_norm: bool = False,
    stride: int = 1,
) -> Pyramid:
    if width < 1:
        raise UsageError(f"`width` (={width}) must be at least 1: it is the channels of the first stage.")
    if stride < 1:
        raise UsageError(
            f"`stride` (={stride}) must be at least 1: pixels from one place of the first map to the next."
        )
    if batch_norm and instance_norm:
        raise UsageError("`batch_norm` and `instance_norm` exclude each other; set one of them to false.")
    norm = "bn" if batch_norm else "in" if instance_norm else ""
    chained(size, _contracted(padding=1, stride=stride))
    channels = [c // FIGURE_1[0] * width for c in FIGURE_1]
    return _unet(channels, classes, Form(c_in, dropout, padding=1, norm=norm, stride=stride))


@_register(input=(3, 224, 224), params=13_712_354, macs=3_342_925_824)
def unet_on(
    classes: int = 2, *, c_in: int = 3, size: int = 224, backbone: str = "resnet18", width: int = 16
) -> Pyramid:
    if width < 1:
        raise UsageError(f"`width` (={width}) must be at least 1: the channels for every pixel of a map's stride.")
    body = stages_of(backbone, c_in=c_in, size=size)
    c, ups = body.last.c, []
    for level in reversed(body.levels[:-1]):
        ups.append(Lateral(c, level.c, c := level.stride * width))
    head = ExpansivePath(ups, c, classes, whole=True)
    he_normal(head)
    taps = [level.path for level in body.levels]
    return Pyramid(stem=body.stem, stages=body.stages, head=head, taps=taps)
