import copy
import re

import numpy as np
import pytest
import torch
from torch import nn

from fovea.compression.changes import changed
from fovea.compression.channels import channel_groups, remove
from fovea.errors import UsageError
from fovea.layers import PaddedChannels, PartialConv2d
from fovea.wiring import ChannelShuffle, ChannelSplit, LayerNorm
from tests.support.wirings import built, half, zero


class Adds(nn.Module):
    """x + F(x), and the mean over pixels into a dense layer."""

    def __init__(self):
        super().__init__()
        self.first, self.bn = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.inner, self.back = nn.Conv2d(4, 6, 1), nn.Conv2d(6, 4, 1)
        self.logits = nn.Linear(4, 2)

    def forward(self, x):
        x = torch.relu(self.bn(self.first(x)))
        x = x + self.back(self.inner(x).tanh())
        return self.logits(x.mean((2, 3)))


class Lambda(nn.Module):
    def __init__(self, function, **children):
        super().__init__()
        self.function = function
        for name, child in children.items():
            self.add_module(name, child)

    def forward(self, x):
        return self.function(self, x)


def group_of(model, shape, name):
    return channel_groups(model, shape)[name]


def places(group):
    return {(place.layer, place.side): place.index.tolist() for place in group.places}


def test_maps_that_are_added_are_one_channel_each():
    found = channel_groups(Adds(), (1, 5, 5))
    assert [(group.name, len(group), bool(group.fixed)) for group in found.groups] == [
        ("input", 1, True),
        ("first", 4, False),
        ("inner", 6, False),
        ("logits", 2, True),
    ]
    each = [[0], [1], [2], [3]]
    assert places(found["first"]) == {
        ("first", "out"): each,
        ("bn", "each"): each,
        ("inner", "in"): each,
        ("back", "out"): each,
        ("logits", "in"): each,
    }


def test_flattened_a_channel_stands_at_each_of_its_pixels():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten(), nn.Linear(8, 3))
    assert places(group_of(model, (1, 2, 2), "0"))["2", "in"] == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_a_depthwise_convolution_hands_channels_on_down_to_the_last():
    model = nn.Sequential(nn.Conv2d(1, 3, 1), nn.Conv2d(3, 3, 3, groups=3), nn.Conv2d(3, 1, 1)).eval()
    found = channel_groups(model, (1, 5, 5))
    each = [[0], [1], [2]]
    assert places(found["0"]) == {("0", "out"): each, ("1", "each"): each, ("2", "in"): each}
    changes = remove(model, found, {"0": [2]})
    assert changes[0]["layers"] == {"0": [1, 1, 1], "1": [1, 1, 1], "2": [1, 1, 1]}
    assert model(torch.zeros(1, 1, 5, 5)).shape == (1, 1, 3, 3)


def test_of_several_filters_for_each_channel_equally_many_go():
    model = nn.Sequential(nn.Conv2d(2, 6, 1, groups=2), nn.Conv2d(6, 1, 1))
    assert group_of(model, (2, 5, 5), "0").cells.tolist() == [0, 0, 0, 1, 1, 1]


def test_equally_many_of_each_group_of_a_convolution_must_go():
    model = nn.Sequential(nn.Conv2d(1, 6, 1), nn.Conv2d(6, 4, 1, groups=2), nn.Conv2d(4, 1, 1)).eval()
    found = channel_groups(model, (1, 3, 3))
    assert found["0"].cells.tolist() == [0, 0, 0, 1, 1, 1]
    with pytest.raises(UsageError, match="same number of channels must be removed from each of the 2 cells"):
        remove(model, found, {"0": [0, 1, 3, 4, 5]})
    weight = model[1].weight.detach().clone()
    assert remove(model, found, {"0": [0, 2, 4, 5], "1": [1, 2]})[0]["layers"]["1"] == [4, 2, 2]
    assert torch.equal(model[1].weight, torch.stack([weight[1][[0, 2]], weight[2][[1, 2]]]))


