"""ConvNetJS's network for CIFAR-10: Karpathy 2014, the demo that lectures 001, 003 and 004 run in a browser.

Source: https://cs.stanford.edu/people/karpathy/convnetjs/demo/cifar10.html; it is not a paper, and prints no table. Its
training there: Adadelta with batches of 4 and an L2 penalty of 0.0001, flips, and shifts of up to 2 pixels.

Departures: none.
"""

from collections import OrderedDict

from torch import nn

from fovea.layers import Classifier
from fovea.registry import register
from fovea.shapes import Window, chained

KERNEL = 5
FILTERS = (16, 20, 20)  # of each convolution; 16 x 16, 8 x 8 and 4 x 4 after its pooling


def _stage(c_in: int, c_out: int) -> nn.Sequential:
    """5x5, ReLU, 2x2 max pooling: (N, c_in, H, W) -> (N, c_out, H / 2, W / 2)."""
    layers = {
        "conv": nn.Conv2d(c_in, c_out, KERNEL, padding=KERNEL // 2),
        "relu": nn.ReLU(),
        "pool": nn.MaxPool2d(2),
    }
    return nn.Sequential(OrderedDict(layers))


def normal(model: Classifier) -> Classifier:
    """Draw weights from N(0, 1 / fan-in); biases are 0.1 before a ReLU, else 0: as that library does."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
            if module.bias is not None:
                nn.init.constant_(module.bias, 0.1 if isinstance(module, nn.Conv2d) else 0.0)
    return model


@register(
    paper="https://cs.stanford.edu/people/karpathy/convnetjs/",
    title="ConvNetJS: deep learning in your browser",
    authors="Karpathy",
    year=2014,
    input=(3, 32, 32),
    params=22_466,
    macs=3_920_000,
    decks=("001", "003", "004"),
)
def cifar_convnetjs(classes: int = 10, *, c_in: int = 3, size: int = 32) -> Classifier:
    side = chained(size, [Window(f"stage{i}.pool", 2, stride=2) for i in range(1, len(FILTERS) + 1)])
    stages = [_stage(a, b) for a, b in zip((c_in, *FILTERS), FILTERS, strict=False)]
    head = {"flatten": nn.Flatten(), "logits": nn.Linear(FILTERS[-1] * side**2, classes)}
    return normal(Classifier(stages=stages, head=nn.Sequential(OrderedDict(head))))
