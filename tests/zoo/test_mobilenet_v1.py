import pytest
import torch
from torch.nn import functional as F

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import UsageError
from fovea.zoo.mobilenet_v1 import depthwise_separable


def test_a_block_filters_each_channel_by_itself_then_combines_them():
    torch.manual_seed(0)
    block, x = depthwise_separable(3, 5, stride=2).double(), torch.randn(4, 3, 6, 6).double()

    def bn_relu6(maps):
        mean, var = maps.mean((0, 2, 3), keepdim=True), maps.var((0, 2, 3), keepdim=True, unbiased=False)
        return ((maps - mean) / (var + 1e-5).sqrt()).clamp(0, 6)

    alone = [F.conv2d(x[:, c : c + 1], block.depthwise.weight[c : c + 1], stride=2, padding=1) for c in range(3)]
    combined = torch.einsum("nchw,oc->nohw", bn_relu6(torch.cat(alone, 1)), block.pointwise.weight[:, :, 0, 0])
    torch.testing.assert_close(block(x), bn_relu6(combined))


@pytest.mark.parametrize("c_out", [64, 512])
def test_a_block_costs_one_over_n_plus_one_over_nine_of_a_convolution(c_out):
    # Section 3.1: 1 / N + 1 / D_K^2; weights and multiply-adds are in the same proportion
    block = depthwise_separable(32, c_out, stride=1)
    weights = block.depthwise.weight.numel() + block.pointwise.weight.numel()
    assert weights / (9 * 32 * c_out) == pytest.approx(1 / c_out + 1 / 9)


def test_the_maps_have_the_sizes_of_table_1():
    with torch.device("meta"):
        x, model, shapes = torch.empty(1, 3, 224, 224), registry.build("mobilenet_v1"), []
    for child in ("stem", "stage1", "stage2", "stage3", "stage4", "stage5"):
        x = getattr(model, child)(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(32, 112, 112), (64, 112, 112), (128, 56, 56), (256, 28, 28), (512, 14, 14), (1024, 7, 7)]


def test_width_multiplies_every_channel():
    with torch.device("meta"):
        thin = registry.build("mobilenet_v1", width=0.25)
    assert (thin.stem.conv.out_channels, thin.head.logits.in_features) == (8, 256)
    with pytest.raises(UsageError, match=r"`width` \(=0.01\) must be at least 1/32"):
        registry.build("mobilenet_v1", width=0.01)
