import pytest
import torch
from torch.nn import functional as F

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import UsageError
from fovea.zoo.cbam import ChannelAttention, SpatialAttention, cbam_bottleneck
from fovea.zoo.resnet import Stage, bottleneck


def test_channels_are_weighed_by_their_mean_and_maximum():
    torch.manual_seed(0)
    attention, x = ChannelAttention(8, 4).double(), torch.randn(2, 8, 3, 5).double()
    first, second = attention.perceptron.reduce, attention.perceptron.expand

    def perceptron(v):
        return (v @ first.weight.T + first.bias).relu() @ second.weight.T + second.bias

    sums = perceptron(x.flatten(2).mean(2)) + perceptron(x.flatten(2).max(2).values)
    torch.testing.assert_close(attention(x), x / (1 + (-sums).exp())[..., None, None])
    assert tuple(first.weight.shape) == (2, 8)


def test_positions_are_weighed_by_the_maximum_and_mean_of_their_channels():
    torch.manual_seed(0)
    attention, x = SpatialAttention(6, 3).double(), torch.randn(2, 6, 5, 5).double()
    maps = torch.stack((x.max(1).values, x.mean(1)), dim=1)
    y = F.conv2d(maps, attention.conv.weight, padding=1)
    y = (y - y.mean()) / (y.var(unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(attention(x), x * y.sigmoid())


def test_channels_come_before_positions_and_both_before_the_sum():
    # Woo et al. 2018, Figure 3
    torch.manual_seed(0)
    stage, x = Stage(4, 32, 1, 2), torch.randn(2, 6, 7, 7)
    chain = cbam_bottleneck(6, stage, stride=2, reduction=16, kernel=7)
    without = bottleneck(6, stage, stride=2)
    own = without.state_dict().keys()
    without.load_state_dict({name: tensor for name, tensor in chain.state_dict().items() if name in own})
    torch.testing.assert_close(chain(x), chain.spatial(chain.channel(without(x))))


def test_it_costs_a_hundred_parameters_a_block_more_than_squeeze_and_excitation():
    # the same perceptron; 2 x 7 x 7 weights and the scale and shift of one map, in 16 blocks
    se, cbam = (registry.entry(name).params for name in ("seresnet50", "cbam_resnet50"))
    assert cbam - se == 16 * (2 * 7 * 7 + 2)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"reduction": 0}, r"`reduction` \(=0\) must be at least 1\."),
        ({"kernel": 4}, r"`kernel` \(=4\) must be odd and at least 1; the paper has 3 and 7\."),
    ],
)
def test_arguments_out_of_range(argument, message):
    with pytest.raises(UsageError, match=message):
        registry.build("cbam_resnet50", **argument)
