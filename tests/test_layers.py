import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401 (registers the networks)
from fovea import registry
from fovea.errors import ShapeError, UsageError
from fovea.layers import (
    Classifier,
    InstanceNorm2d,
    LocallyConnected2d,
    PredefinedSparseConv2d,
    SqueezeExcitation,
    StochasticDepth,
    channel_shuffle,
    stochastic_depths,
    takes,
)
from fovea.reference.dense import locally_connected, locally_connected_gradients


def doubling(c_in: int) -> nn.Conv2d:
    conv = nn.Conv2d(c_in, 1, 1, bias=False)
    nn.init.constant_(conv.weight, 2.0)
    return conv


HEAD = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


def test_parts_run_in_order_stem_stages_head():
    model = Classifier(stem=nn.ZeroPad2d(1), stages=[doubling(1), nn.MaxPool2d(2)], head=HEAD)
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    # padded to 4x4, doubled, maximum of each quarter, mean
    assert model.features(x).tolist() == [[[[2.0, 4.0], [6.0, 8.0]]]]
    assert model(x).tolist() == [[5.0]]


def test_children_have_the_names_of_the_checkpoint_format():
    with_stem = Classifier(stem=nn.ReLU(), stages=[nn.ReLU(), nn.ReLU()], head=HEAD)
    assert [name for name, _ in with_stem.named_children()] == ["stem", "stage1", "stage2", "head"]
    without = Classifier(stages=[doubling(1)], head=HEAD)
    assert [name for name, _ in without.named_children()] == ["stage1", "head"]
    assert list(without.state_dict()) == ["stage1.weight"]


def test_a_replaced_child_is_used():
    model = Classifier(stages=[doubling(1)], head=HEAD)
    model.stage1 = nn.Identity()
    assert model(torch.ones(1, 1, 2, 2)).tolist() == [[1.0]]


def test_squeeze_and_excitation_is_its_formula():
    layer = SqueezeExcitation(32, 8).double()
    x = torch.randn(2, 32, 5, 3, dtype=torch.float64)
    w = {name: p.squeeze() for name, p in layer.excitation.named_parameters()}
    hidden = (x.mean((2, 3)) @ w["reduce.weight"].T + w["reduce.bias"]).relu()
    weights = torch.sigmoid(hidden @ w["expand.weight"].T + w["expand.bias"])
    assert hidden.shape == (2, 4)
    torch.testing.assert_close(layer(x), x * weights[:, :, None, None])


def test_squeeze_and_excitation_keeps_a_hidden_unit():
    assert SqueezeExcitation(6, 16).excitation.reduce.out_channels == 1


def test_squeeze_and_excitation_takes_its_hidden_units_and_activation():
    se = SqueezeExcitation(12, hidden=5, activation=nn.SiLU)
    assert tuple(se.excitation.reduce.weight.shape) == (5, 12, 1, 1)
    assert isinstance(se.excitation.activation, nn.SiLU)


def test_stochastic_depth_leaves_out_images_in_training_and_keeps_the_mean():
    torch.manual_seed(0)
    layer, x = StochasticDepth(0.25), torch.ones(4000, 2, 3)
    y = layer(x)
    assert y.unique().tolist() == pytest.approx([0, 4 / 3])
    assert (y == y[:, :1, :1]).all()  # an image as a whole
    assert y.mean().item() == pytest.approx(1, abs=0.03)
    assert layer.eval()(x) is x
    assert StochasticDepth(0.0)(x) is x


def test_stochastic_depth_grows_from_block_to_block():
    assert [layer.rate for layer in stochastic_depths(0.4, 5)] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert [layer.rate for layer in stochastic_depths(0.4, 1)] == [0]
    for rate in (-0.1, 1.0):
        with pytest.raises(UsageError, match=rf"`stochastic_depth` \(={rate}\) must be at least 0"):
            stochastic_depths(rate, 3)


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 1)])
def test_a_locally_connected_layer_is_its_reference(stride, padding):
    torch.manual_seed(0)
    layer = LocallyConnected2d(3, 4, 3, size=(6, 5), stride=stride, padding=padding).double()
    x = torch.randn(2, 3, 6, 5, dtype=torch.float64, requires_grad=True)
    y = layer(x)
    g = torch.randn_like(y)
    y.backward(g)
    arrays = [t.detach().numpy() for t in (x, layer.weight)]
    expected = locally_connected(*arrays, bias=layer.bias.detach().numpy(), stride=stride, padding=padding)
    torch.testing.assert_close(y.detach(), torch.from_numpy(expected))
    gradients = locally_connected_gradients(g.numpy(), *arrays, stride=stride, padding=padding)
    for ours, tensor in zip(gradients, (x, layer.weight, layer.bias), strict=True):
        torch.testing.assert_close(torch.from_numpy(ours), tensor.grad)


def test_a_locally_connected_layer_with_one_kernel_is_a_convolution():
    layer, conv = LocallyConnected2d(3, 4, 3, size=(6, 5)), nn.Conv2d(3, 4, 3)
    with torch.no_grad():
        layer.weight.copy_(conv.weight[..., None, None].expand_as(layer.weight))
        layer.bias.copy_(conv.bias[:, None, None].expand_as(layer.bias))
    x = torch.randn(2, 3, 6, 5)
    torch.testing.assert_close(layer(x), conv(x))
    with pytest.raises(ShapeError, match=r"Input is \(5, 6\), but the layer was built for `size` \(=\(6, 5\)\)"):
        layer(torch.zeros(1, 3, 5, 6))


