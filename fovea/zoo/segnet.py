"""SegNet: Badrinarayanan, Kendall and Cipolla 2015, arXiv:1511.00561. Figure 2; section 3.

The encoder is VGG-16's 13 convolutions with batch norm. The decoder puts each value back where the pooling of the same
size took it from, zeros elsewhere, and makes the map dense again by convolutions.

Departures: the decoder takes the places from the encoder's maps, which are kept, instead of keeping the places alone:
the same values, but not the paper's saving of memory.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.layers import Convolution
from fovea.registry import register
from fovea.shapes import Window, chained
from fovea.zoo.backbones import Pyramid

ENCODER = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Channels of the convolutions before each 2x2 pooling."""
DECODER = ((512, 512, 512), (512, 512, 256), (256, 256, 128), (128, 64), (64,))
"""Channels of those after each unpooling; the logits come after the last."""


def _convs(c_in: int, channels: Sequence[int]) -> dict[str, nn.Module]:
    """3x3, BN, ReLU for each of the channels: (N, c_in, H, W) -> (N, channels[-1], H, W)."""
    layers: dict[str, nn.Module] = {}
    for i, c in enumerate(channels, start=1):
        layers |= {f"conv{i}": nn.Conv2d(c_in, c, 3, padding=1), f"bn{i}": nn.BatchNorm2d(c), f"relu{i}": nn.ReLU()}
        c_in = c
    return layers


def unpooled(x: Tensor, places: Tensor, like: Tensor) -> Tensor:
    """Return zeros in the shape of `like` (N, c, H, W), float, with the values `x` (N, c, h, w) at their places.

    `places` int64 are those of `torch.nn.functional.max_pool2d`: H W of a map counted row by row.
    """
    flat = torch.zeros_like(like, memory_format=torch.contiguous_format).flatten(2)
    return flat.scatter(2, places.flatten(2), x.flatten(2)).view(like.shape)


class Decoder(nn.Module):
    """Unpooling and convolutions for each of the encoder's maps, from the coarsest on, then 3x3 to the logits.

    The image (N, c_in, H, W) and the encoder's maps before pooling, (N, c, h, w) -> (N, classes, H, W)
    """

    def __init__(self, c_in: int, classes: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList()
        for channels in DECODER:
            self.blocks.append(nn.Sequential(OrderedDict(_convs(c_in, channels))))
            c_in = channels[-1]
        self.logits = nn.Conv2d(c_in, classes, 3, padding=1)

    def forward(self, image: Tensor, *maps: Tensor) -> Tensor:
        """Return the logits of every pixel."""
        pooled = [F.max_pool2d(x, 2, return_indices=True) for x in maps]
        x = pooled[-1][0]
        for encoded, (_, places), block in zip(reversed(maps), reversed(pooled), self.blocks, strict=True):
            x = block(unpooled(x, places, encoded))
        return cast(Tensor, self.logits(x))


def _he_normal(model: nn.Module) -> nn.Module:
    """Draw weights from N(0, 2 / fan-in) (He et al. 2015, which section 3 names)."""
    for module in model.modules():
        if isinstance(module, Convolution):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(cast(Tensor, module.bias))
    return model


@register(
    paper="arXiv:1511.00561",
    title="SegNet: a deep convolutional encoder-decoder architecture for image segmentation",
    authors="Badrinarayanan et al.",
    year=2015,
    input=(3, 224, 224),
    answers="masks",
    form="logits",
    params=29_449_932,
    macs=30_953_373_696,
)
def segnet(classes: int = 12, *, c_in: int = 3, size: int = 224) -> Pyramid:
    windows = [Window(f"stage{i}.pool", 2, stride=2) for i in range(2, len(ENCODER) + 1)]
    chained(size, [*windows, Window("head", 2, stride=2)])  # the last map is pooled in there
    stages: list[nn.Module] = []
    for i, channels in enumerate(ENCODER):
        layers = ({"pool": nn.MaxPool2d(2)} if i else {}) | _convs(c_in, channels)
        stages.append(nn.Sequential(OrderedDict(layers)))
        c_in = channels[-1]
    taps = [f"stage{i}" for i in range(1, len(ENCODER) + 1)]
    model = Pyramid(stages=stages, head=Decoder(c_in, classes), taps=taps)
    _he_normal(model)
    return model
