"""Multilayer perceptron: Rumelhart, Hinton and Williams 1986, doi:10.1038/323533a0; the network without convolutions
that lecture 002 compares its Fashion-MNIST network with (about 88 %).

Departures: ReLU instead of the sigmoid; PyTorch's initialisation. The lecture gives no widths: one layer of 128 units.
`features` returns the units of the last hidden layer, (N, width): a network without convolutions has no map.
"""

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from fovea.errors import UsageError
from fovea.layers import Classifier
from fovea.registry import register


def _stage(c_in: int, width: int) -> nn.Sequential:
    """Dense layer, ReLU: (N, c_in) -> (N, width)."""
    return nn.Sequential(OrderedDict({"dense": nn.Linear(c_in, width), "relu": nn.ReLU()}))


@register(
    paper="doi:10.1038/323533a0",
    title="Learning representations by back-propagating errors",
    year=1986,
    input=(1, 28, 28),
    params=101_770,
    macs=101_632,
)
def mlp(classes: int = 10, *, c_in: int = 1, size: int = 28, widths: Sequence[int] = (128,)) -> Classifier:
    if not all(type(width) is int and width >= 1 for width in widths):
        raise UsageError(f"`widths` (={list(widths)}) must be integers of at least 1.")
    units = (c_in * size**2, *widths)  # the pixels of a flattened image, then the hidden layers
    stages = [_stage(a, b) for a, b in zip(units, units[1:], strict=False)]
    head = nn.Sequential(OrderedDict({"logits": nn.Linear(units[-1], classes)}))
    return Classifier(stem=nn.Flatten(), stages=stages, head=head)
