import copy
import re

import pytest
import torch
from torch import nn

from fovea.compression.resizing import resizing_of
from fovea.layers import InstanceNorm2d, PaddedChannels, PartialConv2d, PredefinedSparseConv2d
from fovea.wiring import ChannelShuffle, ChannelSplit, LayerNorm

KINDS = [
    # layer, its size, what stays, the size of what is left
    (nn.Conv2d(4, 6, 3), [4, 6, 1], {"in": [0, 3], "out": [1, 2, 5]}, [2, 3, 1]),
    (nn.Conv1d(4, 6, 3, groups=2), [4, 6, 2], {"in": [1, 2], "out": [0, 1, 3, 5]}, [2, 4, 2]),
    (nn.Conv3d(4, 4, 1, groups=4, bias=False), [4, 4, 4], {"each": [0, 2, 3]}, [3, 3, 3]),
    (nn.ConvTranspose2d(4, 6, 3, groups=2), [4, 6, 2], {"in": [1, 2], "out": [0, 1, 3, 5]}, [2, 4, 2]),
    (nn.ConvTranspose1d(4, 4, 2, groups=4), [4, 4, 4], {"each": [0, 2, 3]}, [3, 3, 3]),
    (nn.Linear(4, 3), [4, 3, 1], {"in": [2]}, [1, 3, 1]),
    (nn.BatchNorm1d(4), [4], {"each": [1, 3]}, [2]),
    (nn.BatchNorm2d(4, affine=False), [4], {"each": [1]}, [1]),
    (nn.InstanceNorm2d(4), [4], {"each": [1, 3]}, [2]),
    (InstanceNorm2d(4, affine=True), [4], {"each": [1, 3]}, [2]),
    (nn.PReLU(4), [4], {"each": [1, 3]}, [2]),
    (PaddedChannels(2, 3), [2, 3], {"pad": [1, 2]}, [1, 1]),
    (ChannelSplit(2, 3), [2, 3], {"each": [0, 3, 4]}, [1, 2]),
    (ChannelShuffle(6, 2), [0, 3, 1, 4, 2, 5], {"each": [1, 2, 3]}, [2, 0, 1]),
    (LayerNorm(4), [4, 0], {"each": [1, 3]}, [2, 2]),
    (
        PartialConv2d([[0, 1], [1, 2], [0, 2]], 3),
        [[0, 1], [1, 2], [0, 2]],
        {"in": [1, 2], "out": [1, 2]},
        [[0, 1], [1]],
    ),
]
IDS = [type(layer).__name__ + str(i) for i, (layer, *_) in enumerate(KINDS)]


@pytest.mark.parametrize(("layer", "size", "kept", "left"), KINDS, ids=IDS)
def test_a_layer_takes_fewer_channels_and_a_plan_gives_it_the_same_shapes(layer, size, kept, left):
    resizing = resizing_of(layer)
    assert resizing.numbers(layer) == size
    sliced, planned = copy.deepcopy(layer), copy.deepcopy(layer)
    resizing.slice(sliced, kept)
    assert resizing.numbers(sliced) == left
    resizing.resize(planned, left)
    shapes = [{name: tensor.shape for name, tensor in one.state_dict().items()} for one in (sliced, planned)]
    assert shapes[0] == shapes[1]
    assert repr(sliced) == repr(planned)


def test_what_is_left_keeps_its_values_and_whether_it_learns():
    conv = nn.Conv2d(3, 4, 1)
    conv.bias.requires_grad_(False)
    weight, bias = conv.weight.detach().clone(), conv.bias.clone()
    resizing_of(conv).slice(conv, {"in": [2, 0], "out": [3, 1]})
    assert torch.equal(conv.weight, weight[[3, 1]][:, [2, 0]])
    assert torch.equal(conv.bias, bias[[3, 1]])
    assert (conv.weight.requires_grad, conv.bias.requires_grad) == (True, False)


def test_what_is_left_of_a_transposed_convolution_keeps_its_values():
    conv = nn.ConvTranspose2d(4, 6, 3, groups=2)
    weight, bias = conv.weight.detach().clone(), conv.bias.clone()
    resizing_of(conv).slice(conv, {"in": [1, 2], "out": [1, 2, 3, 5]})
    # outputs 0, 1, 2 read inputs 0, 1; outputs 3, 4, 5 read 2, 3
    assert torch.equal(conv.weight, torch.stack([weight[1, [1, 2]], weight[2, [0, 2]]]))
    assert torch.equal(conv.bias, bias[[1, 2, 3, 5]])


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_what_is_left_keeps_its_memory_layout(layout):
    conv = nn.Conv2d(3, 4, 3).to(memory_format=layout)
    resizing_of(conv).slice(conv, {"in": [2, 0], "out": [3, 1]})
    assert conv.weight.is_contiguous(memory_format=layout)


@pytest.mark.parametrize(
    ("layer", "numbers", "rule"),
    [
        (ChannelSplit(2, 3), [2], "it has [first, rest]"),
        (ChannelSplit(2, 3), [3, 1], "from 1 to 2"),
        (ChannelSplit(2, 3), [0, 3], "from 1 to 2"),
        (ChannelShuffle(4, 2), [0, 1, 2, 3, 4], "from 1 to 4"),
        (ChannelShuffle(4, 2), [0, 0], "each place from 0 to 1 once"),
        (ChannelShuffle(4, 2), [-1, 0], "each place from 0 to 1 once"),
        (LayerNorm(4), [2, 1], "4 together"),
        (LayerNorm(4), [5, -1], "from 1 to 4"),
        (LayerNorm(4), [0, 4], "from 1 to 4"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else str(value),
)
def test_a_plan_that_cannot_be_is_refused(layer, numbers, rule):
    with pytest.raises(ValueError, match=re.escape(rule)):
        resizing_of(layer).resize(copy.deepcopy(layer), numbers)


def test_a_part_without_channels_is_refused():
    with pytest.raises(ValueError, match="no channel left"):
        resizing_of(ChannelSplit(2, 3)).slice(ChannelSplit(2, 3), {"each": [2, 4]})


@pytest.mark.parametrize(
    "layer",
    [
        nn.ReLU(),
        nn.PReLU(),
        nn.LayerNorm(3),
        PredefinedSparseConv2d(2, 2, 3, support=1, period=1),
        nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 2, 1)),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_others_are_not_known(layer):
    assert resizing_of(layer) is None
