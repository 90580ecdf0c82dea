import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.layers import Classifier
from fovea.zoo.prelu_net import PyramidPooling, he_2015


def on_meta(name):
    with torch.device("meta"):
        return registry.build(name)


@pytest.mark.parametrize(("name", "depth"), [("prelu_net_a", 19), ("prelu_net_b", 22), ("prelu_net_c", 22)])
def test_depth_is_that_of_table_3(name, depth):
    assert sum(isinstance(m, nn.Conv2d | nn.Linear) for m in on_meta(name).modules()) == depth


def test_parameters_of_a_by_hand():
    # weights, biases and slopes: 7x7; five layers each at 56, 28 and 14 pixels; 63 maxima of each map; the classes
    def conv(c_in, c, k=3):
        return c_in * c * k * k + c + c

    stages = conv(96, 256) + 4 * conv(256, 256) + conv(256, 512) + 4 * conv(512, 512) + 5 * conv(512, 512)
    dense = conv(63 * 512, 4096, 1) + conv(4096, 4096, 1) + 4096 * 1000 + 1000
    assert registry.entry("prelu_net_a").params == conv(3, 96, 7) + stages + dense


@pytest.mark.parametrize(("name", "giga"), [("prelu_net_a", 19.0), ("prelu_net_b", 23.2), ("prelu_net_c", 53.0)])
def test_macs_are_within_a_hundredth_those_of_table_3(name, giga):
    assert registry.entry(name).macs / 1e9 == pytest.approx(giga, rel=0.01)


def test_the_last_map_has_14_pixels_a_side():
    model = on_meta("prelu_net_c")
    assert model.features(torch.empty(1, 3, 224, 224, device="meta")).shape == (1, 896, 14, 14)


def test_the_pyramid_takes_maxima_level_by_level():
    x = torch.arange(36.0).reshape(1, 1, 6, 6)
    maxima = PyramidPooling((2, 1))(torch.cat((x, -x), dim=1))
    # 2 x 2 windows of each map, then the whole of each
    assert maxima.tolist() == [[14, 17, 32, 35, 0, -3, -18, -21, 35, 0]]


@pytest.mark.parametrize("size", [1, 5, 14, 20])
def test_the_pyramid_is_as_long_for_every_size(size):
    assert PyramidPooling((7, 3, 2, 1))(torch.ones(2, 4, size, size)).shape == (2, 63 * 4)


def test_slopes_are_one_for_each_channel_and_begin_at_a_quarter():
    slopes = [m for m in on_meta("prelu_net_a").modules() if isinstance(m, nn.PReLU)]
    assert [m.num_parameters for m in slopes] == [96, *[256] * 5, *[512] * 10, 4096, 4096]
    assert {m.init for m in slopes} == {0.25}


def test_hidden_layers_begin_as_in_equation_15():
    # N(0, 2 / ((1 + 0.25^2) fan-in)); a smaller network by the same code
    torch.manual_seed(0)
    layers = [nn.Sequential(nn.Conv2d(64, 64, 3, padding=1), nn.PReLU(64, 0.25))]
    head = nn.Sequential()
    head.add_module("logits", nn.Linear(1, 1))
    model = he_2015(Classifier(stages=layers, head=head))
    std = model.stage1[0].weight.std().item()
    assert std == pytest.approx((2 / (1.0625 * 64 * 9)) ** 0.5, rel=0.02)
    assert not model.stage1[0].bias.any()
