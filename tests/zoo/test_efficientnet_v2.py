import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.layers import StochasticDepth
from fovea.zoo.efficientnet_v2 import Block, Stage, fused_mbconv, mbconv


def on_meta(name, **arguments):
    with torch.device("meta"):
        return registry.build(name, **arguments)


def test_the_fused_block_has_one_full_convolution_for_two():
    # Tan and Le 2021, Figure 2
    row = Stage("mb", 4, 1, 8, 1)
    kernels = {
        made.__name__: [(m.kernel_size[0], m.groups) for m in made(8, row, stride=1) if isinstance(m, nn.Conv2d)]
        for made in (mbconv, fused_mbconv)
    }
    assert kernels == {"mbconv": [(1, 1), (3, 32), (1, 1)], "fused_mbconv": [(3, 1), (1, 1)]}


def test_expansion_by_one_is_the_3x3_alone_and_keeps_its_activation():
    chain = fused_mbconv(8, Stage("fused", 1, 1, 8, 1), stride=1)
    assert [type(layer).__name__ for layer in chain] == ["Conv2d", "BatchNorm2d", "SiLU"]


def test_squeeze_and_excitation_has_a_quarter_of_the_input_channels_before_expansion():
    se = mbconv(8, Stage("mb", 6, 1, 8, 1), stride=1).se
    assert tuple(se.excitation.reduce.weight.shape) == (2, 48, 1, 1)
    assert isinstance(se.excitation.activation, nn.SiLU)


@pytest.mark.parametrize(("c_out", "stride", "adds"), [(4, 1, True), (4, 2, False), (6, 1, False)])
@pytest.mark.parametrize("operator", ["fused", "mb"])
def test_the_input_is_added_where_shapes_agree(operator, c_out, stride, adds):
    row = Stage(operator, 4, stride, c_out, 1)
    block = Block(4, row, stride=stride, stochastic_depth=StochasticDepth(0.0)).eval()
    nn.init.zeros_(block.residual.project_bn.weight)
    x = torch.randn(1, 4, 7, 7)
    y = block(x)
    assert y.shape == (1, c_out, 7 if stride == 1 else 4, 7 if stride == 1 else 4)
    assert torch.equal(y, x) if adds else not y.any()


def test_the_maps_have_the_sizes_of_table_4():
    model, x, maps = on_meta("efficientnet_v2_s"), torch.empty(1, 3, 384, 384, device="meta"), []
    for child in ("stem", *(f"stage{i}" for i in range(1, 8))):
        x = getattr(model, child)(x)
        maps.append((x.shape[1], x.shape[2]))
    assert maps == [
        *((24, 192), (24, 192), (48, 96), (64, 48), (128, 24), (160, 24), (256, 12), (1280, 12)),
    ]


def test_parameters_and_flops_are_about_those_of_table_7():
    # 22M and 8.8B; torchvision counts 8.366 G multiply-adds
    card = registry.entry("efficientnet_v2_s")
    assert 21e6 < card.params < 22e6
    assert round(card.macs / 1e9, 3) == 8.366


def test_forty_blocks_are_left_out_ever_more_often():
    rates = [m.rate for m in on_meta("efficientnet_v2_s").modules() if isinstance(m, StochasticDepth)]
    assert (len(rates), rates[0], rates[-1]) == (40, 0.0, 0.2)
    assert rates == sorted(rates)
