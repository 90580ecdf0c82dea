"""VGG along one axis, and along three. Stages: column A of Table 1 in Simonyan and Zisserman 2014, arXiv:1409.1556.

`vgg_3d`: C3D, Tran, Bourdev, Fergus, Torresani and Paluri 2014, arXiv:1412.0767, Figure 3: the same stages with
kernels of 3x3x3, the first pooling over no frames. `vgg_1d`: with kernels of 3, for series; no paper.

Departures: He normal initialisation (arXiv:1502.01852). Poolings of `vgg_3d` keep a last window that is not full, as
in the authors' framework: without it the last maps would be 3x3 and not 4x4.
"""

from collections import OrderedDict
from typing import NamedTuple

from torch import nn

from fovea.layers import Classifier
from fovea.registry import register
from fovea.shapes import Window, chained
from fovea.zoo.alexnet import dense_head, he_normal
from fovea.zoo.vgg import CHANNELS, TABLE_1


class Kind(NamedTuple):
    """The layers of networks along one number of axes."""

    conv: type[nn.Conv1d | nn.Conv3d]
    pool: type[nn.MaxPool1d | nn.MaxPool3d]
    ceil: bool
    """Whether a last window that is not full counts."""


ALONG = {1: Kind(nn.Conv1d, nn.MaxPool1d, ceil=False), 3: Kind(nn.Conv3d, nn.MaxPool3d, ceil=True)}


def _stage(c_in: int, c_out: int, n: int, kind: Kind, *, pool: int | tuple[int, ...]) -> nn.Sequential:
    """So many convolutions of 3 along each axis, each with ReLU, then max pooling.

    (N, c_in, T) -> (N, c_out, T / 2), (N, c_in, T, H, W) -> (N, c_out, T / 2, H / 2, W / 2)
    """
    layers: dict[str, nn.Module] = {}
    for i in range(1, n + 1):
        layers |= {f"conv{i}": kind.conv(c_in, c_out, 3, padding=1), f"relu{i}": nn.ReLU()}
        c_in = c_out
    layers["pool"] = kind.pool(pool, ceil_mode=kind.ceil)
    return nn.Sequential(OrderedDict(layers))


def _stages(c_in: int, kind: Kind, *, first_pool: int | tuple[int, ...]) -> list[nn.Sequential]:
    inputs, rows = (c_in, *CHANNELS), TABLE_1["A"].k
    pools = (first_pool, *[2] * (len(CHANNELS) - 1))
    return [
        _stage(a, b, len(row), kind, pool=pool) for a, b, row, pool in zip(inputs, CHANNELS, rows, pools, strict=False)
    ]


def _windows(kind: Kind, *, first: int) -> list[Window]:
    """Return the poolings from the stage with the number `first` on."""
    return [Window(f"stage{i}.pool", 2, 2, ceil=kind.ceil) for i in range(first, len(CHANNELS) + 1)]


@register(
    paper="arXiv:1409.1556",
    title="Very deep convolutional networks for large-scale image recognition",
    authors="Simonyan and Zisserman",
    year=2014,
    input=(1, 150),
    params=28_257_154,
    macs=73_347_200,
)
def vgg_1d(classes: int = 2, *, c_in: int = 1, size: int = 150) -> Classifier:
    length = chained(size, _windows(ALONG[1], first=1), axes=1)
    head = dense_head(CHANNELS[-1] * length, classes)
    return he_normal(Classifier(stages=_stages(c_in, ALONG[1], first_pool=2), head=head))


# 487 classes of Sports-1M
@register(
    paper="arXiv:1412.0767",
    title="Learning spatiotemporal features with 3D convolutional networks",
    authors="Tran et al.",
    year=2014,
    input=(3, 16, 112, 112),
    params=79_991_015,
    macs=38_548_959_232,
)
def vgg_3d(classes: int = 487, *, c_in: int = 3, size: int = 112, frames: int = 16) -> Classifier:
    side = chained(size, _windows(ALONG[3], first=1))
    length = chained(frames, _windows(ALONG[3], first=2), axes=1, argument="frames")  # the first pools no frames
    head = dense_head(CHANNELS[-1] * length * side**2, classes)
    return he_normal(Classifier(stages=_stages(c_in, ALONG[3], first_pool=(1, 2, 2)), head=head))
