import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry


def on_meta(name, **arguments):
    with torch.device("meta"):
        return registry.build(name, **arguments)


def test_layers_are_those_of_the_demo():
    # 16 filters of 5x5x3, 20 of 5x5x16, 20 of 5x5x20, each with a bias; 10 outputs of 4x4x20
    layers = [m for m in on_meta("cifar_convnetjs").modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert [sum(p.numel() for p in layer.parameters()) for layer in layers] == [1_216, 8_020, 10_020, 3_210]


def test_each_stage_halves_the_map():
    model, x = on_meta("cifar_convnetjs"), torch.empty(1, 3, 32, 32, device="meta")
    assert model.features(x).shape == (1, 20, 4, 4)
    assert [type(m).__name__ for m in model.stage1] == ["Conv2d", "ReLU", "MaxPool2d"]


def test_weights_have_variance_one_over_the_fan_in_and_biases_before_a_relu_are_positive():
    torch.manual_seed(0)
    model = registry.build("cifar_convnetjs", classes=100)
    for layer, bias in ((model.stage2.conv, 0.1), (model.stage3.conv, 0.1), (model.head.logits, 0.0)):
        fan_in = layer.weight[0].numel()
        assert layer.weight.std().item() == pytest.approx(fan_in**-0.5, rel=0.05)
        assert layer.bias.unique().tolist() == pytest.approx([bias])
