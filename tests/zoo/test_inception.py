import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fovea.zoo.inception import (
    AuxiliaryClassifier,
    Branches,
    Inception,
    Maps,
    NaiveInception,
    average_and_project,
    chain,
    conv_bn_relu,
    conv_relu,
    split,
)

MAPS = Maps(n1=2, r3=3, n3=4, r5=2, n5=3, p=5)


def relu_conv(x, unit):
    return F.conv2d(x, unit.conv.weight, unit.conv.bias, padding=unit.conv.kernel_size[0] // 2).relu()


def test_branches_are_concatenated_in_order():
    module = Branches(twice=nn.Conv2d(1, 1, 1, bias=False), same=nn.Identity())
    nn.init.constant_(module.twice.weight, 2.0)
    assert module(torch.tensor([[[[1.0, 3.0]]]])).tolist() == [[[[2.0, 6.0]], [[1.0, 3.0]]]]


def test_the_naive_module_written_out():
    torch.manual_seed(0)
    module, x = NaiveInception(3, 2, 4, 5), torch.randn(2, 3, 6, 7)
    convolved = [relu_conv(x, unit) for unit in (module.branch1, module.branch3, module.branch5)]
    expected = torch.cat([*convolved, F.max_pool2d(x, 3, 1, 1)], 1)
    assert expected.shape == (2, 2 + 4 + 5 + 3, 6, 7)
    torch.testing.assert_close(module(x), expected)


def test_the_reduced_module_written_out():
    torch.manual_seed(0)
    module, x = Inception(3, MAPS), torch.randn(2, 3, 6, 7)
    expected = torch.cat(
        [
            relu_conv(x, module.branch1),
            relu_conv(relu_conv(x, module.branch3.reduce), module.branch3.conv),
            relu_conv(relu_conv(x, module.branch5.reduce), module.branch5.conv),
            relu_conv(F.max_pool2d(x, 3, 1, 1), module.branch_pool.project),
        ],
        1,
    )
    assert expected.shape == (2, MAPS.c, 6, 7) == (2, 14, 6, 7)
    torch.testing.assert_close(module(x), expected)


def test_kernels_of_the_third_branch():
    assert Inception(3, MAPS).branch5.conv.conv.kernel_size == (5, 5)
    assert Inception(3, MAPS, large=3).branch5.conv.conv.kernel_size == (3, 3)


@pytest.mark.parametrize(("unit", "layers", "bias"), [(conv_relu, 2, True), (conv_bn_relu, 3, False)])
def test_units(unit, layers, bias):
    module = Inception(3, MAPS, unit=unit)
    assert len(module.branch1) == layers
    assert (module.branch1.conv.bias is not None) == bias
    assert module(torch.randn(2, 3, 5, 5)).shape == (2, 14, 5, 5)


def with_heads():
    """Return a network whose maps are 2, 4, 8 times the input and whose heads average them."""
    average = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def doubling():
        conv = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.constant_(conv.weight, 2.0)
        return conv

    stages = [nn.Sequential(doubling()), nn.Sequential(doubling(), doubling())]
    return AuxiliaryClassifier(stages=stages, head=average, heads={"stage1.0": average, "stage2.0": average})


def test_heads_on_the_way_answer_in_training_only():
    model, x = with_heads(), torch.ones(1, 1, 2, 2)
    assert [out.item() for out in model.train()(x)] == [8.0, 2.0, 4.0]
    assert model.eval()(x).item() == 8.0
    assert model.train().features(x).mean() == 8.0


def test_without_heads_training_gives_logits():
    model = AuxiliaryClassifier(stages=[nn.Identity()], head=nn.Flatten(), heads={})
    assert model.train()(torch.ones(1, 1, 1, 1)).tolist() == [[1.0]]


def test_a_head_sends_its_gradient_to_the_layers_before_it_only():
    model = with_heads().train()
    model(torch.ones(1, 1, 2, 2))[1].backward()
    assert model.stage1[0].weight.grad is not None
    assert model.stage2[0].weight.grad is None


@pytest.mark.parametrize(("arguments", "size"), [({}, 7), ({"stride": 2}, 4), ({"valid": True}, 5)])
def test_only_the_last_convolution_of_a_chain_changes_the_size(arguments, size):
    layers = chain(3, (2, 1), (4, (1, 7)), (5, 3), **arguments)
    assert list(dict(layers.named_children())) == ["conv1", "conv2", "conv3"]
    assert layers[:2](torch.zeros(2, 3, 7, 7)).shape == (2, 4, 7, 7)
    assert layers(torch.zeros(2, 3, 7, 7)).shape == (2, 5, size, size)


@pytest.mark.parametrize(("count", "corner"), [(True, 4 / 9), (False, 1.0)])
def test_zeros_around_the_map_count_or_not(count, corner):
    pool = average_and_project(1, 2, count_padding=count).pool
    assert pool(torch.ones(1, 1, 3, 3))[0, 0, 0, 0].item() == pytest.approx(corner)


def test_a_split_chain_ends_in_both_directions_side_by_side():
    torch.manual_seed(0)
    layers, x = split(chain(3, (4, 1)), 4, 2).eval(), torch.randn(2, 3, 5, 6)
    ends = layers.conv2
    assert (ends.a.conv.kernel_size, ends.b.conv.kernel_size) == ((1, 3), (3, 1))
    first = layers.conv1(x)
    assert torch.equal(layers(x), torch.cat([ends.a(first), ends.b(first)], 1))
