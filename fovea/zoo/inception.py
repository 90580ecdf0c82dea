"""Inception: Szegedy et al. 2014, "Going deeper with convolutions", arXiv:1409.4842. Figures 2(a) and 2(b).

The modules, and what the networks made of them share: `googlenet.py`, `bn_inception.py`, `inception_v3.py`,
`inception_v4.py` and `inception_resnet.py`.

Departures: none.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fovea.layers import Classifier

Kernel = int | tuple[int, int]
"""Of a convolution: the side of a square, or (height, width)."""
Unit = Callable[..., nn.Sequential]
"""Makes a convolution with its activation: (c_in, c_out, kernel, stride=..., padding=...)."""


def conv_relu(c_in: int, c_out: int, kernel: int, **window: Any) -> nn.Sequential:
    """Convolution, ReLU: (N, c_in, H, W) -> (N, c_out, ...); `window` holds stride and padding."""
    return nn.Sequential(OrderedDict({"conv": nn.Conv2d(c_in, c_out, kernel, **window), "relu": nn.ReLU()}))


def conv_bn_relu(c_in: int, c_out: int, kernel: Kernel, **window: Any) -> nn.Sequential:
    """Convolution without bias, batch norm (eps 1e-3), ReLU: (N, c_in, H, W) -> (N, c_out, ...)."""
    conv = nn.Conv2d(c_in, c_out, kernel, bias=False, **window)
    return nn.Sequential(OrderedDict({"conv": conv, "bn": nn.BatchNorm2d(c_out, eps=1e-3), "relu": nn.ReLU()}))


def chain(c_in: int, *rows: tuple[int, Kernel], stride: int = 1, valid: bool = False) -> nn.Sequential:
    """Return `conv1`, `conv2`...: for each row, (channels, kernel), a convolution with batch norm and ReLU.

    They keep the size of the map, but for the last one: that has `stride`, and no padding where it is `valid`.
    """
    layers = {}
    for i, (c, kernel) in enumerate(rows, start=1):
        k, last = (kernel, kernel) if isinstance(kernel, int) else kernel, i == len(rows)
        padding = (0, 0) if valid and last else (k[0] // 2, k[1] // 2)
        layers[f"conv{i}"] = conv_bn_relu(c_in, c, k, stride=stride if last else 1, padding=padding)
        c_in = c
    return nn.Sequential(OrderedDict(layers))


def average_and_project(c_in: int, c: int, *, count_padding: bool = True) -> nn.Sequential:
    """3x3 average pooling, padded by zeros that may or may not count, then 1x1: (N, c_in, H, W) -> (N, c, H, W)."""
    pool = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=count_padding)
    return nn.Sequential(OrderedDict({"pool": pool, "conv": conv_bn_relu(c_in, c, 1)}))


class Branches(nn.Module):
    """Several branches on the same input, their maps concatenated: (N, c_in, H, W) -> (N, sum of c_out, H', W')."""

    def __init__(self, **branches: nn.Module) -> None:
        super().__init__()
        for name, branch in branches.items():
            self.add_module(name, branch)

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps of all branches, in order."""
        return torch.cat([branch(x) for branch in self.children()], dim=1)


def split(layers: nn.Sequential, c_in: int, c: int) -> nn.Sequential:
    """Return a chain that ends in `c_in` channels with a step more: 1x3 and 3x1 side by side, `c` channels each."""
    row = conv_bn_relu(c_in, c, (1, 3), padding=(0, 1))
    column = conv_bn_relu(c_in, c, (3, 1), padding=(1, 0))
    layers.add_module(f"conv{len(layers) + 1}", Branches(a=row, b=column))
    return layers


class NaiveInception(Branches):
    """Figure 2(a): 1x1, 3x3 and 5x5 convolutions and 3x3 max pooling side by side.

    (N, c_in, H, W) -> (N, n1 + n3 + n5 + c_in, H, W)
    """

    def __init__(self, c_in: int, n1: int, n3: int, n5: int) -> None:
        super().__init__(
            branch1=conv_relu(c_in, n1, 1),
            branch3=conv_relu(c_in, n3, 3, padding=1),
            branch5=conv_relu(c_in, n5, 5, padding=2),
            branch_pool=nn.MaxPool2d(3, stride=1, padding=1),
        )


class Maps(NamedTuple):
    """The columns of Table 1: how many maps each convolution of a module makes."""

    n1: int  # 1x1
    r3: int  # 3x3 reduce
    n3: int  # 3x3
    r5: int  # 5x5 reduce
    n5: int  # 5x5
    p: int  # pool proj

    @property
    def c(self) -> int:
        """Output channels of the module."""
        return self.n1 + self.n3 + self.n5 + self.p


class Inception(Branches):
    """Figure 2(b): as 2(a), with 1x1 convolutions that reduce the channels before 3x3 and 5x5 and after pooling.

    `large` is the kernel of the third branch. (N, c_in, H, W) -> (N, maps.c, H, W)
    """

    def __init__(self, c_in: int, maps: Maps, *, unit: Unit = conv_relu, large: int = 5) -> None:
        branch3 = {"reduce": unit(c_in, maps.r3, 1), "conv": unit(maps.r3, maps.n3, 3, padding=1)}
        branch5 = {"reduce": unit(c_in, maps.r5, 1), "conv": unit(maps.r5, maps.n5, large, padding=large // 2)}
        pool = {"pool": nn.MaxPool2d(3, stride=1, padding=1), "project": unit(c_in, maps.p, 1)}
        super().__init__(
            branch1=unit(c_in, maps.n1, 1),
            branch3=nn.Sequential(OrderedDict(branch3)),
            branch5=nn.Sequential(OrderedDict(branch5)),
            branch_pool=nn.Sequential(OrderedDict(pool)),
        )


class AuxiliaryClassifier(Classifier):
    """A classifier with further heads on maps on the way, `aux1`, `aux2`..., which learn with it and then are ignored.

    `heads` maps the path of a layer of a stage (`stage2.mixed6e`) to the head on its output.
    (N, c_in, H, W) -> (N, classes) logits; in training, with heads, a tuple of these and the logits of each head
    """

    def __init__(self, *, heads: Mapping[str, nn.Module], **parts: Any) -> None:
        super().__init__(**parts)
        self._heads = {path: f"aux{i}" for i, path in enumerate(heads, start=1)}
        for name, head in zip(self._heads.values(), heads.values(), strict=True):
            self.add_module(name, head)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:  # type: ignore[override]  # in training only
        """Return the logits; in training those of the heads too."""
        if not (self.training and self._heads):
            return super().forward(x)
        auxiliary = []
        for stage in self._body:
            for name, layer in getattr(self, stage).named_children():
                x = layer(x)
                if head := self._heads.get(f"{stage}.{name}"):
                    auxiliary.append(getattr(self, head)(x))
        return (self.head(x), *auxiliary)


def dropout_head(c_in: int, classes: int, *, dropout: float) -> nn.Sequential:
    """Global average pooling, dropout, logits: (N, c_in, H, W) -> (N, classes)."""
    layers = {
        "pool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "dropout": nn.Dropout(dropout),
        "logits": nn.Linear(c_in, classes),
    }
    return nn.Sequential(OrderedDict(layers))


def he_normal(model: Classifier) -> Classifier:
    """Draw convolutions from N(0, 2 / fan-in) (He et al. 2015, arXiv:1502.01852, equation 10), biases zero."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return model
