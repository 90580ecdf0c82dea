import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import UsageError
from fovea.layers import SqueezeExcitation
from fovea.zoo.resnet import Residual, Stage, bottleneck
from fovea.zoo.resnext import grouped_bottleneck
from fovea.zoo.senet import se_bottleneck, se_grouped_bottleneck


def test_the_bottleneck_is_that_of_resnet_with_its_channels_weighed():
    torch.manual_seed(0)
    stage, x = Stage(4, 32, 1, 2), torch.randn(2, 6, 7, 7)
    chain = se_bottleneck(6, stage, stride=2, stride_in="3x3", reduction=16)
    without = bottleneck(6, stage, stride=2)
    without.load_state_dict({name: tensor for name, tensor in chain.state_dict().items() if "se." not in name})
    torch.testing.assert_close(chain(x), chain.se(without(x)))
    assert tuple(chain.se.excitation.reduce.weight.shape) == (2, 32, 1, 1)


def test_the_grouped_bottleneck_is_that_of_resnext_with_its_channels_weighed():
    torch.manual_seed(0)
    stage, x = Stage(8, 32, 1, 2), torch.randn(2, 6, 7, 7)
    chain = se_grouped_bottleneck(6, stage, stride=2, cardinality=4, reduction=16)
    without = grouped_bottleneck(6, stage, stride=2, cardinality=4)
    without.load_state_dict({name: tensor for name, tensor in chain.state_dict().items() if "se." not in name})
    torch.testing.assert_close(chain(x), chain.se(without(x)))


@pytest.mark.parametrize("depth", [50, 101])
def test_the_gates_of_seresnext_are_those_of_seresnet(depth):
    # Hu et al. 2017, equation 5 and the biases: the gates see the blocks' outputs, which are those of ResNet
    blocks = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}[depth]
    stages = list(zip(blocks, (256, 512, 1024, 2048), strict=True))
    gates = sum(n * (2 * c * (c // 16) + c + c // 16) for n, c in stages)
    assert registry.entry(f"seresnext{depth}_32x4d").params - registry.entry(f"resnext{depth}_32x4d").params == gates


@pytest.mark.parametrize(("name", "gflops"), [("seresnext50_32x4d", 4.25), ("seresnext101_32x4d", 8.00)])
def test_macs_are_those_of_table_2(name, gflops):
    # the paper counts pooling, which is not counted here
    assert registry.entry(name).macs / 1e9 == pytest.approx(gflops, rel=0.01)


def test_the_weighing_comes_before_the_sum():
    # Hu et al. 2017, Figure 3: scale, then add the shortcut
    torch.manual_seed(0)
    with torch.device("meta"):
        model = registry.build("seresnet50")
    blocks = [m for m in model.modules() if isinstance(m, Residual)]
    assert all(isinstance(block.residual[-1], SqueezeExcitation) for block in blocks) and len(blocks) == 16


def test_senet_154_halves_the_first_convolution_and_projects_by_3x3_where_the_map_shrinks():
    with torch.device("meta"):
        model = registry.build("senet154")
    first = [getattr(model, f"stage{i}").block1 for i in range(1, 5)]
    assert [block.residual.conv1.out_channels for block in first] == [128, 256, 512, 1024]
    assert [block.residual.conv2.out_channels for block in first] == [256, 512, 1024, 2048]
    assert [block.shortcut.conv.kernel_size[0] for block in first] == [1, 3, 3, 3]
    assert {block.residual.conv2.groups for block in first} == {64}
    assert isinstance(model.stage2.block2.shortcut, nn.Identity)


def test_senet_154_has_dropout_before_its_logits():
    with torch.device("meta"):
        model = registry.build("senet154")
    assert [(type(m).__name__, getattr(m, "p", None)) for m in model.head][2:] == [("Dropout", 0.2), ("Linear", None)]


def test_the_reduction_must_be_positive():
    with pytest.raises(UsageError, match=r"`reduction` \(=0\) must be at least 1\."):
        registry.build("seresnet50", reduction=0)