def test_channels_that_a_shuffle_deals_out_come_in_another_order():
    # 6 channels in 2 groups, shuffled: 0 3 1 4 2 5
    def forward(model, x):
        x = model.one(x)
        N, C, H, W = x.shape
        x = x.reshape(N, 2, C // 2, H, W).transpose(1, 2).reshape(N, C, H, W)
        return model.two(model.each(x)).flatten(1)

    layers = {"one": nn.Conv2d(4, 6, 1, groups=2), "each": nn.Conv2d(6, 6, 3, groups=6), "two": nn.Conv2d(6, 1, 1)}
    model = Lambda(forward, **layers).eval()
    found = channel_groups(model, (4, 3, 3))
    group = found["one"]
    assert places(group)["each", "each"] == [[0], [2], [4], [1], [3], [5]]
    zero(model, found, group, np.array([0, 5]))
    x = torch.randn(2, 4, 3, 3)
    with torch.no_grad():
        was, each = model(x), model.each.weight.clone()
        remove(model, found, {"one": [1, 2, 3, 4]})
        # 1 2 | 3 4 shuffled: 1 3 2 4, which stood at places 2 1 4 3
        assert torch.equal(model.each.weight, each[[2, 1, 4, 3]])
        torch.testing.assert_close(model(x), was)


def test_a_shortcut_that_appends_zeros_pads_what_is_left():
    model = built("cifar_resnet20", (3, 32, 32))
    found = channel_groups(model, (3, 32, 32))
    second, third = (f"stage{stage}.block1.residual.conv2" for stage in (2, 3))
    assert [len(found[name]) for name in ("stem.conv", second, third)] == [16, 16, 32]
    # of the 16 new channels 8 come before those of the first stage, 8 behind
    keep = {"stem.conv": [*range(10)], second: [*range(6), 8]}
    change = remove(model, found, keep)[0]
    assert change["layers"]["stage2.block1.shortcut"] == [6, 1]
    assert change["layers"]["stage3.block1.residual.conv1"][:2] == [17, 64]


def test_a_table_of_connections_is_renumbered():
    model = nn.Sequential(nn.Conv2d(1, 3, 1), PartialConv2d([[0, 1], [1, 2], [2]], 1), nn.Conv2d(3, 1, 1)).eval()
    found = channel_groups(model, (1, 2, 2))
    assert remove(model, found, {"0": [0, 2], "1": [1, 2]})[0]["layers"]["1"] == [[1], [1]]
    assert model(torch.zeros(1, 1, 2, 2)).shape == (1, 1, 2, 2)


def test_a_map_that_would_see_none_sees_one_by_weights_of_zero():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), PartialConv2d([[0], [1]], 1), nn.Conv2d(2, 1, 1)).eval()
    remove(model, channel_groups(model, (1, 2, 2)), {"0": [1]})
    assert model[1].sees == [[0], [0]]
    assert (model[1].maps[0].weight == 0).all()


def test_a_scale_on_its_own_belongs_to_its_channels():
    model = Lambda(lambda self, x: self.out(self.scale * self.conv(x)), conv=nn.Conv2d(1, 3, 1), out=nn.Conv2d(3, 1, 1))
    model.scale = nn.Parameter(torch.tensor([1.0, 2, 3]).reshape(3, 1, 1))
    changes = remove(model, channel_groups(model, (1, 2, 2)), {"conv": [0, 2]})
    assert changes[0]["tensors"] == {"scale": [0, 2]}
    assert model.scale.flatten().tolist() == [1, 3]


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda self, x: self.two(self.one(x).softmax(1)), "`softmax`"),
        (lambda self, x: self.two(torch.cat([self.one(x)[:, 1:], x], 1)), "takes some of the channels with `slice`"),
        (lambda self, x: self.two(self.one(x) / self.one(x).mean(1, keepdim=True)), "`mean`"),
        (lambda self, x: self.two(self.one(x).sort(1)[0]), "`sort`"),
        (lambda self, x: self.two((self.one(x).flatten(2) @ x.flatten(2).mT).unsqueeze(3)), "`bmm`"),
        (lambda self, x: self.two(self.one(x).reshape(1, 4, 3, 3)), "shape '\\[1, 4, 3, 3\\]' is invalid"),
        (lambda self, x: self.two(nn.functional.local_response_norm(self.one(x), 3)), "`avg_pool"),
    ],
    ids=["softmax", "slice", "mean", "sort", "product", "fixed size", "neighbours"],
)
def test_what_mixes_or_counts_channels_fixes_them_by_name(function, reason):
    model = Lambda(function, one=nn.Conv2d(1, 4, 1), two=nn.Conv2d(4, 1, 1))
    group = group_of(model, (1, 3, 3), "one")
    assert re.search(reason, group.fixed)
    with pytest.raises(UsageError, match="The channels of `one` cannot be removed"):
        remove(model, channel_groups(model, (1, 3, 3)), {"one": [0]})


