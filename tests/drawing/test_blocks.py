"""A pass as blocks in space: every layer in its order, stages of deep networks, bright where maps are active."""

import numpy as np
import pytest
import torch
from torch import nn

from fovea.drawing.blocks import MAPS, MOST_BLOCKS, groups_of, scene
from fovea.errors import UsageError
from fovea.explanation.units.layers import Layers
from fovea.explanation.units.tape import record


def layers_of(model, x):
    return Layers(record(model, x))


class Deep(nn.Module):
    """Three stages of ten layers."""

    def __init__(self):
        super().__init__()
        for stage in ("stem", "stage1", "head"):
            setattr(self, stage, nn.Sequential(*[nn.Tanh() for _ in range(10)]))

    def forward(self, x):
        return self.head(self.stage1(self.stem(x)))


def weighted(*weights):
    """A convolution of one pixel whose maps are the image times each weight."""
    layer = nn.Conv2d(1, len(weights), 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weights).view(-1, 1, 1, 1))
    return layer


def test_each_layer_is_a_block_in_its_order():
    shown = scene(layers_of(nn.Sequential(weighted(1.0, 2.0), nn.Flatten(), nn.Linear(32, 5)), torch.ones(1, 1, 4, 4)))
    assert [block["shape"] for block in shown.blocks] == [[1, 4, 4], [2, 4, 4], [1, 1, 5]]
    assert [block["layer"] for block in shown.blocks] == [0, 1, 2]
    assert {block["group"] for block in shown.blocks} == {-1}


def test_the_most_active_maps_are_shown_and_bright():
    weights = [0.0] * 20
    weights[3], weights[17] = 1.0, -4.0
    block = scene(layers_of(weighted(*weights), torch.ones(1, 1, 4, 4)))
    shown = block.blocks[1]
    assert len(shown["channels"]) == MAPS and {3, 17} <= set(shown["channels"])
    assert shown["channels"] == sorted(shown["channels"])
    sheet = np.asarray(block.sheet).astype(int)
    bright = {}
    for channel, (x, y, width, height) in zip(shown["channels"], shown["places"], strict=True):
        bright[channel] = sheet[y : y + height, x : x + width].sum() / (width * height)
    assert bright[17] > bright[3] > max(value for channel, value in bright.items() if channel not in (3, 17))


def test_layers_of_a_deep_network_are_grouped_by_stage_and_a_group_opens():
    layers = layers_of(Deep(), torch.ones(1, 1, 4, 4))
    assert len(layers.all) > MOST_BLOCKS
    assert [(group.name, len(group.layers)) for group in groups_of(layers.all)] == [
        *(("input", 1), ("stem", 10)),
        *(("stage1", 10), ("head", 10)),
    ]
    assert [block["title"] for block in scene(layers).blocks][1:3] == ["stem, 10 layers", "stage1, 10 layers"]
    assert [block["layer"] for block in scene(layers, 2).blocks] == list(range(11, 21))


def test_more_stages_than_blocks_are_joined():
    layers = layers_of(nn.Sequential(*[nn.Tanh() for _ in range(60)]), torch.ones(1, 1, 4, 4))
    groups = groups_of(layers.all)
    assert len(groups) <= MOST_BLOCKS
    assert [layer.number for group in groups for layer in group.layers] == list(range(61))


def test_a_group_that_is_not_there_is_refused():
    with pytest.raises(UsageError, match="no group 9"):
        scene(layers_of(nn.Sequential(nn.Tanh()), torch.ones(1, 1, 4, 4)), 9)
