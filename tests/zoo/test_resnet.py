import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import UsageError
from fovea.zoo.resnet import PaddedIdentity, Residual, Stage, basic, bottleneck, plain, projection, residual

NARROW = Stage(4, 8, 1, 2)


def conv_bn(x, weight, stride=1):
    """Return the convolution of `x`, padded to keep its size at stride 1, normalised over the batch."""
    maps = F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)
    mean, var = maps.mean((0, 2, 3), keepdim=True), maps.var((0, 2, 3), keepdim=True, unbiased=False)
    return (maps - mean) / (var + 1e-5).sqrt()


def test_shortcut_a_takes_every_second_pixel_and_pads_channels_with_zeros():
    x = torch.arange(1.0, 19.0).reshape(1, 2, 3, 3)
    y = PaddedIdentity(2, 4, stride=2)(x)
    zeros = [[0.0, 0.0], [0.0, 0.0]]
    assert y.tolist() == [[zeros, [[1.0, 3.0], [7.0, 9.0]], [[10.0, 12.0], [16.0, 18.0]], zeros]]
    assert not list(PaddedIdentity(2, 4, stride=2).parameters())


@pytest.mark.parametrize("chain", [basic, bottleneck, plain])
@pytest.mark.parametrize("size", [1, 6, 7])
def test_stride_two_halves_the_map_rounding_up(chain, size):
    assert chain(4, NARROW, stride=2).eval()(torch.zeros(2, 4, size, size)).shape[1:] == (8, *[math.ceil(size / 2)] * 2)


@pytest.mark.parametrize("option", ["A", "B", "C"])
@pytest.mark.parametrize("size", [1, 6, 7])
def test_every_shortcut_has_the_shape_of_the_residual(option, size):
    block = residual(basic, option)(4, NARROW, stride=2).eval()
    assert block(torch.zeros(2, 4, size, size)).shape[1:] == (8, *[math.ceil(size / 2)] * 2)


def test_a_basic_block_is_relu_of_residual_plus_projection():
    torch.manual_seed(0)
    block, x = residual(basic)(3, Stage(5, 5, 1, 2), stride=2).double(), torch.randn(4, 3, 6, 6).double()
    inner = conv_bn(conv_bn(x, block.residual.conv1.weight, 2).relu(), block.residual.conv2.weight)
    torch.testing.assert_close(block(x), (inner + conv_bn(x, block.shortcut.conv.weight, 2)).relu())


@pytest.mark.parametrize(("stride_in", "strides"), [("1x1", (2, 1)), ("3x3", (1, 2))])
def test_a_bottleneck_has_its_stride_where_asked(stride_in, strides):
    torch.manual_seed(0)
    chain, x = bottleneck(3, NARROW, stride=2, stride_in=stride_in).double(), torch.randn(4, 3, 6, 6).double()
    inner = conv_bn(conv_bn(x, chain.conv1.weight, strides[0]).relu(), chain.conv2.weight, strides[1]).relu()
    torch.testing.assert_close(chain(x), conv_bn(inner, chain.conv3.weight))


def test_a_plain_block_is_the_relu_of_the_residual():
    torch.manual_seed(0)
    chain, x = plain(3, NARROW, stride=1).eval(), torch.randn(2, 3, 5, 5)
    torch.testing.assert_close(chain(x), chain[:5](x).relu())
    assert [type(m) for m in chain[:5]] == [type(m) for m in basic(3, NARROW, stride=1)]


def test_a_block_whose_residual_is_zero_is_the_identity_on_positive_maps():
    block, x = residual(basic)(3, Stage(3, 3, 1, 1), stride=1).eval(), torch.rand(1, 3, 5, 5)
    nn.init.zeros_(block.residual.bn2.weight)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize(
    ("option", "shortcuts"),
    [
        ("A", {nn.Identity: 13, PaddedIdentity: 3}),
        ("B", {nn.Identity: 13, nn.Sequential: 3}),
        ("C", {nn.Sequential: 16}),
    ],
)
def test_the_options_of_the_paper_on_34_layers(option, shortcuts):
    with torch.device("meta"):
        model = registry.build("resnet34", shortcut=option)
    kinds = [type(m.shortcut) for m in model.modules() if isinstance(m, Residual)]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == shortcuts


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("plain18", [2, 2, 2, 2]),
        ("resnet34", [3, 4, 6, 3]),
        ("resnet50", [3, 4, 6, 3]),
        ("resnet101", [3, 4, 23, 3]),
        ("resnet152", [3, 8, 36, 3]),
    ],
)
def test_blocks_per_stage(name, blocks):
    with torch.device("meta"):
        model = registry.build(name)
    assert [len(stage) for key, stage in model.named_children() if key.startswith("stage")] == blocks


@pytest.mark.parametrize(("name", "c"), [("plain18", 512), ("resnet18", 512), ("resnet50", 2048)])
def test_the_maps_have_the_sizes_of_table_1(name, c):
    with torch.device("meta"):
        model, x = registry.build(name), torch.empty(1, 3, 224, 224)
    sizes = []
    for child in ("stem", "stage1", "stage2", "stage3", "stage4"):
        x = getattr(model, child)(x)
        sizes.append(x.shape[-1])
    assert (sizes, x.shape[1]) == ([56, 56, 28, 14, 7], c)


def test_convolutions_are_he_normal_by_fan_out():
    torch.manual_seed(0)
    conv = registry.build("resnet18").stage3.block1.residual.conv1
    assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 256)), rel=0.01)


def test_projections_have_batch_norm():
    assert [type(m) for m in projection(2, 3, stride=2)] == [nn.Conv2d, nn.BatchNorm2d]


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "cifar_resnet20"])
def test_an_unknown_shortcut_is_refused_with_the_options(name):
    with pytest.raises(UsageError, match=rf"Network `{name}`: `shortcut` \(='D'\) must be 'A', 'B' or 'C'"):
        registry.build(name, shortcut="D")


@pytest.mark.parametrize("name", ["resnet50", "seresnet50"])
def test_a_stride_elsewhere_is_refused(name):
    with pytest.raises(UsageError, match=r"`stride_in` \(='7x7'\) must be '1x1' \(as in the paper\) or '3x3'"):
        registry.build(name, stride_in="7x7")