def test_a_value_for_all_channels_is_none_of_them():
    # spatial attention: one map, by which all are multiplied
    def forward(self, x):
        x = self.one(x)
        return self.two(x * self.gate(x).sigmoid())

    found = channel_groups(
        Lambda(forward, one=nn.Conv2d(1, 4, 1), gate=nn.Conv2d(4, 1, 1), two=nn.Conv2d(4, 2, 1)), (1, 3, 3)
    )
    assert "uses it for several channels" in found["gate"].fixed
    assert not found["one"].fixed


def test_what_mixes_the_channels_of_one_layer_leaves_those_of_others_free():
    def forward(self, x):
        x = self.two(self.one(x).relu())
        maps = torch.cat((x.amax(1, keepdim=True), x.mean(1, keepdim=True)), 1)
        return self.last(x * self.gate(maps).sigmoid())

    layers = {"one": nn.Conv2d(1, 4, 1), "two": nn.Conv2d(4, 6, 1), "gate": nn.Conv2d(2, 1, 1)}
    model = Lambda(forward, **layers, last=nn.Conv2d(6, 2, 1)).eval()
    found = channel_groups(model, (1, 3, 3))
    assert [group.name for group in found.free] == ["one"]
    assert "mixes them with `amax`" in found["two"].fixed
    assert remove(model, found, {"one": [2]})[0]["layers"] == {"one": [1, 1, 1], "two": [1, 6, 1]}


class Dealt(nn.Module):
    """Half of the channels through a convolution, dealt out with the others, normalised at each pixel; ten logits."""

    def __init__(self):
        super().__init__()
        self.first, self.split, self.shuffle = nn.Conv2d(1, 6, 1), ChannelSplit(2, 4), ChannelShuffle(6, 2)
        self.inner, self.norm, self.logits = nn.Conv2d(4, 4, 1), LayerNorm(6), nn.Linear(6, 10)

    def forward(self, x):
        same, other = self.split(self.first(x))
        x = self.shuffle(torch.cat([same, self.inner(other)], 1)).permute(0, 2, 3, 1)
        return self.logits(self.norm(x)).mean((1, 2))


@torch.no_grad()
def test_what_is_split_dealt_out_and_normalised_together_may_go_all_the_same():
    torch.manual_seed(0)
    model, x = Dealt(), torch.randn(2, 1, 3, 3)
    found = channel_groups(model, (1, 3, 3))
    assert [(group.name, len(group)) for group in found.free] == [("first", 2), ("first#2", 4), ("inner", 4)]
    keep = {"first": [1], "first#2": [0, 3], "inner": [1, 2, 3]}
    for name, stay in keep.items():
        zero(model, found, found[name], np.setdiff1d(np.arange(len(found[name])), stay))
    was = model(x)
    layers = remove(model, found, keep)[0]["layers"]
    # same 0 1 and inner 2 3 4 5 were dealt out as 0 3 1 4 2 5, of which 0 and 2 go: 3 1 4 5
    assert (layers["split"], layers["shuffle"], layers["norm"]) == ([1, 2], [1, 0, 2, 3], [4, 2])
    torch.testing.assert_close(model(x), was)
    again = changed(Dealt(), [{"kind": "channels", "layers": layers}])
    again.load_state_dict(model.state_dict())
    assert torch.equal(again(x), model(x))


