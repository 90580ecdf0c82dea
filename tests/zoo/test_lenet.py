import numpy as np
import pytest
import torch
from torch.nn import functional as F

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import ShapeError, UsageError
from fovea.layers import PartialConv2d
from fovea.zoo.lenet import TABLE_1, TABLE_I, RadialBasis, Squash, Subsampling


def weights(model):
    return dict(model.named_parameters())


def test_the_modern_form_written_out():
    torch.manual_seed(0)
    model, x = registry.build("lenet5"), torch.randn(2, 1, 32, 32)
    w = weights(model)
    maps = F.max_pool2d(F.conv2d(x, w["stage1.conv.weight"], w["stage1.conv.bias"]).relu(), 2)
    maps = F.max_pool2d(F.conv2d(maps, w["stage2.conv.weight"], w["stage2.conv.bias"]).relu(), 2)
    hidden = F.linear(maps.flatten(1), w["head.dense1.weight"], w["head.dense1.bias"]).relu()
    hidden = F.linear(hidden, w["head.dense2.weight"], w["head.dense2.bias"]).relu()
    assert maps.shape == (2, 16, 5, 5)
    torch.testing.assert_close(model(x), F.linear(hidden, w["head.logits.weight"], w["head.logits.bias"]))


def test_caffes_form_written_out():
    torch.manual_seed(0)
    model, x = registry.build("lenet_caffe"), torch.randn(2, 1, 28, 28)
    w = weights(model)
    maps = F.max_pool2d(F.conv2d(x, w["stage1.conv.weight"], w["stage1.conv.bias"]), 2)
    maps = F.max_pool2d(F.conv2d(maps, w["stage2.conv.weight"], w["stage2.conv.bias"]), 2)
    hidden = F.linear(maps.flatten(1), w["head.dense1.weight"], w["head.dense1.bias"]).relu()
    torch.testing.assert_close(model(x), F.linear(hidden, w["head.logits.weight"], w["head.logits.bias"]))


def test_subsampling_adds_four_pixels_and_scales():
    layer = Subsampling(2)
    layer.weight.data[:, 0, 0], layer.bias.data[:, 0, 0] = torch.tensor([[0.5, -1.0], [1.0, 0.0]])
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]] * 2])
    assert layer(x).flatten().tolist() == [6.0, -10.0]


def test_squashing_leaves_plus_and_minus_one_where_they_are():
    x = torch.tensor([-100.0, -1.0, 0.0, 1.0, 100.0])
    torch.testing.assert_close(Squash()(x), torch.tensor([-1.7159, -1.0, 0.0, 1.0, 1.7159]), atol=1e-4, rtol=0)


def test_the_nearest_code_wins():
    layer = RadialBasis(3, 2)
    layer.codes = torch.tensor([[1.0, 1.0, -1.0], [-1.0, 1.0, 1.0]])
    assert layer(torch.tensor([[1.0, 0.0, -1.0], [-1.0, 1.0, 1.0]])).tolist() == [[-1.0, -9.0], [-8.0, 0.0]]


def test_cross_entropy_of_distances_is_the_discriminative_loss():
    # LeCun et al. 1998, equation 9, with j so large that the rubbish class vanishes: y_D + log(sum of exp(-y_i))
    layer, x = RadialBasis(84, 10), torch.randn(1, 84, generator=torch.Generator().manual_seed(0))
    y = ((x - layer.codes) ** 2).sum(1)
    expected = y[3] + torch.logsumexp(-y, 0)
    torch.testing.assert_close(F.cross_entropy(layer(x), torch.tensor([3])), expected)


def test_codes_are_fixed_signs_the_same_in_every_network():
    first, second = RadialBasis(84, 10), RadialBasis(84, 10)
    assert torch.equal(first.codes, second.codes)
    assert first.codes.abs().eq(1).all()
    assert not list(first.parameters())
    assert "head.logits.codes" in registry.build("lenet5_1998").state_dict()


def test_one_class_has_no_nearest_code():
    with pytest.raises(UsageError, match=r"Network `lenet5_1998`: `classes` \(=1\) must be at least 2"):
        registry.build("lenet5_1998", classes=1)


@pytest.mark.parametrize("sees", [TABLE_1, TABLE_I])
def test_partial_connections_are_a_convolution_with_zeros(sees):
    torch.manual_seed(0)
    c_in = max(max(row) for row in sees) + 1
    layer = PartialConv2d(sees, 3).double()
    x = torch.randn(2, c_in, 7, 6, dtype=torch.float64, requires_grad=True)
    dense = torch.zeros(len(sees), c_in, 3, 3, dtype=torch.float64)
    for i, (conv, row) in enumerate(zip(layer.maps, sees, strict=True)):
        dense[i, list(row)] = conv.weight.data[0]
    expected = F.conv2d(x, dense, torch.cat([conv.bias.data for conv in layer.maps]))
    out = layer(x)
    torch.testing.assert_close(out, expected)
    g = torch.randn_like(out)
    own, theirs = (torch.autograd.grad(y, x, g)[0] for y in (out, expected))
    torch.testing.assert_close(own, theirs)


def test_the_tables_connect_as_many_maps_as_printed():
    # 2,578 and 60,000 parameters leave 20 and 60 kernels; each map of S2 is seen by ten of C3, which differ
    assert sum(map(len, TABLE_1)) == 20
    assert sum(map(len, TABLE_I)) == 60
    assert [sum(i in row for row in TABLE_I) for i in range(6)] == [10] * 6
    assert len(set(TABLE_I)) == 16


def test_parameters_begin_within_bounds_of_the_fan_in():
    torch.manual_seed(0)
    model = registry.build("lenet5_1998")
    for parameter, inputs in (
        (model.stage1.conv.weight, 25),
        (model.stage1.pool.weight, 4),
        (model.stage2.conv.maps[15].weight, 150),
        (model.head.dense1.weight, 400),
    ):
        largest = parameter.abs().max().item()
        assert largest <= 2.4 / inputs
        assert largest > 2.4 / inputs / 2


def test_caffes_weights_begin_uniform_by_fan_in():
    torch.manual_seed(0)
    weight = registry.build("lenet_caffe").head.dense1.weight
    assert weight.std().item() == pytest.approx(np.sqrt(1 / 800), rel=0.02)
    assert weight.abs().max() <= np.sqrt(3 / 800)


@pytest.mark.parametrize("name", ["lenet1", "lenet5_1998", "lenet5", "lenet_caffe"])
def test_the_smallest_input_is_16_pixels(name):
    assert registry.build(name, size=16)(torch.zeros(1, 1, 16, 16)).shape == (1, 10)
    with pytest.raises(ShapeError, match=rf"Network `{name}`: Layer `stage2.pool` \(2x2\).*must be at least 16"):
        registry.build(name, size=15)
