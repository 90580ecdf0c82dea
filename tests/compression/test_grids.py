import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fovea.compression.grids import (
    ActivationGrid,
    ExactMean,
    GridConv2d,
    affine_of,
    on_grid,
    power_of_two,
    straight_round,
)
from fovea.errors import UsageError


def convolution(c_in=3, c_out=4, **more):
    torch.manual_seed(0)
    return nn.Conv2d(c_in, c_out, 3, padding=1, **more)


def settled(layer, *, gives=True):
    found = on_grid(copy.deepcopy(layer), gives=gives)
    found.reads.settle(2**-5, 100)
    if gives:
        found.gives.settle(2**-4, 0)
    found.rest()
    return found.eval()


def test_a_grid_rounds_half_to_even_and_cuts_at_its_ends():
    grid = ActivationGrid()
    grid.settle(0.5, 2)
    x = torch.tensor([-9.0, -1.0, -0.25, 0.25, 0.26, 0.75, 126.5, 900.0])
    assert grid.nearest(x).tolist() == [-1.0, -1.0, 0.0, 0.0, 0.5, 1.0, 126.5, 126.5]


def test_numbers_of_a_grid_stay_where_they_are():
    grid = ActivationGrid()
    grid.settle(2**-7, 31)
    once = grid.nearest(torch.randn(1000, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(grid.nearest(once), once)
    assert torch.equal(once * 2**7, (once * 2**7).round())


def test_rounding_has_the_gradient_of_the_identity():
    x = torch.randn(50, dtype=torch.float64, requires_grad=True, generator=torch.Generator().manual_seed(0))
    upstream = torch.arange(50, dtype=torch.float64)
    straight_round(x).backward(upstream)
    assert torch.equal(x.grad, upstream)


def test_the_gradient_of_a_grid_is_one_inside_and_zero_where_it_cuts():
    grid = ActivationGrid().double().train()
    grid.settle(0.5, 2)
    x = torch.tensor([-2.0, -1.0, 0.0, 0.1, 126.5, 200.0], dtype=torch.float64, requires_grad=True)
    grid.nearest(x).backward(torch.ones(6, dtype=torch.float64))
    assert x.grad.tolist() == [0, 1, 1, 1, 1, 0]


def test_straight_through_gradients_are_those_of_the_layer_at_the_rounded_weights():
    """Against the plain convolution of rounded inputs and weights, in float64."""
    layer = settled(convolution(), gives=False).double().train()
    x = (torch.rand(2, 3, 6, 6, dtype=torch.float64) - 0.5).requires_grad_()
    upstream = torch.randn(2, 4, 6, 6, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.add_(0.003 * torch.randn_like(layer.weight))
    layer(x).backward(upstream)

    rounded = layer.reads.nearest(x).detach().requires_grad_()
    layer.eval()
    weight = (layer.weight_steps() * layer.along(layer.weight_scale)).detach().requires_grad_()
    bias = layer.bias.detach().clone().requires_grad_()
    F.conv2d(rounded, weight, bias, padding=1).backward(upstream)
    assert torch.allclose(x.grad, rounded.grad)
    assert torch.allclose(layer.bias.grad, bias.grad)
    # the largest weight of a channel sets the scale; all others pass their gradient on as it is
    largest = layer.weight.flatten(1).abs().argmax(1)
    free = torch.ones_like(layer.weight, dtype=torch.bool).flatten(1).scatter(1, largest[:, None], False)
    free = free.reshape(layer.weight.shape)
    assert torch.allclose(layer.weight.grad[free], weight.grad[free])


def test_weights_at_rest_are_whole_steps_of_their_channel():
    layer = settled(convolution())
    steps = layer.weight.detach().double() / layer.along(layer.weight_scale).double()
    assert torch.allclose(steps, steps.round(), atol=1e-4)
    assert steps.abs().flatten(1).amax(1).round().tolist() == [127] * 4
    before = layer.weight.detach().clone()
    layer.rest()
    assert torch.allclose(before, layer.weight.detach(), rtol=1e-6)


def test_evaluation_computes_what_integers_do():
    """Against int64 arithmetic, for a layer whose sums exceed what float32 counts."""
    torch.manual_seed(0)
    layer = nn.Linear(3000, 5)
    with torch.no_grad():
        layer.weight.copy_(torch.rand(5, 3000) * 0.1 + 0.9)
    layer = settled(layer)
    layer.gives.settle(2**6, 0)
    assert layer.wide
    x = torch.rand(3, 3000) * 4
    stored = np.clip(np.rint(x.numpy() * 2**5), -100, 155).astype(np.int64)
    weights = np.rint(layer.weight.detach().numpy() / layer.weight_scale.numpy()[:, None]).astype(np.int64)
    bias = np.rint(layer.bias.detach().double().numpy() / layer.unit.double().numpy()).astype(np.int64)
    sums = stored @ weights.T + bias
    assert np.abs(sums).max() > 2**24
    unit = layer.unit.numpy()
    expected = np.clip(np.rint(sums.astype(np.float32) * (unit / np.float32(2**6))), 0, 255) * 2**6
    assert np.array_equal(layer(x).detach().numpy(), expected)


def test_training_and_evaluation_agree_but_for_rounding():
    layer = settled(convolution(), gives=False)
    x = torch.rand(2, 3, 6, 6) - 0.5
    assert torch.allclose(layer.train()(x), layer.eval()(x), atol=1e-5)


@pytest.mark.parametrize("more", [{"groups": 3}, {"stride": 2}, {"bias": False}, {"dilation": 2}])
def test_a_layer_on_a_fine_grid_is_near_the_float_one(more):
    plain = nn.Conv2d(3, 6, 3, padding=1, **more)
    layer = on_grid(copy.deepcopy(plain), gives=False)
    layer.reads.settle(2**-7, 128)
    layer.rest()
    x = torch.rand(2, 3, 8, 8) * 1.9 - 0.95
    assert isinstance(layer, GridConv2d)
    assert (layer.eval()(x) - plain(x)).abs().max() < 0.03


def test_a_bias_without_weights_still_fits():
    plain = nn.Conv2d(1, 2, 1)
    with torch.no_grad():
        plain.weight.zero_()
        plain.bias.copy_(torch.tensor([3.0, 0.0]))
    layer = on_grid(plain, gives=False)
    layer.reads.settle(2**-7, 0)
    layer.rest()
    assert layer.bias_steps().abs().max() <= 2**30
    assert torch.allclose(layer.eval()(torch.ones(1, 1, 1, 1)).flatten(), torch.tensor([3.0, 0.0]), rtol=1e-6)


def test_an_affine_is_its_batch_norm():
    norm = nn.BatchNorm2d(3).eval()
    with torch.no_grad():
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.5, 2)
        norm.weight.uniform_(-1, 1)
    x = torch.randn(2, 3, 4, 4)
    assert torch.allclose(affine_of(norm)(x), norm(x), atol=1e-6)


def test_an_exact_mean_is_the_mean():
    x = torch.randn(2, 3, 5, 7)
    assert torch.allclose(ExactMean()(x), nn.AdaptiveAvgPool2d(1)(x), atol=1e-6)


def test_powers_of_two_cover():
    assert [power_of_two(value) for value in (0.02, 0.25, 1.0001)] == [0.03125, 0.25, 2.0]


def test_gradients_reach_the_input_in_evaluation_too():
    """Explanations ask for them."""
    layer = settled(convolution())
    x = (torch.rand(1, 3, 6, 6) - 0.5).requires_grad_()
    layer(x).sum().backward()
    assert x.grad.abs().sum() > 0
    with torch.no_grad():
        assert torch.equal(layer(x), layer(x.detach()))
    assert torch.equal(layer(x).detach(), layer(x.detach()))


def test_a_norm_that_computes_with_each_batch_cannot_be_on_a_grid():
    with pytest.raises(UsageError, match="without running statistics"):
        affine_of(nn.BatchNorm2d(3, track_running_stats=False))
