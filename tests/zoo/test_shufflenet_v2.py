import pytest
import torch

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.zoo.shufflenet_v2 import BasicUnit, DownsamplingUnit


def test_a_basic_unit_leaves_half_of_the_channels_as_they_are():
    torch.manual_seed(0)
    unit, x = BasicUnit(6).eval(), torch.randn(2, 6, 5, 5)
    y = unit(x)
    assert torch.equal(y[:, ::2], x[:, :3])
    assert torch.equal(y[:, 1::2], unit.right(x[:, 3:]))


@pytest.mark.parametrize("size", [6, 7])
def test_a_downsampling_unit_halves_the_map_and_deals_out_both_branches(size):
    torch.manual_seed(0)
    unit, x = DownsamplingUnit(4, 10).eval(), torch.randn(2, 4, size, size)
    y = unit(x)
    assert y.shape == (2, 10, (size + 1) // 2, (size + 1) // 2)
    assert torch.equal(y[:, ::2], unit.left(x))
    assert torch.equal(y[:, 1::2], unit.right(x))


@pytest.mark.parametrize(
    ("name", "channels"), [("shufflenet_v2_05", [48, 96, 192, 1024]), ("shufflenet_v2_20", [244, 488, 976, 2048])]
)
def test_the_maps_have_the_sizes_of_table_5(name, channels):
    with torch.device("meta"):
        x, model, shapes = torch.empty(1, 3, 224, 224), registry.build(name), []
    for child in ("stem", "stage1", "stage2", "stage3", "stage4"):
        x = getattr(model, child)(x)
        shapes.append((x.shape[1], x.shape[2]))
    assert shapes == [(24, 56), *zip(channels, (28, 14, 7, 7), strict=True)]
