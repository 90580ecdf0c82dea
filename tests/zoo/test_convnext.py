import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import UsageError
from fovea.layers import StochasticDepth
from fovea.zoo.convnext import SECTION_3, Block, ChannelNorm


def on_meta(name, **arguments):
    with torch.device("meta"):
        return registry.build(name, **arguments)


def test_channels_are_normalised_at_each_pixel():
    norm, x = ChannelNorm(2), torch.tensor([[[[1.0, 0.0]], [[3.0, 0.0]]]])  # two pixels: (1, 3) and (0, 0)
    torch.testing.assert_close(norm(x), torch.tensor([[[[-1.0, 0.0]], [[1.0, 0.0]]]]), atol=1e-5, rtol=0)


def test_a_block_is_one_depthwise_convolution_one_norm_and_one_activation():
    # Liu et al. 2022, Figure 4, right
    block = Block(8, StochasticDepth(0.0))
    kinds = [type(layer).__name__ for layer in block.residual]
    assert kinds == ["Conv2d", "ChannelNorm", "Conv2d", "GELU", "Conv2d"]
    convs = [m for m in block.modules() if isinstance(m, nn.Conv2d)]
    assert [(m.kernel_size[0], m.in_channels, m.out_channels, m.groups) for m in convs] == [
        *((7, 8, 8, 8), (1, 8, 32, 1), (1, 32, 8, 1)),
    ]


def test_a_new_block_nearly_passes_its_input_on_and_its_scale_is_by_channel():
    torch.manual_seed(0)
    block, x = Block(4, StochasticDepth(0.0)), torch.randn(2, 4, 9, 9)
    torch.testing.assert_close(block(x), x, atol=1e-4, rtol=0)
    with torch.no_grad():
        block.scale.copy_(torch.tensor([0.0, 1.0, 2.0, 3.0])[:, None, None])
    torch.testing.assert_close(block(x), x + torch.arange(4.0)[:, None, None] * block.residual(x))


@pytest.mark.parametrize(
    ("name", "widths"),
    [("convnext_tiny", (96, 192, 384, 768)), ("convnext_large", (192, 384, 768, 1536))],
)
def test_the_maps_have_the_sizes_of_table_9(name, widths):
    model, x, maps = on_meta(name), torch.empty(1, 3, 224, 224, device="meta"), []
    for child in ("stem", "stage1", "stage2", "stage3", "stage4"):
        x = getattr(model, child)(x)
        maps.append((x.shape[1], x.shape[2]))
    assert maps == [(widths[0], 56), *zip(widths, (56, 28, 14, 7), strict=True)]


def test_tiny_has_the_blocks_of_swin_t_and_the_others_27_in_the_third_stage():
    assert {key: size.B for key, size in SECTION_3.items()} == {
        "T": (3, 3, 9, 3),
        **dict.fromkeys("SBL", (3, 3, 27, 3)),
    }


@pytest.mark.parametrize(("name", "rate"), [("tiny", 0.1), ("small", 0.4), ("base", 0.5), ("large", 0.5)])
def test_stochastic_depth_grows_evenly_to_the_rate_of_table_5(name, rate):
    rates = [m.rate for m in on_meta(f"convnext_{name}").modules() if isinstance(m, StochasticDepth)]
    steps = torch.tensor(rates).diff()
    assert (rates[0], rates[-1]) == (0.0, rate)
    torch.testing.assert_close(steps, torch.full_like(steps, rate / (len(rates) - 1)))
    with pytest.raises(UsageError, match=r"`stochastic_depth` \(=1\.0\) must be at least 0"):
        registry.build(f"convnext_{name}", stochastic_depth=1.0)
