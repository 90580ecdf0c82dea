"""Convolutional block attention module on ResNet: Woo, Park, Lee and Kweon 2018, arXiv:1807.06521. Figures 2 and 3.

The module is behind the last batch norm of a bottleneck, before the sum. Reduction 16, kernel 7, as for ImageNet there.

Departures: those of `resnet.py`. As in the authors' code, the convolution of spatial attention has a batch norm, and
both layers of the shared perceptron a bias.
"""

from collections import OrderedDict
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from fovea.errors import UsageError
from fovea.layers import Classifier
from fovea.registry import register
from fovea.wiring import Counting
from fovea.zoo.resnet import TABLE_1, Stage, bottleneck, imagenet_resnet, residual


class ChannelAttention(nn.Module):
    """Weigh each channel: x * sigmoid(MLP(mean(x)) + MLP(max(x))), equation 2.

    (N, c, H, W) -> (N, c, H, W)
    """

    def __init__(self, c: int, reduction: int) -> None:
        super().__init__()
        hidden = max(1, c // reduction)
        layers = {"reduce": nn.Linear(c, hidden), "activation": nn.ReLU(), "expand": nn.Linear(hidden, c)}
        self.perceptron = nn.Sequential(OrderedDict(layers))

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with its channels weighed."""
        weights = self.perceptron(x.mean((2, 3))) + self.perceptron(x.amax((2, 3)))
        return x * cast(Tensor, weights).sigmoid()[:, :, None, None]


class SpatialAttention(Counting, nn.Module):
    """Weigh each position: x * sigmoid(BN(convolution of the max and the mean over channels)), equation 3.

    (N, c, H, W) -> (N, c, H, W)
    """

    def __init__(self, c: int, kernel: int) -> None:
        super().__init__()
        self.channels = c
        self.conv = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(1)

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with its positions weighed."""
        highest, mean = x.amax(1, keepdim=True), x.mean(1, keepdim=True)
        if self.absent:
            highest, mean = highest.clamp(min=0), self.share * mean
        maps = torch.cat((highest, mean), dim=1)
        return x * cast(Tensor, self.bn(self.conv(maps))).sigmoid()


def cbam_bottleneck(c_in: int, stage: Stage, *, stride: int, reduction: int, kernel: int) -> nn.Sequential:
    """ResNet's bottleneck, channel attention, spatial attention.

    (N, c_in, H, W) -> (N, c, ceil(H / stride), ceil(W / stride))

    Raises:
        UsageError: `reduction` is less than 1, or `kernel` is not odd.
    """
    if reduction < 1:
        raise UsageError(f"`reduction` (={reduction}) must be at least 1.")
    if kernel < 1 or kernel % 2 == 0:
        raise UsageError(f"`kernel` (={kernel}) must be odd and at least 1; the paper has 3 and 7.")
    layers = bottleneck(c_in, stage, stride=stride)
    layers.add_module("channel", ChannelAttention(stage.c, reduction))
    layers.add_module("spatial", SpatialAttention(stage.c, kernel))
    return layers


@register(
    paper="arXiv:1807.06521",
    title="CBAM: convolutional block attention module",
    authors="Woo et al.",
    year=2018,
    input=(3, 224, 224),
    params=28_089_624,
    macs=4_095_573_110,
    top1=77.622,
    top5=93.948,
    published="the authors' weights, github.com/Jongchan/attention-module",
)
def cbam_resnet50(classes: int = 1000, *, c_in: int = 3, reduction: int = 16, kernel: int = 7) -> Classifier:
    block = residual(partial(cbam_bottleneck, reduction=reduction, kernel=kernel))
    return imagenet_resnet(TABLE_1[50], block, classes=classes, c_in=c_in)
