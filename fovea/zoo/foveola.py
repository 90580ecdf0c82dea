"""Foveola: this project's fast network for small images; the name is that of the centre of the fovea.

A design of published ideas: a first convolution meant to be whitened and frozen (Page 2018, "How to train your
ResNet"; Jordan 2024, arXiv:2404.00498), pooling right after each stage's first convolution, so that three quarters of
the arithmetic that would follow is saved (Jordan 2024), batch norm without a trained scale and with a short memory
(Jordan 2024), GELU (arXiv:1606.08415), filters that begin as the identity (Zagoruyko and Komodakis 2017,
arXiv:1706.00388), global max pooling before the logits, and logits that begin near zero.

Departures: no paper to depart from.
"""

from collections import OrderedDict
from functools import partial
from typing import NamedTuple

from torch import nn

from fovea.errors import UsageError
from fovea.layers import Classifier
from fovea.registry import register
from fovea.shapes import Window, chained


class Stage(NamedTuple):
    c: int  # output channels


STAGES = (
    #      c
    Stage( 64),  # 15 x 15
    Stage(256),  #  7 x  7
    Stage(256),  #  3 x  3
)  # fmt: skip


def _stem(c_in: int, stride: int) -> nn.Sequential:
    """Convolution of 2 stride x 2 stride, GELU: (N, c_in, H, W) -> (N, 8 c_in, H / stride - 1, W / stride - 1).

    At stride 1 its filters hold a whole whitening of the 2x2 patches and its negative, at stride 2 the strongest part.
    """
    layers = {"conv": nn.Conv2d(c_in, 8 * c_in, 2 * stride, stride=stride), "act": nn.GELU()}
    return nn.Sequential(OrderedDict(layers))


def _norm(c: int) -> nn.BatchNorm2d:
    """Return a batch norm whose scale stays 1: under Muon, which keeps the filters' norm, there is nothing to learn."""
    norm = nn.BatchNorm2d(c, momentum=0.4)
    norm.weight.requires_grad_(False)
    return norm


def _stage(c_in: int, c_out: int) -> nn.Sequential:
    """3x3, 2x2 max pooling, BN, GELU, 3x3, BN, GELU: (N, c_in, H, W) -> (N, c_out, H / 2, W / 2)."""
    layers = {
        "conv1": nn.Conv2d(c_in, c_out, 3, padding=1, bias=False),
        "pool": nn.MaxPool2d(2),
        "bn1": _norm(c_out),
        "act1": nn.GELU(),
        "conv2": nn.Conv2d(c_out, c_out, 3, padding=1, bias=False),
        "bn2": _norm(c_out),
        "act2": nn.GELU(),
    }
    return nn.Sequential(OrderedDict(layers))


def _head(c_in: int, classes: int) -> nn.Sequential:
    """Global max pooling, logits: (N, c_in, H, W) -> (N, classes)."""
    logits = nn.Linear(c_in, classes, bias=False)
    nn.init.normal_(logits.weight, std=1 / c_in)
    layers = {"pool": nn.AdaptiveMaxPool2d(1), "flatten": nn.Flatten(), "logits": logits}
    return nn.Sequential(OrderedDict(layers))


def dirac(model: Classifier) -> Classifier:
    """Let the first c_in filters of every 3x3 convolution copy their input (arXiv:1706.00388)."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            nn.init.dirac_(module.weight.detach()[: module.in_channels])
    return model


_register = partial(register, paper="this project", title="Foveola", year=2026)


@_register(input=(3, 32, 32), params=1_971_640, macs=118_147_360)
def foveola(classes: int = 10, *, c_in: int = 3, size: int = 32, stride: int = 1, width: float = 1.0) -> Classifier:
    if stride < 1:
        raise UsageError(f"`stride` (={stride}) must be at least 1.")
    if round(STAGES[0].c * width) < 1:
        raise UsageError(f"`width` (={width}) must leave at least one of {STAGES[0].c} channels.")
    stem = _stem(c_in, stride)
    windows, stages, c = [Window("stem.conv", 2 * stride, stride=stride)], [], 8 * c_in
    for i, stage in enumerate(STAGES, start=1):
        c_out = round(stage.c * width)
        windows.append(Window(f"stage{i}.pool", 2, stride=2))
        stages.append(_stage(c, c_out))
        c = c_out
    chained(size, windows)
    return dirac(Classifier(stem=stem, stages=stages, head=_head(c, classes)))
