"""Temporal convolutional network: Bai, Kolter and Koltun 2018, arXiv:1803.01271. Block: Figure 1. Sizes: Table 2.

Convolutions that look back only, each level at twice the distance of the one before: after WaveNet (van den Oord et
al. 2016, arXiv:1609.03499), with two convolutions per level, weight norm and shortcuts. A unit sees
1 + 2 (kernel - 1) (2^levels - 1) steps, itself and those before it.

Departures: PyTorch's own initialisation. The authors draw from N(0, 0.01), of which weight norm keeps the direction.
"""

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from fovea.errors import UsageError
from fovea.layers import Classifier
from fovea.registry import register
from fovea.zoo.resnet import Residual


class LastStep(nn.Module):
    """The features of the last step, which was trained on all others: (N, C, T) -> (N, C)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the last step of `x`."""
        return x[..., -1]


def _level(c_in: int, c_out: int, kernel: int, *, dilation: int, dropout: float) -> Residual:
    """Twice zeros before the series, dilated convolution with weight norm, ReLU, dropout; plus the input; ReLU.

    (N, c_in, T) -> (N, c_out, T); step t of the output depends on steps up to t of the input.
    """
    layers: dict[str, nn.Module] = {}
    for i, c in ((1, c_in), (2, c_out)):
        layers |= {
            f"pad{i}": nn.ZeroPad1d(((kernel - 1) * dilation, 0)),
            f"conv{i}": weight_norm(nn.Conv1d(c, c_out, kernel, dilation=dilation)),
            f"relu{i}": nn.ReLU(),
            f"dropout{i}": nn.Dropout1d(dropout),
        }
    shortcut = nn.Identity() if c_in == c_out else nn.Conv1d(c_in, c_out, 1)
    return Residual(nn.Sequential(OrderedDict(layers)), shortcut)


def receptive_field(kernel: int, levels: int) -> int:
    """Return how many steps a unit behind the last level sees.

    >>> receptive_field(7, 8)
    3061
    """
    return 1 + 2 * (kernel - 1) * ((1 << levels) - 1)


# Table 2, sequential MNIST: kernel 7, 8 levels of 25 channels
@register(
    paper="arXiv:1803.01271",
    title="An empirical evaluation of generic convolutional and recurrent networks for sequence modeling",
    authors="Bai et al.",
    year=2018,
    input=(1, 784),
    params=66_910,
    macs=51_607_050,
)
def causal_1d(
    classes: int = 10, *, c_in: int = 1, kernel: int = 7, levels: int = 8, width: int = 25, dropout: float = 0.0
) -> Classifier:
    for name, value in (("kernel", kernel), ("levels", levels), ("width", width)):
        if value < 1:
            raise UsageError(f"`{name}` (={value}) must be at least 1.")
    inputs = (c_in, *[width] * (levels - 1))
    stages = [_level(c, width, kernel, dilation=2**i, dropout=dropout) for i, c in enumerate(inputs)]
    head = OrderedDict({"last": LastStep(), "logits": nn.Linear(width, classes)})
    return Classifier(stages=stages, head=nn.Sequential(head))
