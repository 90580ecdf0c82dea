"""Networks for time series: Wang, Yan and Oates 2016, arXiv:1611.06455. Figure 1(b) and (c), section III.

Departures: what the paper leaves open follows the authors' code: Glorot uniform initialisation, no ReLU before the
addition of a shortcut, which is a 1x1 convolution with batch norm where channels change, else batch norm alone. The
batch norm that this code has before the first convolution of `resnet_1d` is left out: series come normalised.
"""

from collections import OrderedDict
from functools import partial

from torch import nn

from fovea.layers import Classifier, Convolution
from fovea.registry import register
from fovea.zoo.resnet import Residual

KERNELS = (8, 5, 3)  # of the convolutions of the FCN, and of each residual block
FCN = (128, 256, 128)  # channels of its convolutions; the length stays the same
RESNET = (64, 128, 128)  # channels of each residual block


def _convolution(c_in: int, c_out: int, kernel: int, number: str = "") -> dict[str, nn.Module]:
    """Return zero padding, convolution, batch norm, ReLU (equation 2): (N, c_in, T) -> (N, c_out, T)."""
    # an even kernel gets one zero more behind the series, as the authors' library pads
    return {
        f"pad{number}": nn.ZeroPad1d(((kernel - 1) // 2, kernel // 2)),
        f"conv{number}": nn.Conv1d(c_in, c_out, kernel),
        f"bn{number}": nn.BatchNorm1d(c_out),
        f"relu{number}": nn.ReLU(),
    }


def _residual(c_in: int, c_out: int) -> Residual:
    """ReLU(three convolutions + shortcut), equation 3: (N, c_in, T) -> (N, c_out, T)."""
    layers: dict[str, nn.Module] = {}
    for i, kernel in enumerate(KERNELS, start=1):
        layers |= _convolution(c_in if i == 1 else c_out, c_out, kernel, str(i))
    del layers[f"relu{len(KERNELS)}"]  # it stands behind the addition
    shortcut: dict[str, nn.Module] = {} if c_in == c_out else {"conv": nn.Conv1d(c_in, c_out, 1)}
    shortcut["bn"] = nn.BatchNorm1d(c_out)
    return Residual(nn.Sequential(OrderedDict(layers)), nn.Sequential(OrderedDict(shortcut)))


def head(c_in: int, classes: int) -> nn.Sequential:
    """Global average pooling, logits: (N, c_in, T) -> (N, classes)."""
    layers = {"pool": nn.AdaptiveAvgPool1d(1), "flatten": nn.Flatten(), "logits": nn.Linear(c_in, classes)}
    return nn.Sequential(OrderedDict(layers))


def glorot_uniform(model: Classifier) -> Classifier:
    """Draw weights from U(-b, b), b = sqrt(6 / (fan-in + fan-out)) (Glorot and Bengio 2010); biases are zero."""
    for module in model.modules():
        if isinstance(module, Convolution | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return model


_register = partial(
    register,
    paper="arXiv:1611.06455",
    title="Time series classification from scratch with deep neural networks: a strong baseline",
    authors="Wang et al.",
    year=2016,
    input=(1, 150),  # GunPoint, one of the paper's 44 data sets
)


@_register(params=264_962, macs=39_475_456)
def fcn_1d(classes: int = 2, *, c_in: int = 1) -> Classifier:
    inputs = (c_in, *FCN)
    rows = zip(inputs, FCN, KERNELS, strict=False)
    stages = [nn.Sequential(OrderedDict(_convolution(a, b, kernel))) for a, b, kernel in rows]
    return glorot_uniform(Classifier(stages=stages, head=head(FCN[-1], classes)))


@_register(params=504_258, macs=75_043_456)
def resnet_1d(classes: int = 2, *, c_in: int = 1) -> Classifier:
    inputs = (c_in, *RESNET)
    stages = [_residual(a, b) for a, b in zip(inputs, RESNET, strict=False)]
    return glorot_uniform(Classifier(stages=stages, head=head(RESNET[-1], classes)))