def test_channels_are_dealt_out_of_their_groups():
    x = torch.arange(6.0).reshape(1, 6, 1, 1).expand(2, 6, 3, 4)
    assert channel_shuffle(x, 2)[1, :, 2, 3].tolist() == [0, 3, 1, 4, 2, 5]
    torch.testing.assert_close(channel_shuffle(x, 3), nn.functional.channel_shuffle(x, 3))
    assert channel_shuffle(channel_shuffle(x, 2), 3).equal(x)
    with pytest.raises(ShapeError, match=r"`groups` \(=4\) must divide the channels \(=6\)"):
        channel_shuffle(x, 4)


def test_squeeze_excitation_takes_its_own_width_and_functions():
    layer = SqueezeExcitation(8, hidden=3, activation=nn.SiLU, gate=nn.Hardsigmoid).excitation
    assert (layer.reduce.out_channels, type(layer.activation), type(layer.gate)) == (3, nn.SiLU, nn.Hardsigmoid)


def test_stochastic_depth_leaves_out_whole_images_and_keeps_the_mean():
    torch.manual_seed(0)
    layer, x = StochasticDepth(0.25), torch.ones(4000, 2, 1, 1)
    y = layer(x)
    assert y.unique().tolist() == pytest.approx([0, 4 / 3]) and torch.equal(y[:, 0], y[:, 1])
    assert abs(y.mean() - 1) < 0.05
    assert torch.equal(layer.eval()(x), x)


def test_depths_grow_from_none_to_the_rate():
    assert [layer.rate for layer in stochastic_depths(0.2, 3)] == [0, 0.1, 0.2]
    with pytest.raises(UsageError, match=r"`stochastic_depth` \(=-0\.1\) must be at least 0"):
        stochastic_depths(-0.1, 3)


# zeros fixed before training


def sparse(**more):
    torch.manual_seed(0)
    return PredefinedSparseConv2d(3, 4, 3, **{"support": 2, "period": 5, "padding": 1, **more})


def test_patterns_repeat_within_and_across_filters_and_together_have_all_places():
    layer = sparse()
    for o, i in ((0, 0), (1, 2), (3, 2)):
        assert torch.equal(layer.mask[o, i], layer.pattern[(o + i) % 5])
    assert layer.pattern.flatten(1).sum(1).tolist() == [2] * 5
    assert layer.pattern.any(0).all()
    assert layer.nonzero == int(layer.mask.sum()) == 24
    assert not torch.equal(sparse(seed=1).pattern, layer.pattern)


def test_a_dense_kernel_has_all_places():
    layer = sparse(dense=1)
    assert layer.pattern.flatten(1).sum(1).tolist() == [2, 2, 2, 2, 9]
    assert layer.nonzero == int(layer.mask.sum())


def test_zeros_stay_zeros_under_any_optimiser():
    layer, x = sparse(), torch.randn(2, 3, 5, 5)
    optimiser = torch.optim.AdamW(layer.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(3):
        layer(x).square().sum().backward()
        optimiser.step()
    assert (layer.weight[~layer.mask] == 0).all() and (layer.weight[layer.mask] != 0).all()
    torch.nn.init.ones_(layer.weight)
    dense = torch.nn.functional.conv2d(x, layer.mask.float(), layer.bias, padding=1)
    torch.testing.assert_close(layer(x), dense)


def test_the_scale_of_outputs_is_that_of_a_dense_convolution():
    torch.manual_seed(0)
    dense = torch.nn.Conv2d(64, 64, 3, bias=False)
    thinned = PredefinedSparseConv2d(64, 64, 3, bias=False, support=2, period=9)
    x = torch.randn(4, 64, 12, 12)
    assert thinned(x).std().item() == pytest.approx(dense(x).std().item(), rel=0.05)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"support": 0}, r"`support` \(=0\) must be from 1 to 9, the number of positions in a kernel"),
        ({"support": 10}, r"`support` \(=10\)"),
        ({"period": 0}, r"`period` \(=0\) must be at least 1"),
        ({"dense": 6}, r"`dense` \(=6\) be from 0 to that"),
    ],
)
def test_patterns_that_cannot_be_are_refused(more, message):
    with pytest.raises(UsageError, match=message):
        sparse(**more)


@pytest.mark.parametrize("N", [0, 1, 3])
def test_instance_norm_is_that_of_pytorch_and_leaves_an_empty_batch(N):
    own, theirs = InstanceNorm2d(4, affine=True), nn.InstanceNorm2d(4, affine=True)
    with torch.no_grad():
        own.weight.copy_(torch.randn(4)), own.bias.copy_(torch.randn(4))
    theirs.load_state_dict(own.state_dict())
    x = torch.randn(N, 4, 5, 7).contiguous(memory_format=torch.channels_last)
    for training in (True, False):
        y = own.train(training)(x)
        assert torch.allclose(y, theirs(x) if N else x, atol=1e-6)
    if N:
        assert own.train()(x).is_contiguous(memory_format=torch.channels_last)
        given = x.clone().requires_grad_()
        wanted = [torch.autograd.grad((m(given) ** 3).sum(), [given, *m.parameters()]) for m in (own, theirs)]
        assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(*wanted, strict=True))


@pytest.mark.parametrize(("name", "other"), [("cifar_resnet20", True), ("lenet5", False), ("vgg11", False)])
def test_a_network_that_flattens_its_maps_takes_its_own_size_alone(name, other):
    model = registry.build(name, c_in=3, size=64, classes=2).train()
    before = [buffer.clone() for buffer in model.buffers()]
    assert takes(model, torch.zeros(1, 3, 64, 64)) and takes(model, torch.zeros(1, 3, 96, 96)) is other
    assert model.training and all(map(torch.equal, before, model.buffers()))
