import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import ShapeError
from fovea.zoo.inception_v4 import TABLE_1, ReductionA, reduction_a


def on_meta(**arguments):
    with torch.device("meta"):
        return registry.build("inception_v4", **arguments)


def test_maps_of_figures_3_and_9():
    # Szegedy et al. 2016: 35 x 35 x 384 after the stem, then 17 x 17 x 1024, 8 x 8 x 1536
    x, found = torch.empty(1, 3, 299, 299, device="meta"), {}
    for name, stage in on_meta().named_children():
        for layer, module in stage.named_children() if name != "head" else ():
            x = module(x)
            found[layer] = tuple(x.shape[1:3])
    stem = [found.pop(layer) for layer in ("conv1", "conv2", "conv3", "mixed3a", "mixed4a", "mixed5a")]
    assert stem == [(32, 149), (32, 147), (64, 147), (160, 73), (192, 71), (384, 35)]
    assert [found.pop(f"inception_a{i}") for i in range(1, 5)] == [(384, 35)] * 4
    assert [found.pop(name) for name in ("reduction_a", "reduction_b")] == [(1024, 17), (1536, 8)]
    assert [found.pop(f"inception_b{i}") for i in range(1, 8)] == [(1024, 17)] * 7
    assert found == {f"inception_c{i}": (1536, 8) for i in range(1, 4)}


def kernels(module):
    return [(m.out_channels, m.kernel_size) for m in module.modules() if isinstance(m, nn.Conv2d)]


def test_convolutions_of_the_figures():
    one, three, row, column = (1, 1), (3, 3), (1, 7), (7, 1)
    model = on_meta()
    assert kernels(model.stem.mixed4a.branch7) == [(64, one), (64, row), (64, column), (96, three)]
    assert kernels(model.stage1.inception_a1.branch3_double) == [(64, one), (96, three), (96, three)]
    double = [(192, one), (192, column), (224, row), (224, column), (256, row)]
    assert kernels(model.stage2.inception_b1.branch7_double) == double
    assert kernels(model.stage3.reduction_b.branch7) == [(256, one), (256, row), (320, column), (320, three)]
    split = [(384, one), (448, (3, 1)), (512, (1, 3)), (256, (1, 3)), (256, (3, 1))]
    assert kernels(model.stage3.inception_c1.branch3_double) == split


@pytest.mark.parametrize(("size", "out"), [(5, 2), (6, 2), (7, 3)])
def test_reduction_a_by_the_letters_of_table_1(size, out):
    module = reduction_a(4, ReductionA(k=2, l=3, m=5, n=6))
    assert [c for c, _ in kernels(module)] == [6, 2, 3, 5]
    assert module(torch.zeros(2, 4, size, size)).shape == (2, 6 + 5 + 4, out, out)


def test_table_1():
    # Szegedy et al. 2016, Table 1
    assert TABLE_1["inception_v4"] == (192, 224, 256, 384)
    assert TABLE_1["inception_resnet_v1"] == (192, 192, 256, 384)
    assert TABLE_1["inception_resnet_v2"] == (256, 256, 384, 384)


def test_zeros_around_the_map_do_not_count_in_averages():
    pools = [m for m in on_meta().modules() if isinstance(m, nn.AvgPool2d)]
    assert len(pools) == 4 + 7 + 3
    assert torch.equal(pools[0](torch.ones(1, 1, 3, 3)), torch.ones(1, 1, 3, 3))


def test_dropout_before_the_logits():
    # Szegedy et al. 2016, Figure 9: dropout (keep 0.8)
    assert on_meta().head.dropout.p == 0.2
    assert on_meta(dropout=0.0).head.dropout.p == 0.0


def test_the_smallest_input_is_75_pixels():
    assert on_meta(classes=2, size=75).eval()(torch.empty(1, 3, 75, 75, device="meta")).shape == (1, 2)
    with pytest.raises(
        ShapeError, match=r"Layer `stage3.reduction_b.branch3.conv2.conv` \(3x3\).*must be at least 75\."
    ):
        on_meta(size=74)
