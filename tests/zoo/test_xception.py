import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import ShapeError
from fovea.zoo.xception import Block, XceptionBlock, separable


def on_meta(**arguments):
    with torch.device("meta"):
        return registry.build("xception", **arguments)


def test_a_separable_convolution_is_one_of_rank_one_for_each_pair_of_channels():
    torch.manual_seed(0)
    layer, x = separable(3, 5).double(), torch.randn(2, 3, 6, 7, dtype=torch.float64)
    kernel = layer.pointwise.weight * layer.depthwise.weight.transpose(0, 1)
    torch.testing.assert_close(layer(x), F.conv2d(x, kernel, padding=1))


def test_a_block_of_the_middle_flow_whose_batch_norm_is_zero_is_the_identity():
    block, x = XceptionBlock(3, Block((3, 3, 3), 1)).eval(), torch.randn(1, 3, 5, 5)
    nn.init.zeros_(block.residual.bn3.weight)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("size", [1, 6, 7])
def test_a_block_with_stride_halves_the_map_rounding_up(size):
    block = XceptionBlock(3, Block((4, 5), 2, relu=False)).eval()
    assert [name for name, _ in block.residual.named_children()][:2] == ["separable1", "bn1"]
    assert block(torch.zeros(2, 3, size, size)).shape == (2, 5, (size + 1) // 2, (size + 1) // 2)


def test_the_maps_of_the_three_flows():
    # Chollet 2016, Figure 5: entry to 19 x 19 x 728, middle eight times the same, exit to 2048 channels
    model, x = on_meta(), torch.empty(1, 3, 299, 299, device="meta")
    shapes = []
    for name in ("stem", "stage1", "stage2", "stage3"):
        x = getattr(model, name)(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(64, 147, 147), (728, 19, 19), (728, 19, 19), (2048, 10, 10)]
    assert len(model.stage2) == 8


def test_36_convolutional_layers():
    # Chollet 2016, section 4: 36 convolutional layers, a separable one counted once; without the projections
    names = [name for name, m in on_meta().named_modules() if isinstance(m, nn.Conv2d)]
    assert sum("depthwise" not in name and "shortcut" not in name for name in names) == 36


def test_the_smallest_input_is_7_pixels():
    assert on_meta(classes=2, size=7).eval()(torch.empty(1, 3, 7, 7, device="meta")).shape == (1, 2)
    with pytest.raises(ShapeError, match=r"Layer `stem.conv2` \(3x3\) does not fit.*must be at least 7\."):
        on_meta(size=6)
