"""ResNet on CIFAR-10: He, Zhang, Ren and Sun 2015, arXiv:1512.03385. Stages: section 4.2. Blocks: Figure 5, left.

Departures: those of `resnet.py`.
"""

from collections import OrderedDict
from functools import partial

from torch import nn

from fovea.layers import Classifier
from fovea.registry import Peer, register
from fovea.zoo.resnet import Block, Stage, basic, he_normal, head, plain, residual, rules, stages


def section_4_2(layers: int) -> tuple[Stage, ...]:
    """Return the stages of the CIFAR network of 6n + 2 layers: maps of 32 x 32, 16 x 16 and 8 x 8."""
    n = (layers - 2) // 6  # three stages of n blocks of two convolutions; the stem and the logits are the other 2
    return (Stage(16, 16, n, 1), Stage(32, 32, n, 2), Stage(64, 64, n, 2))


def _resnet(layers: int, block: Block, *, classes: int, c_in: int) -> Classifier:
    stem = {"conv": nn.Conv2d(c_in, 16, 3, padding=1, bias=False), "bn": nn.BatchNorm2d(16), "relu": nn.ReLU()}
    body = stages(16, section_4_2(layers), block)
    return he_normal(Classifier(stem=nn.Sequential(OrderedDict(stem)), stages=body, head=head(64, classes)))


def _peer(layers: int) -> dict[str, Peer]:
    """Return the network in Y. Idelbayev's implementation, whose weights for CIFAR-10 are published with it."""
    # saved from nn.DataParallel, which puts `module.` before every name
    names = ((r"^module\.", ""), *rules((layers - 2) // 6))
    return {"akamaster": Peer(f"resnet{layers}", names, licence="BSD-2-Clause (akamaster)")}


_register = partial(
    register,
    paper="arXiv:1512.03385",
    title="Deep residual learning for image recognition",
    authors="He et al.",
    year=2015,
    input=(3, 32, 32),
)


@_register(params=269_722, macs=40_551_040, decks=("001",))
def cifar_plain20(classes: int = 10, *, c_in: int = 3) -> Classifier:
    return _resnet(20, plain, classes=classes, c_in=c_in)


@_register(params=464_154, macs=68_862_592)
def cifar_plain32(classes: int = 10, *, c_in: int = 3) -> Classifier:
    return _resnet(32, plain, classes=classes, c_in=c_in)


@_register(params=658_586, macs=97_174_144)
def cifar_plain44(classes: int = 10, *, c_in: int = 3) -> Classifier:
    return _resnet(44, plain, classes=classes, c_in=c_in)


@_register(params=853_018, macs=125_485_696, decks=("001",))
def cifar_plain56(classes: int = 10, *, c_in: int = 3) -> Classifier:
    return _resnet(56, plain, classes=classes, c_in=c_in)


# Shortcut A: section 4.2 has no projections, so that the network has exactly the parameters of the plain one.
@_register(params=269_722, macs=40_551_040, peers=_peer(20))
def cifar_resnet20(classes: int = 10, *, c_in: int = 3, shortcut: str = "A") -> Classifier:
    return _resnet(20, residual(basic, shortcut), classes=classes, c_in=c_in)


@_register(params=464_154, macs=68_862_592, peers=_peer(32))
def cifar_resnet32(classes: int = 10, *, c_in: int = 3, shortcut: str = "A") -> Classifier:
    return _resnet(32, residual(basic, shortcut), classes=classes, c_in=c_in)


@_register(params=658_586, macs=97_174_144, peers=_peer(44))
def cifar_resnet44(classes: int = 10, *, c_in: int = 3, shortcut: str = "A") -> Classifier:
    return _resnet(44, residual(basic, shortcut), classes=classes, c_in=c_in)


@_register(params=853_018, macs=125_485_696, peers=_peer(56))
def cifar_resnet56(classes: int = 10, *, c_in: int = 3, shortcut: str = "A") -> Classifier:
    return _resnet(56, residual(basic, shortcut), classes=classes, c_in=c_in)


@_register(params=1_727_962, macs=252_887_680, peers=_peer(110))
def cifar_resnet110(classes: int = 10, *, c_in: int = 3, shortcut: str = "A") -> Classifier:
    return _resnet(110, residual(basic, shortcut), classes=classes, c_in=c_in)


@_register(params=19_421_274, macs=2_829_238_912, peers=_peer(1202))
def cifar_resnet1202(classes: int = 10, *, c_in: int = 3, shortcut: str = "A") -> Classifier:
    return _resnet(1202, residual(basic, shortcut), classes=classes, c_in=c_in)
