import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.zoo.resnet import Stage
from fovea.zoo.resnet_v2 import PreActivation, bottleneck


def bn_relu(x):
    mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), keepdim=True, unbiased=False)
    return ((x - mean) / (var + 1e-5).sqrt()).relu()


def branch(a, chain, stride):
    inner = bn_relu(F.conv2d(a, chain.conv1.weight))
    inner = bn_relu(F.conv2d(inner, chain.conv2.weight, stride=stride, padding=1))
    return F.conv2d(inner, chain.conv3.weight)


def test_where_shapes_agree_the_input_passes_untouched():
    torch.manual_seed(0)
    block, x = (
        PreActivation(6, Stage(2, 6, 1, 1), stride=1, chain=bottleneck).double(),
        torch.randn(4, 6, 5, 5).double(),
    )
    assert block.projection is None
    torch.testing.assert_close(block(x), x + branch(bn_relu(x), block.residual, 1))


@pytest.mark.parametrize(("c", "stride"), [(8, 2), (8, 1), (6, 2)])
def test_where_they_do_not_the_activated_input_is_projected(c, stride):
    torch.manual_seed(0)
    block = PreActivation(6, Stage(2, c, 1, stride), stride=stride, chain=bottleneck).double()
    x = torch.randn(4, 6, 5, 5).double()
    a = bn_relu(x)
    shortcut = F.conv2d(a, block.projection.weight, stride=stride)
    torch.testing.assert_close(block(x), shortcut + branch(a, block.residual, stride))


def test_the_last_map_is_normalised_and_activated():
    with torch.device("meta"):
        model = registry.build("resnet50_v2")
        assert model.features(torch.empty(1, 3, 224, 224)).shape == (1, 2048, 7, 7)
    assert [type(m) for m in model.stage4[-2:]] == [nn.BatchNorm2d, nn.ReLU]


def test_only_the_first_block_of_a_stage_has_a_projection():
    with torch.device("meta"):
        model = registry.build("resnet101_v2")
    blocks = [block for i in range(1, 5) for block in getattr(model, f"stage{i}") if isinstance(block, PreActivation)]
    assert [block.projection is not None for block in blocks] == [i == 0 for n in (3, 4, 23, 3) for i in range(n)]


def test_resnet_200_has_24_and_36_blocks_in_its_middle_stages():
    with torch.device("meta"):
        model = registry.build("resnet200_v2")
    counts = [sum(isinstance(m, PreActivation) for m in getattr(model, f"stage{i}")) for i in range(1, 5)]
    assert counts == [3, 24, 36, 3]
    # a first convolution, three in each block, the dense layer; the four projections are not counted
    layers = sum(isinstance(m, nn.Conv2d | nn.Linear) for m in model.modules())
    assert layers - 4 == 200 == 1 + 3 * sum(counts) + 1


def test_the_parameters_of_resnet_200():
    # Han et al. 2016, arXiv:1610.02915, table of ImageNet: PreResNet-200, 64.5M
    # timm 1.0.31 has version 1, resnet200: 64,673,832; the norms differ by the same 7,680 as those of 50 layers
    v1, v2 = registry.entry("resnet50").params, registry.entry("resnet50_v2").params
    assert registry.entry("resnet200_v2").params == 64_673_832 - (v1 - v2)
