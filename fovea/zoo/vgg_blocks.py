"""The networks of the lectures, made of the blocks of VGG: Simonyan and Zisserman 2014, arXiv:1409.1556, section 2.1.

`vgg_block1` and `vgg_block3`: lecture 000, examples 2a, 2b and (with `dropout=0.2`) 3a, for CIFAR-10.
`fashion_cnn`: lecture 002, the table of `fmnist_cnn.py`, for Fashion-MNIST.

Departures: batch norm has PyTorch's eps and momentum (1e-5, 0.1; the lecture's library: 1e-3, 0.01). Lecture 002 shows
neither initialisation nor dropout rates: He uniform as in 000; 0.25 after each pooling and twice that in the head.
"""

from collections import OrderedDict
from functools import partial

from torch import nn

from fovea.layers import Classifier
from fovea.registry import register
from fovea.shapes import Window, chained

EXAMPLE_2A = (32,)  # channels of each stage; 16 x 16
EXAMPLE_2B = (32, 64, 128)  # 16 x 16, 8 x 8, 4 x 4
FMNIST_CNN = (32, 64)  # 14 x 14, 7 x 7


def _stage(c_in: int, c_out: int, *, batch_norm: bool, dropout: float) -> nn.Sequential:
    """Twice 3x3 convolution, ReLU (, batch norm), then 2x2 max pooling, dropout.

    (N, c_in, H, W) -> (N, c_out, H / 2, W / 2)
    """
    layers: dict[str, nn.Module] = {}
    for i, c in ((1, c_in), (2, c_out)):
        layers |= {f"conv{i}": nn.Conv2d(c, c_out, 3, padding=1), f"relu{i}": nn.ReLU()}
        if batch_norm:
            layers[f"bn{i}"] = nn.BatchNorm2d(c_out)
    layers |= {"pool": nn.MaxPool2d(2), "dropout": nn.Dropout(dropout)}
    return nn.Sequential(OrderedDict(layers))


def _head(c_in: int, width: int, classes: int, *, batch_norm: bool, dropout: float) -> nn.Sequential:
    """Dense layer, ReLU (, batch norm), dropout, logits: (N, C, H, W) with C H W = c_in -> (N, classes)."""
    layers: dict[str, nn.Module] = {"flatten": nn.Flatten(), "dense": nn.Linear(c_in, width), "relu": nn.ReLU()}
    if batch_norm:
        layers["bn"] = nn.BatchNorm1d(width)
    layers |= {"dropout": nn.Dropout(dropout), "logits": nn.Linear(width, classes)}
    return nn.Sequential(OrderedDict(layers))


def he_uniform(model: Classifier) -> Classifier:
    """Draw weights from U(-b, b), b = sqrt(6 / fan-in) (He et al. 2015, arXiv:1502.01852); biases are zero.

    The logits, followed by no ReLU, get Glorot and Bengio's b = sqrt(6 / (fan-in + fan-out)), as in the lecture.
    """
    for name, module in model.named_modules():
        if not isinstance(module, nn.Conv2d | nn.Linear):
            continue
        if name == "head.logits":
            nn.init.xavier_uniform_(module.weight)
        else:
            nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    return model


def _stages(c_in: int, widths: tuple[int, ...], *, batch_norm: bool, dropout: float) -> list[nn.Sequential]:
    inputs = (c_in, *widths)
    return [_stage(a, b, batch_norm=batch_norm, dropout=dropout) for a, b in zip(inputs, widths, strict=False)]


def _flat(size: int, widths: tuple[int, ...]) -> int:
    """Return the length of the flattened last map."""
    pools = [Window(f"stage{i}.pool", 2, stride=2) for i in range(1, len(widths) + 1)]
    return widths[-1] * chained(size, pools) ** 2


def _cifar_net(widths: tuple[int, ...], classes: int, *, c_in: int, size: int, dropout: float) -> Classifier:
    stages = _stages(c_in, widths, batch_norm=False, dropout=dropout)
    head = _head(_flat(size, widths), 128, classes, batch_norm=False, dropout=dropout)
    return he_uniform(Classifier(stages=stages, head=head))


_register = partial(
    register,
    paper="arXiv:1409.1556",
    title="Very deep convolutional networks for large-scale image recognition",
    year=2014,
)


@_register(input=(3, 32, 32), params=1_060_138, macs=11_371_776, decks=("000",))
def vgg_block1(classes: int = 10, *, c_in: int = 3, size: int = 32, dropout: float = 0.0) -> Classifier:
    return _cifar_net(EXAMPLE_2A, classes, c_in=c_in, size=size, dropout=dropout)


@_register(input=(3, 32, 32), params=550_570, macs=38_896_896, decks=("000",))
def vgg_block3(classes: int = 10, *, c_in: int = 3, size: int = 32, dropout: float = 0.0) -> Classifier:
    return _cifar_net(EXAMPLE_2B, classes, c_in=c_in, size=size, dropout=dropout)


@_register(input=(1, 28, 28), params=1_677_674, macs=19_899_904, decks=("002",))
def fashion_cnn(classes: int = 10, *, c_in: int = 1, size: int = 28, dropout: float = 0.25) -> Classifier:
    stages = _stages(c_in, FMNIST_CNN, batch_norm=True, dropout=dropout)
    head = _head(_flat(size, FMNIST_CNN), 512, classes, batch_norm=True, dropout=2 * dropout)
    return he_uniform(Classifier(stages=stages, head=head))
