"""LeNet: networks for handwritten digits, 1989 to 2014.

`lenet1`: LeCun et al. 1989, "Handwritten digit recognition with a back-propagation network", NIPS 2. Table 1.
`lenet5_1998`: LeCun, Bottou, Bengio and Haffner 1998, doi:10.1109/5.726791. Figure 2, Table I.
`lenet5`: its modern form. Max pooling without weights instead of trained subsampling, ReLU instead of tanh (both learn
faster), all maps of C3 see all six of S2, logits instead of radial basis functions, PyTorch's initialisation. The
61,706 parameters are those of the table in lecture 000, which prints average pooling.
`lenet_caffe`: the digits example of Jia et al. 2014, arXiv:1408.5093; Caffe's "xavier" initialisation.

Departures: `lenet1` ends in logits, not in units squashed to [-1, 1], and is initialised like the network of 1998. The
codes of `lenet5_1998` are drawn at random, as section II-B allows, since not every class is a character with a 7x12
bitmap; its outputs have a minus sign so that the largest wins. C5 is written as the dense layer that it is at 32 x 32.
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.errors import UsageError
from fovea.layers import Classifier, PartialConv2d
from fovea.registry import register
from fovea.shapes import Window, chained

Maps = tuple[tuple[int, ...], ...]
"""For each map of a convolution, the maps it sees."""

TABLE_1: Maps = (
    *((0,), (0, 1), (0, 1), (1,), (0, 1), (0, 1)),
    *((2,), (2, 3), (2, 3), (3,), (2, 3), (2, 3)),
)
TABLE_I: Maps = (
    *((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5)),
    *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    (0, 1, 2, 3, 4, 5),
)


class Stage(NamedTuple):
    c: int  # output channels
    k: int  # kernel of the convolution
    sees: Maps = ()  # if not all maps of the stage before


LENET_1 = (
    #      c  k
    Stage( 4, 5),           # H1 24 x 24, H2 12 x 12
    Stage(12, 5, TABLE_1),  # H3  8 x  8, H4  4 x  4
)  # fmt: skip
FIGURE_2 = (
    #      c  k
    Stage( 6, 5),           # C1 28 x 28, S2 14 x 14
    Stage(16, 5, TABLE_I),  # C3 10 x 10, S4  5 x  5
)  # fmt: skip
CAFFE = (
    #      c  k
    Stage(20, 5),  # 24 x 24, 12 x 12
    Stage(50, 5),  #  8 x  8,  4 x  4
)
C5, F6 = 120, 84  # units of the dense layers of LeNet-5


class Subsampling(nn.Module):
    """Sum of each 2x2 square, times one coefficient per map, plus one bias: (N, c, H, W) -> (N, c, H / 2, W / 2)."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((c, 1, 1), 0.25))
        self.bias = nn.Parameter(torch.zeros(c, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the smaller maps."""
        return 4 * self.weight * F.avg_pool2d(x, 2) + self.bias


class Squash(nn.Module):
    """A tanh(S a) with A = 1.7159 and S = 2/3, so that +1 and -1 stay where they are (equation 6, appendix A)."""

    def forward(self, a: Tensor) -> Tensor:
        """Return the squashed `a`, of the same shape."""
        return 1.7159 * torch.tanh(2 / 3 * a)


class RadialBasis(nn.Module):
    """Minus the squared distance to the code of each class, -1 or +1 in each unit and fixed (equation 7).

    Its cross-entropy is the loss of equation 9 without the rubbish class. (N, units) -> (N, classes)
    """

    codes: Tensor

    def __init__(self, units: int, classes: int) -> None:
        super().__init__()
        if classes < 2:
            raise UsageError(
                f"`classes` (={classes}) must be at least 2: a distance cannot be used to predict a number."
            )
        codes = np.random.default_rng(0).choice((-1.0, 1.0), (classes, units))
        self.register_buffer("codes", torch.tensor(codes, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        """Return the negative distances; the largest is that of the nearest class."""
        return -(x.unsqueeze(1) - self.codes).square().sum(2)


def _classic(c_in: int, stage: Stage) -> nn.Sequential:
    """Convolution, squashing, subsampling, squashing: (N, c_in, H, W) -> (N, c, (H - k + 1) / 2, (W - k + 1) / 2)."""
    conv = PartialConv2d(stage.sees, stage.k) if stage.sees else nn.Conv2d(c_in, stage.c, stage.k)
    layers = {"conv": conv, "squash1": Squash(), "pool": Subsampling(stage.c), "squash2": Squash()}
    return nn.Sequential(OrderedDict(layers))


def _caffe(c_in: int, stage: Stage) -> nn.Sequential:
    """Convolution, 2x2 max pooling: (N, c_in, H, W) -> (N, c, (H - k + 1) / 2, (W - k + 1) / 2)."""
    return nn.Sequential(OrderedDict({"conv": nn.Conv2d(c_in, stage.c, stage.k), "pool": nn.MaxPool2d(2)}))


def _modern(c_in: int, stage: Stage) -> nn.Sequential:
    """Convolution, 2x2 max pooling, ReLU: (N, c_in, H, W) -> (N, c, (H - k + 1) / 2, (W - k + 1) / 2)."""
    layers = {"conv": nn.Conv2d(c_in, stage.c, stage.k), "pool": nn.MaxPool2d(2), "relu": nn.ReLU()}
    return nn.Sequential(OrderedDict(layers))


def _head(units: tuple[int, ...], name: str, act: Callable[[], nn.Module], out: nn.Module) -> nn.Sequential:
    """Dense layers of so many `units`, each with `act`, called `name`1, `name`2..., then `out`."""
    layers: dict[str, nn.Module] = {"flatten": nn.Flatten()}
    for i, (a, b) in enumerate(zip(units, units[1:], strict=False), start=1):
        layers |= {f"dense{i}": nn.Linear(a, b), f"{name}{i}": act()}
    return nn.Sequential(OrderedDict(layers | {"logits": out}))


def _body(
    rows: tuple[Stage, ...], stage: Callable[[int, Stage], nn.Sequential], *, c_in: int, size: int
) -> tuple[list[nn.Sequential], int]:
    """Return the stages and the length of their flattened output."""
    windows, stages = [], []
    for i, row in enumerate(rows, start=1):
        windows += [Window(f"stage{i}.conv", row.k), Window(f"stage{i}.pool", 2, stride=2)]
        stages.append(stage(c_in, row))
        c_in = row.c
    return stages, c_in * chained(size, windows) ** 2


def lecun_uniform(model: Classifier) -> Classifier:
    """Draw all parameters of a unit of F inputs from U(-2.4 / F, 2.4 / F) (LeCun et al. 1998, appendix A)."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | Subsampling):
            inputs = 4 if isinstance(module, Subsampling) else module.weight[0].numel()
            for parameter in module.parameters():
                nn.init.uniform_(parameter, -2.4 / inputs, 2.4 / inputs)
    return model


def glorot_uniform(model: Classifier) -> Classifier:
    """Draw weights from U(-b, b), b = sqrt(3 / fan-in), and no biases: what Caffe calls "xavier"."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_uniform_(module.weight, nonlinearity="linear")
            nn.init.zeros_(cast(Tensor, module.bias))
    return model


_register = partial(register, authors="LeCun et al.")
_of_1998 = partial(
    _register,
    paper="doi:10.1109/5.726791",
    title="Gradient-based learning applied to document recognition",
    year=1998,
    input=(1, 32, 32),
    decks=("000", "001", "003", "004"),
)


@_register(
    paper="NIPS 1989",
    title="Handwritten digit recognition with a back-propagation network",
    year=1989,
    input=(1, 28, 28),
    params=2_578,
    macs=91_520,
    decks=("000",),
)
def lenet1(classes: int = 10, *, c_in: int = 1, size: int = 28) -> Classifier:
    stages, flat = _body(LENET_1, _classic, c_in=c_in, size=size)
    return lecun_uniform(Classifier(stages=stages, head=_head((flat,), "squash", Squash, nn.Linear(flat, classes))))


@_of_1998(params=60_000, macs=325_680)
def lenet5_1998(classes: int = 10, *, c_in: int = 1, size: int = 32) -> Classifier:
    stages, flat = _body(FIGURE_2, _classic, c_in=c_in, size=size)
    head = _head((flat, C5, F6), "squash", Squash, RadialBasis(F6, classes))
    return lecun_uniform(Classifier(stages=stages, head=head))


@_of_1998(params=61_706, macs=416_520)
def lenet5(classes: int = 10, *, c_in: int = 1, size: int = 32) -> Classifier:
    stages, flat = _body(FIGURE_2, _modern, c_in=c_in, size=size)
    return Classifier(stages=stages, head=_head((flat, C5, F6), "relu", nn.ReLU, nn.Linear(F6, classes)))


@_register(
    paper="arXiv:1408.5093",
    title="Caffe: Convolutional architecture for fast feature embedding",
    authors="Jia et al.",
    year=2014,
    input=(1, 28, 28),
    params=431_080,
    macs=2_293_000,
)
def lenet_caffe(classes: int = 10, *, c_in: int = 1, size: int = 28) -> Classifier:
    stages, flat = _body(CAFFE, _caffe, c_in=c_in, size=size)
    return glorot_uniform(Classifier(stages=stages, head=_head((flat, 500), "relu", nn.ReLU, nn.Linear(500, classes))))
