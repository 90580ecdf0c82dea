import pytest
import torch
from torch import nn

from fovea.errors import ShapeError
from fovea.layers import channel_shuffle
from fovea.wiring import ChannelShuffle, ChannelSplit, LayerNorm


def test_a_split_hands_on_the_first_channels_and_the_rest():
    x = torch.arange(10).reshape(1, 5, 2)
    first, rest = ChannelSplit(2, 3)(x)
    assert torch.equal(first, x[:, :2])
    assert torch.equal(rest, x[:, 2:])


def test_a_shuffle_deals_out_group_by_group_and_then_as_it_is_told():
    shuffle, x = ChannelShuffle(6, 2), torch.arange(6).reshape(1, 6, 1, 1)
    assert shuffle.order == [0, 3, 1, 4, 2, 5]
    assert torch.equal(shuffle(x), channel_shuffle(x, 2))
    shuffle.order = [2, 0, 1]
    assert shuffle(x[:, :3]).flatten().tolist() == [2, 0, 1]
    with pytest.raises(ShapeError, match="must divide the channels"):
        ChannelShuffle(5, 2)


def test_layer_norm_is_pytorchs_while_nothing_is_gone():
    torch.manual_seed(0)
    norm, x = LayerNorm(5), torch.randn(3, 5)
    assert torch.equal(norm(x), nn.functional.layer_norm(x, (5,), norm.weight, norm.bias))


def test_channels_that_are_gone_count_as_zeros_in_a_layer_norm():
    torch.manual_seed(0)
    norm, x = LayerNorm(3, eps=1e-3), torch.randn(4, 3)
    whole = nn.functional.layer_norm(nn.functional.pad(x, (0, 2)), (5,), eps=1e-3)
    norm.absent = 2
    torch.testing.assert_close(norm(x), whole[:, :3])
