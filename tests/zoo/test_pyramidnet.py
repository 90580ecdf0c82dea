import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.zoo.pyramidnet import Pyramidal, widths


def bn(x):
    mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), keepdim=True, unbiased=False)
    return (x - mean) / (var + 1e-5).sqrt()


def branch(x, chain, stride):
    y = bn(F.conv2d(bn(x), chain.conv1.weight)).relu()
    y = bn(F.conv2d(y, chain.conv2.weight, stride=stride, padding=1)).relu()
    return bn(F.conv2d(y, chain.conv3.weight))


def test_channels_of_the_first_and_last_blocks():
    # equation 2 with 300 / 66 = 4.545 more channels each: 68.5, 73.1, 77.6, 82.2 ... 359.5, 364
    made = list(widths(300, 66))
    assert (made[:4], made[-2:]) == ([69, 73, 78, 82], [359, 364])
    assert list(widths(6, 3)) == [66, 68, 70]


@pytest.mark.parametrize(("name", "c"), [("pyramidnet200_300", 1456), ("pyramidnet200_450", 2056)])
def test_the_last_map_has_the_channels_of_the_table(name, c):
    with torch.device("meta"):
        model = registry.build(name)
        assert model.features(torch.empty(1, 3, 224, 224)).shape == (1, c, 7, 7)
    assert [type(m) for m in model.stage4[-2:]] == [nn.BatchNorm2d, nn.ReLU]


@pytest.mark.parametrize(("name", "millions"), [("pyramidnet200_300", "62.1"), ("pyramidnet200_450", "116.4")])
def test_weights_are_those_the_authors_print(name, millions):
    # their table of ImageNet, which leaves out batch norms; with D rounded down they would be 61.9 and 116.1
    with torch.device("meta"):
        model = registry.build(name)
    norms = sum(p.numel() for m in model.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters())
    assert f"{(registry.entry(name).params - norms) / 1e6:.1f}" == millions


def test_the_network_has_200_layers_and_no_projections():
    with torch.device("meta"):
        model = registry.build("pyramidnet200_300")
    assert sum(isinstance(m, nn.Conv2d | nn.Linear) for m in model.modules()) == 200


def test_new_channels_are_zeros_in_the_shortcut():
    torch.manual_seed(0)
    block, x = Pyramidal(5, 2, stride=1).double(), torch.randn(4, 5, 6, 6).double()
    expected = branch(x, block.residual, 1)
    expected[:, :5] += x
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize("size", [6, 7])
def test_the_shortcut_of_a_halved_map_is_the_mean_of_windows(size):
    torch.manual_seed(0)
    block, x = Pyramidal(5, 2, stride=2).double(), torch.randn(4, 5, size, size).double()
    expected = branch(x, block.residual, 2)
    expected[:, :5] += F.avg_pool2d(x, 2, ceil_mode=True)
    torch.testing.assert_close(block(x), expected)


def test_only_the_wider_network_has_dropout():
    with torch.device("meta"):
        models = [registry.build(f"pyramidnet200_{alpha}") for alpha in (300, 450)]
    assert [model.head.dropout.p for model in models] == [0.0, 0.5]
