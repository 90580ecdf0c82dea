"""The patterns that the lectures compare, as networks of one block: `fovea measure --compare` shows them."""

import torch
from torch import Tensor, nn


def three_3x3(c_in: int = 64) -> nn.Module:
    """Three 3x3 convolutions, as VGG has them: lectures 000 and 001."""
    return nn.Sequential(*(nn.Conv2d(c_in, c_in, 3, padding=1, bias=False) for _ in range(3)))


def one_7x7(c_in: int = 64) -> nn.Module:
    """One 7x7 convolution, which sees the same."""
    return nn.Conv2d(c_in, c_in, 7, padding=3, bias=False)


class Branches(nn.ModuleList):
    """Networks side by side on the same input, their channels concatenated."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the concatenation."""
        return torch.cat([branch(x) for branch in self], dim=1)


def naive_inception(c_in: int = 256) -> nn.Module:
    """1x1, 3x3 and 5x5 convolutions and a pooling side by side: lecture 001."""
    convolutions = [nn.Conv2d(c_in, c, k, padding=k // 2) for c, k in ((128, 1), (192, 3), (96, 5))]
    return Branches([*convolutions, nn.MaxPool2d(3, stride=1, padding=1)])


def reduced_inception(c_in: int = 256) -> nn.Module:
    """The same with 1x1 convolutions to 64 channels before the large kernels and after the pooling: lecture 001."""
    branches = [
        nn.Conv2d(c_in, 128, 1),
        nn.Sequential(nn.Conv2d(c_in, 64, 1), nn.Conv2d(64, 192, 3, padding=1)),
        nn.Sequential(nn.Conv2d(c_in, 64, 1), nn.Conv2d(64, 96, 5, padding=2)),
        nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), nn.Conv2d(c_in, 64, 1)),
    ]
    return Branches(branches)


def standard(c_in: int = 16) -> nn.Module:
    """A 3x3 convolution to twice the channels: lecture 002."""
    return nn.Conv2d(c_in, 2 * c_in, 3, padding=1)


def depthwise_separable(c_in: int = 16) -> nn.Module:
    """A 3x3 convolution of each channel by itself, then a 1x1 convolution: lecture 002."""
    depthwise = nn.Conv2d(c_in, c_in, 3, padding=1, groups=c_in, bias=False)
    return nn.Sequential(depthwise, nn.Conv2d(c_in, 2 * c_in, 1))


def stem() -> nn.Module:
    """The first layers of a ResNet, whose receptive fields lecture 002 lists."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1),
    )


def stride_3() -> nn.Module:
    """A 3x3 kernel with stride 3, which on 7x7 "does not fit": lectures 000, 001, 003 and 004."""
    return nn.Conv2d(1, 1, 3, stride=3)
