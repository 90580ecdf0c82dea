import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fovea.compression.binary import (
    BinaryConv2d,
    BinaryLinear,
    XnorConv2d,
    XnorLinear,
    drawn_sign,
    sign,
    straight_sign,
)
from fovea.errors import UsageError


def test_zero_counts_as_positive():
    assert sign(torch.tensor([-2.0, -0.0, 0.0, 3.0])).tolist() == [-1, 1, 1, 1]


def test_the_gradient_of_a_sign_is_one_within_one():
    x = torch.tensor([-1.5, -1.0, -0.2, 0.0, 1.0, 1.01], dtype=torch.float64, requires_grad=True)
    upstream = torch.arange(1, 7, dtype=torch.float64)
    straight_sign(x).backward(upstream)
    assert x.grad.tolist() == [0, 2, 3, 4, 5, 0]


def test_drawn_signs_follow_the_hard_sigmoid():
    """Equation 2 of BinaryConnect: +1 with the probability (x + 1) / 2."""
    torch.manual_seed(0)
    x = torch.tensor([-2.0, -0.5, 0.0, 0.8, 1.5]).repeat(20_000, 1)
    means = (drawn_sign(x) == 1).double().mean(0)
    assert torch.allclose(means, torch.tensor([0, 0.25, 0.5, 0.9, 1.0]).double(), atol=0.02)
    assert set(drawn_sign(x).unique().tolist()) == {-1.0, 1.0}


def test_binary_weights_are_the_nearest_with_one_scale():
    """Section 3.1 of XNOR-Net: alpha = mean |W| and sign(W) minimise |W - alpha B|^2 over all of that form."""
    torch.manual_seed(0)
    layer = BinaryConv2d(2, 3, 2, bias=False).double()
    found = layer.binary_weight().detach()
    error = (layer.weight - found).square().flatten(1).sum(1)
    for factor in (0.95, 1.05):
        assert ((layer.weight - factor * found).square().flatten(1).sum(1) > error).all()
    flipped = found.clone()
    flipped[:, 0, 0, 0] *= -1
    assert ((layer.weight - flipped).square().flatten(1).sum(1) > error).all()


def test_gradients_of_real_weights_are_those_of_the_paper():
    """d C / d W_i = sign(W_i) / n sum_j (d C / d B_j) sign(W_j) + alpha d C / d B_i where |W_i| <= 1."""
    torch.manual_seed(0)
    layer = BinaryLinear(6, 2, bias=False).double().train()
    with torch.no_grad():
        layer.weight.mul_(3)
        layer.weight[0, 0] = 1.5
    upstream = torch.randn(2, 6, dtype=torch.float64)
    layer.binary_weight().backward(upstream)
    signs, alpha = sign(layer.weight.detach()), layer.weight.detach().abs().mean(1, keepdim=True)
    shared = signs / 6 * (upstream * signs).sum(1, keepdim=True)
    expected = shared + alpha * upstream * (layer.weight.detach().abs() <= 1)
    assert torch.allclose(layer.weight.grad, expected)


@pytest.mark.parametrize("scale", ["mean", "fixed"])
def test_weights_at_rest_have_two_values_per_channel(scale):
    layer = BinaryConv2d(3, 5, 3, scale=scale)
    layer.train()
    x = torch.randn(2, 3, 6, 6)
    before = layer(x)
    layer.rest()
    layer.eval()
    for channel, size in zip(layer.weight.detach(), layer.scale, strict=True):
        assert set(channel.abs().unique().tolist()) == {size.item()}
    assert torch.allclose(layer(x), before, atol=1e-5)
    assert torch.equal(layer(x), F.conv2d(x, layer.weight, layer.bias))


def test_a_layer_at_rest_stays_so():
    layer = BinaryLinear(7, 3)
    layer.rest()
    again = copy.deepcopy(layer)
    again.rest()
    assert torch.allclose(again.weight, layer.weight, rtol=1e-6)
    assert torch.equal(sign(again.weight), sign(layer.weight))


def test_clipping_keeps_weights_where_their_gradient_is():
    layer = BinaryLinear(4, 4, scale="fixed")
    with torch.no_grad():
        layer.weight.fill_(5.0)
    layer.clip()
    assert layer.weight.max().item() == pytest.approx((1.5 / 8) ** 0.5)


def test_a_binary_convolution_of_binary_inputs_is_equation_11():
    """norm, sign, convolution of signs, times K and alpha, each written out."""
    torch.manual_seed(0)
    layer = XnorConv2d(3, 4, 3, padding=1, stride=2)
    layer.norm.weight.data.uniform_(0.5, 2)
    layer.norm.running_mean.uniform_(-1, 1)
    layer.rest()
    layer.eval()
    x = torch.randn(2, 3, 7, 7)
    inputs = layer.norm(x)
    K = F.avg_pool2d(inputs.abs().mean(1, keepdim=True), 3, 2, 1, count_include_pad=True)
    alpha = layer.weight.abs().flatten(1).mean(1)[:, None, None]
    expected = F.conv2d(sign(inputs), sign(layer.weight), padding=1, stride=2) * K * alpha
    assert torch.allclose(layer(x), expected + layer.bias[:, None, None], atol=1e-5)


def test_a_dense_layer_of_binary_inputs_scales_each_row():
    torch.manual_seed(0)
    layer = XnorLinear(8, 3)
    layer.rest()
    layer.eval()
    x = torch.randn(5, 8)
    inputs = layer.norm(x)
    alpha = layer.weight.abs().mean(1)
    expected = sign(inputs) @ sign(layer.weight).T * inputs.abs().mean(1, keepdim=True) * alpha + layer.bias
    assert torch.allclose(layer(x), expected, atol=1e-6)


def test_gradients_reach_the_inputs_through_their_signs():
    layer = XnorLinear(4, 2).double().train()
    x = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    layer(x).square().sum().backward()
    assert x.grad.isfinite().all()
    assert x.grad.abs().sum() > 0


def test_an_unknown_scale_is_refused():
    with pytest.raises(UsageError, match="`scale` \\(=odd\\) of binary weights must be one of mean, fixed"):
        BinaryLinear(2, 2, scale="odd")


def test_training_draws_signs_only_where_asked_to():
    torch.manual_seed(0)
    layer = BinaryLinear(50, 2, stochastic=True).train()
    assert not torch.equal(layer.binary_weight(), layer.binary_weight())
    x = torch.randn(1, 50)
    assert isinstance(layer, nn.Linear)
    assert torch.equal(layer.eval()(x), layer(x))


def test_gradients_reach_the_inputs_in_evaluation_too():
    layer = XnorConv2d(3, 4, 3).eval()
    x = torch.randn(1, 3, 6, 6, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad.abs().sum() > 0
    with torch.no_grad():
        assert torch.equal(layer(x), layer(x.detach()))