def test_weights_that_two_layers_share_are_fixed():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1), nn.Conv2d(2, 1, 1))
    model[2].weight = model[1].weight
    assert "shares its weights" in group_of(model, (1, 2, 2), "1").fixed


def test_zeros_around_maps_and_padded_channels_are_told_apart():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ZeroPad2d(1), PaddedChannels(1, 0), nn.Conv2d(3, 1, 3))
    found = channel_groups(model, (1, 3, 3))
    assert places(found["0"])["3", "in"] == [[1], [2]]
    assert places(found["2"]) == {("2", "pad"): [[0]], ("3", "in"): [[0]]}


@pytest.mark.parametrize(
    ("keep", "reason"),
    [
        ({"nowhere": [0]}, "Unknown group of channels `nowhere`"),
        ({"first": []}, "at least one"),
        ({"first": [0, 0]}, "in order"),
        ({"first": [1, 0]}, "in order"),
        ({"first": [4]}, "from 0 to 3"),
        ({"first": [-1, 0]}, "from 0 to 3"),
        ({"logits": [0]}, "the network's output"),
    ],
)
def test_what_cannot_go_is_refused_and_the_network_stays(keep, reason):
    model = Adds()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(UsageError, match=reason):
        remove(model, channel_groups(model, (1, 5, 5)), keep)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_what_does_not_run_without_values_is_refused():
    model = Lambda(lambda self, x: self.conv(x) if x.sum() > 0 else x, conv=nn.Conv2d(1, 1, 1))
    with pytest.raises(UsageError, match="cannot be traced on the `meta` device"):
        channel_groups(model, (1, 2, 2))


def test_a_plan_on_top_of_a_plan_rebuilds_the_network():
    shape = (3, 32, 32)
    model, changes = built("cifar_resnet20", shape), []
    for seed in (0, 1):
        found = channel_groups(model, shape)
        changes += remove(model, found, {group.name: half(group, seed)[1] for group in found.free})
    again = changed(built("cifar_resnet20", shape), changes)
    again.load_state_dict(model.state_dict())
    x = torch.randn(1, *shape)
    assert torch.equal(again(x), model(x))


class Helped(nn.Module):
    """With a head beside the other that only training asks."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 1)
        self.drop = nn.Dropout(0.5)
        self.head, self.helper = nn.Linear(4, 2), nn.Linear(4, 2)

    def forward(self, x):
        x = self.drop(self.conv(x).mean((2, 3)))
        return (self.head(x), self.helper(x)) if self.training else self.head(x)


def test_a_head_that_only_training_has_loses_what_it_reads():
    model = Helped()
    changes = remove(model, channel_groups(model, (1, 2, 2)), {"conv": [1, 2]})
    assert changes[0]["layers"]["helper"] == [2, 2, 1]
    assert [logits.shape for logits in model.train()(torch.zeros(3, 1, 2, 2))] == [(3, 2), (3, 2)]


@torch.no_grad()
def test_a_transposed_convolution_loses_the_channels_that_silence_would():
    torch.manual_seed(0)
    up = nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2)
    model = nn.Sequential(nn.Conv2d(2, 4, 1), up, nn.ReLU(), nn.ConvTranspose2d(6, 1, 2)).eval()
    found, x = channel_groups(model, (2, 4, 4)), torch.randn(1, 2, 4, 4)
    assert [(group.name, bool(group.fixed)) for group in found.groups[1:]] == [("0", False), ("1", False), ("3", True)]
    # the first of each of its two groups
    small = copy.deepcopy(model)
    changes = remove(small, found, {"0": [1, 3], "1": [1, 2, 4, 5]})
    model[0].weight[[0, 2]] = 0
    model[0].bias[[0, 2]] = 0
    model[3].weight[[0, 3]] = 0
    assert torch.allclose(small(x), model(x), atol=1e-6)
    assert changes[0]["layers"] == {"0": [2, 2, 1], "1": [2, 4, 2], "3": [4, 1, 1]}
