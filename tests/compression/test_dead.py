import copy

import pytest
import torch
from torch import nn

from fovea.compression.changes import changed
from fovea.compression.dead import remove_dead
from fovea.compression.fold import fold
from fovea.layers import SqueezeExcitation
from fovea.wiring import LayerNorm
from tests.support.wirings import built


def chain(*, padding=0):
    """Two convolutions of 1 to 4 to 2 maps, ReLU between; 4 x 4 pixels in."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 3, padding=padding), nn.Flatten()]
    return nn.Sequential(*layers).eval()


def outputs_of(model, shape=(1, 4, 4)):
    with torch.no_grad():
        return model(torch.randn(3, *shape, generator=torch.Generator().manual_seed(1)))


def same(one, other):
    return (one - other).abs().max() <= 1e-5 * one.abs().max()


@torch.no_grad()
def test_a_filter_of_zeros_whose_bias_no_relu_lets_through_goes():
    model = chain(padding=1)
    model[0].weight[1], model[0].bias[1] = 0, -0.5
    was = outputs_of(model)
    changes = remove_dead(model, (1, 4, 4))
    assert changes[0]["layers"] == {"0": [1, 3, 1], "2": [3, 2, 1]}
    assert same(was, outputs_of(model))


@torch.no_grad()
def test_a_constant_goes_into_the_bias_of_a_layer_that_pads_nothing():
    model = chain()
    model[0].weight[1], model[0].bias[1] = 0, 0.5
    was, bias, reads = outputs_of(model), model[2].bias.clone(), model[2].weight[:, 1].sum((1, 2))
    assert remove_dead(model, (1, 4, 4))
    assert model[0].out_channels == 3
    torch.testing.assert_close(model[2].bias, bias + 0.5 * reads)
    assert same(was, outputs_of(model))


@torch.no_grad()
def test_a_constant_that_padding_breaks_stays():
    model = chain(padding=1)
    model[0].weight[1], model[0].bias[1] = 0, 0.5
    assert remove_dead(model, (1, 4, 4)) == []
    assert model[0].out_channels == 4


@torch.no_grad()
def test_what_nothing_reads_goes_though_its_filter_is_not_zero():
    model = chain(padding=1)
    model[2].weight[:, 3] = 0
    was = outputs_of(model)
    assert remove_dead(model, (1, 4, 4))
    assert model[0].out_channels == 3
    assert same(was, outputs_of(model))


@torch.no_grad()
def test_of_channels_that_are_all_dead_one_stays():
    model = chain()
    model[0].weight.zero_()
    was = outputs_of(model)
    assert remove_dead(model, (1, 4, 4))
    assert model[0].out_channels == 1
    assert same(was, outputs_of(model))


@torch.no_grad()
def test_zero_stays_zero_whatever_gate_weighs_it():
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 1), nn.ReLU(), SqueezeExcitation(4, 2), nn.Conv2d(4, 2, 3, padding=1), nn.Flatten()]
    model = nn.Sequential(*layers).eval()
    model[0].weight[1], model[0].bias[1] = 0, -0.5
    was = outputs_of(model)
    assert remove_dead(model, (1, 4, 4))
    assert model[2].excitation.expand.out_channels == model[3].in_channels == 3
    assert same(was, outputs_of(model))


@torch.no_grad()
def test_what_nothing_reads_but_a_norm_counts_stays():
    model = nn.Sequential(nn.Conv2d(1, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), LayerNorm(4), nn.Linear(4, 2))
    model[-1].weight[:, :2] = 0
    for tensor in model[0].parameters():
        tensor[0] = 0
    x = torch.randn(3, 1, 2, 2)
    was = model(x)
    remove_dead(model, (1, 2, 2))
    assert model[0].out_channels == 3  # the first is zero; the second moves mean and variance
    torch.testing.assert_close(model(x), was)


def test_a_network_that_is_alive_stays_as_it_is():
    assert remove_dead(chain(), (1, 4, 4)) == []


@torch.no_grad()
def test_dead_channels_of_a_folded_residual_network_go_and_its_plan_rebuilds_it():
    shape = (3, 32, 32)
    model = built("cifar_resnet20", shape)
    norm = model.stage2.block2.residual.bn1
    norm.weight[:5], norm.bias[:5] = 0, -1
    x = torch.randn(2, *shape)
    was = model(x)
    changes = fold(model, shape).changes + remove_dead(model, shape)
    assert model.stage2.block2.residual.conv1.out_channels == 27
    assert same(was, model(x))
    again = changed(built("cifar_resnet20", shape), changes)
    again.load_state_dict(model.state_dict())
    assert torch.equal(again(x), model(x))


@torch.no_grad()
def test_a_norm_whose_scale_is_zero_makes_a_constant():
    model = nn.Sequential(nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 2, 1), nn.Flatten()).eval()
    model[1].weight[0], model[1].bias[0] = 0, 2
    was, before = outputs_of(model), copy.deepcopy(model)
    assert remove_dead(model, (1, 4, 4))
    assert (model[0].out_channels, model[1].num_features) == (2, 2)
    assert same(was, outputs_of(model))
    assert same(was, outputs_of(before))


@pytest.mark.parametrize("mode", [True, False])
def test_modes_stay(mode):
    model = chain().train(mode)
    model[0].weight.data[1] = 0
    remove_dead(model, (1, 4, 4))
    assert model.training is mode
    assert model[0].training is mode
