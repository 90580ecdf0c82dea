import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import ShapeError
from fovea.zoo.bn_inception import Maps, module

MAPS = Maps(n1=2, r3=3, n3=4, rd=2, nd=3, pool="avg", p=5)


def on_meta(**arguments):
    with torch.device("meta"):
        return registry.build("bn_inception", **arguments)


def parameters(model):
    return sum(p.numel() for p in model.parameters())


def test_maps_by_the_columns_of_figure_5():
    model, x, found = on_meta(), torch.empty(1, 3, 224, 224, device="meta"), {}
    for name in ("stem", "stage1", "stage2", "stage3"):
        for layer, part in getattr(model, name).named_children():
            x = part(x)
            found[layer.removeprefix("inception")] = tuple(x.shape[1:3])
    # Ioffe and Szegedy 2015, Figure 5: output size
    assert (found["conv1"], found["pool1"]) == ((64, 112), (64, 56))
    assert (found["conv3"], found["pool2"]) == ((192, 56), (192, 28))
    assert [found[name] for name in ("3a", "3b")] == [(256, 28), (320, 28)]
    # it prints 28 x 28 for 3c, 576 maps for 4c and 4d, 14 x 14 x 1024 for 4e
    assert [found[name] for name in ("3c", "4a", "4b", "4c", "4d")] == [(576, 14)] * 3 + [(608, 14)] * 2
    assert [found[name] for name in ("4e", "5a", "5b")] == [(1056, 7), (1024, 7), (1024, 7)]


def test_a_module_written_out():
    torch.manual_seed(0)
    layers, x = module(3, MAPS).eval(), torch.randn(2, 3, 6, 7)
    third = layers.branch3.conv2(layers.branch3.conv1(x))
    double = layers.branch3_double.conv3(layers.branch3_double.conv2(layers.branch3_double.conv1(x)))
    pooled = layers.branch_pool.conv(nn.functional.avg_pool2d(x, 3, 1, 1))
    expected = torch.cat([layers.branch1(x), third, double, pooled], 1)
    assert expected.shape == (2, MAPS.c(3), 6, 7) == (2, 14, 6, 7)
    torch.testing.assert_close(layers(x), expected)


@pytest.mark.parametrize(("size", "out"), [(1, 1), (6, 3), (7, 4)])
def test_a_module_without_1x1_halves_the_map_and_passes_its_input_through(size, out):
    layers, x = module(5, MAPS._replace(n1=0, pool="max", p=0)).eval(), torch.randn(2, 5, size, size)
    assert list(dict(layers.named_children())) == ["branch3", "branch3_double", "branch_pool"]
    assert [conv.conv.stride for conv in layers.branch3_double] == [(1, 1), (1, 1), (2, 2)]
    y = layers(x)
    assert y.shape == (2, 4 + 3 + 5, out, out)
    assert torch.equal(y[:, 7:], nn.functional.max_pool2d(x, 3, 2, 1))


def test_poolings_of_the_modules():
    # Ioffe and Szegedy 2015, Figure 5: max in 3c, 4e and 5b, average in all others
    pools = [m for stage in list(on_meta().children())[1:-1] for m in stage.modules() if "Pool" in type(m).__name__]
    assert [isinstance(pool, nn.MaxPool2d) for pool in pools] == [0, 0, 1, 0, 0, 0, 0, 1, 0, 1]


def test_the_first_convolution_is_separable_with_multiplier_8():
    # Szegedy et al. 2014, Table 1: 2.7K parameters and 34M operations in the first convolution
    conv1 = on_meta().stem.conv1
    weights = conv1.depthwise.weight.numel() + conv1.conv.weight.numel()
    assert weights == 7 * 7 * 3 * 8 + 24 * 64 == 2_712
    assert round(weights * 112 * 112 / 1e6) == 34
    assert on_meta(c_in=1).stem.conv1.depthwise.weight.shape == (8, 1, 7, 7)


def test_a_plain_first_convolution_gives_the_published_network():
    # As others count the network published in Caffe: 11,295,240, with a bias in each convolution, which batch norm
    # cancels
    model = on_meta(separable=False)
    biases = sum(m.out_channels for m in model.modules() if isinstance(m, nn.Conv2d))
    assert parameters(model) + biases == 11_295_240


def test_no_dropout_unless_asked_for():
    assert on_meta().head.dropout.p == 0.0
    assert on_meta(dropout=0.05).head.dropout.p == 0.05


def test_the_smallest_input_is_7_pixels():
    assert on_meta(classes=2, size=7).eval()(torch.empty(1, 3, 7, 7, device="meta")).shape == (1, 2)
    with pytest.raises(ShapeError, match=r"Layer `stem.pool2` \(3x3\).*must be at least 7\."):
        on_meta(size=6)
