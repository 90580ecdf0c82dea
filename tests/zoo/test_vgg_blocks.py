import math

import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import ShapeError, UsageError


def kinds(module: nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in module]


def test_a_block_is_two_convolutions_with_relu_then_pooling_and_dropout():
    model = registry.build("vgg_block3")
    block = ["Conv2d", "ReLU", "Conv2d", "ReLU", "MaxPool2d", "Dropout"]
    assert [kinds(model.stage1), kinds(model.stage2), kinds(model.stage3)] == [block] * 3
    assert kinds(model.head) == ["Flatten", "Linear", "ReLU", "Dropout", "Linear"]
    assert model.features(torch.zeros(1, 3, 32, 32)).shape == (1, 128, 4, 4)


def test_the_fashion_network_normalises_after_each_relu():
    model = registry.build("fashion_cnn")
    block = ["Conv2d", "ReLU", "BatchNorm2d", "Conv2d", "ReLU", "BatchNorm2d", "MaxPool2d", "Dropout"]
    assert [kinds(model.stage1), kinds(model.stage2)] == [block] * 2
    assert kinds(model.head) == ["Flatten", "Linear", "ReLU", "BatchNorm1d", "Dropout", "Linear"]
    assert model.features(torch.zeros(1, 1, 28, 28)).shape == (1, 64, 7, 7)


@pytest.mark.parametrize(
    ("name", "arguments", "rates"),
    [
        ("vgg_block1", {}, [0.0, 0.0]),
        ("vgg_block3", {"dropout": 0.2}, [0.2, 0.2, 0.2, 0.2]),  # lecture 000, example 3a
        ("fashion_cnn", {}, [0.25, 0.25, 0.5]),
        ("fashion_cnn", {"dropout": 0}, [0.0, 0.0, 0.0]),
    ],
)
def test_dropout_rates_in_order(name, arguments, rates):
    model = registry.build(name, **arguments)
    assert [m.p for m in model.modules() if isinstance(m, nn.Dropout)] == rates


def test_weights_are_he_uniform_and_logits_glorot_uniform():
    torch.manual_seed(0)
    model = registry.build("vgg_block3")
    for layer, bound in (
        (model.stage2.conv2, math.sqrt(6 / (9 * 64))),
        (model.head.dense, math.sqrt(6 / 2048)),
        (model.head.logits, math.sqrt(6 / (128 + 10))),
    ):
        assert layer.weight.abs().max() <= bound
        assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.03)
        assert not layer.bias.any()


@pytest.mark.parametrize(("name", "smallest"), [("vgg_block1", 2), ("vgg_block3", 8), ("fashion_cnn", 4)])
def test_too_small_an_input_is_told_the_smallest(name, smallest):
    registry.build(name, size=smallest)
    with pytest.raises(ShapeError, match=rf"pool` \(2x2\) does not fit.*must be at least {smallest}\."):
        registry.build(name, size=smallest - 1)


@pytest.mark.parametrize("name", ["vgg_block1", "fashion_cnn"])
def test_a_dropout_rate_is_a_probability(name):
    with pytest.raises(UsageError, match=r"^`dropout` \(=1\.5\) must be from 0 \(none\) to 1; the default is 0"):
        registry.build(name, dropout=1.5)
