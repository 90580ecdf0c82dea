"""Networks with zeros fixed before training: Kundu, Nazemi, Pedram, Chugg and Beerel 2020, arXiv:2001.10710.

"Pre-defined sparsity for low-complexity convolutional neural networks": ResNet-18 and VGG-16 for CIFAR-10 whose 3x3
kernels keep a few places each, in patterns that repeat within and across filters. `dense` of every `period` kernels
keep all, as the paper's boosting does. Lecture 002 shows its Figure 11.

Departures: which places a pattern has is drawn from `pattern_seed`; the paper prints its own only as figures. The first
convolution and the 1x1 ones are dense. The parameters of the card count the zeros; `fovea measure` says both.
"""

from collections import OrderedDict
from functools import partial

from torch import nn

from fovea.errors import UsageError
from fovea.layers import Classifier, predefine_zeros
from fovea.registry import register
from fovea.zoo.resnet import TABLE_1, basic, he_normal, head, residual, stages
from fovea.zoo.vgg import CHANNELS
from fovea.zoo.vgg import TABLE_1 as VGG_TABLE_1


def _thinned(model: Classifier, *, support: int, period: int, dense: int, pattern_seed: int) -> Classifier:
    """Return the network, its weights drawn by He's rule, with zeros in its kernels."""
    if pattern_seed < 0:
        raise UsageError(f"`pattern_seed` (={pattern_seed}) must be 0 or more.")
    he_normal(model)
    predefine_zeros(model, support=support, period=period, dense=dense, seed=pattern_seed)
    return model


def _vgg_stage(c_in: int, c_out: int, convolutions: int) -> nn.Sequential:
    """Convolutions 3x3 with BN and ReLU, then 2x2 max pooling: (N, c_in, H, W) -> (N, c_out, H / 2, W / 2)."""
    layers: dict[str, nn.Module] = {}
    for i in range(1, convolutions + 1):
        layers[f"conv{i}"] = nn.Conv2d(c_in if i == 1 else c_out, c_out, 3, padding=1, bias=False)
        layers |= {f"bn{i}": nn.BatchNorm2d(c_out), f"relu{i}": nn.ReLU()}
    return nn.Sequential(OrderedDict({**layers, "pool": nn.MaxPool2d(2, ceil_mode=True)}))


_register = partial(
    register,
    paper="arXiv:2001.10710",
    title="Pre-defined sparsity for low-complexity convolutional neural networks",
    authors="Kundu et al.",
    year=2020,
    input=(3, 32, 32),
    decks=("002",),
)


@_register(params=11_173_962, macs=555_422_720)
def cifar_sparse_resnet18(
    classes: int = 10, *, c_in: int = 3, support: int = 4, period: int = 9, dense: int = 0, pattern_seed: int = 0
) -> Classifier:
    stem = OrderedDict[str, nn.Module](
        conv=nn.Conv2d(c_in, 64, 3, padding=1, bias=False), bn=nn.BatchNorm2d(64), relu=nn.ReLU()
    )
    body = stages(64, TABLE_1[18], residual(basic))
    model = Classifier(stem=nn.Sequential(stem), stages=body, head=head(512, classes))
    return _thinned(model, support=support, period=period, dense=dense, pattern_seed=pattern_seed)


@_register(params=14_724_042, macs=313_201_664)
def cifar_sparse_vgg16(
    classes: int = 10, *, c_in: int = 3, support: int = 4, period: int = 9, dense: int = 0, pattern_seed: int = 0
) -> Classifier:
    counts = [len(kernels) for kernels in VGG_TABLE_1["D"].k]
    body = [_vgg_stage(a, b, n) for a, b, n in zip((c_in, *CHANNELS), CHANNELS, counts, strict=False)]
    model = Classifier(stages=body, head=head(CHANNELS[-1], classes))
    return _thinned(model, support=support, period=period, dense=dense, pattern_seed=pattern_seed)
