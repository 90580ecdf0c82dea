import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import ShapeError
from fovea.zoo.inception_resnet import FIGURE_10, InceptionResidual

NAMES = ("inception_resnet_v1", "inception_resnet_v2")


def on_meta(name, **arguments):
    with torch.device("meta"):
        return registry.build(name, **arguments)


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def test_a_block_written_out():
    torch.manual_seed(0)
    block, x = InceptionResidual(3, FIGURE_10, scale=0.17).eval(), torch.randn(2, 3, 6, 7)
    chains = [getattr(block.branches, f"branch{i}") for i in (1, 2, 3)]
    assert [len(chain) for chain in chains] == [1, 2, 3]
    expanded = block.expand(torch.cat([chain(x) for chain in chains], 1))
    torch.testing.assert_close(block(x), (x + 0.17 * expanded).relu())


def test_a_block_without_activation_and_whose_last_weights_are_zero_is_the_identity():
    block, x = InceptionResidual(3, FIGURE_10, scale=1.0, relu=False).eval(), torch.randn(1, 3, 5, 5)
    nn.init.zeros_(block.expand.weight)
    nn.init.zeros_(block.expand.bias)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # Szegedy et al. 2016, Figure 15
        ("inception_resnet_v1", [(256, 35, 35), (256, 35, 35), (896, 17, 17), (1792, 8, 8)]),
        # the published network
        ("inception_resnet_v2", [(320, 35, 35), (320, 35, 35), (1088, 17, 17), (1536, 8, 8)]),
    ],
)
def test_maps_of_the_stages(name, expected):
    model, x, found = on_meta(name), torch.empty(1, 3, 299, 299, device="meta"), []
    for child in ("stem", "stage1", "stage2", "stage3"):
        x = getattr(model, child)(x)
        found.append(tuple(x.shape[1:]))
    assert found == expected


@pytest.mark.parametrize(
    ("name", "blocks", "scales"),
    [
        ("inception_resnet_v1", [5, 10, 5], [0.17, 0.1, 0.2]),
        ("inception_resnet_v2", [10, 20, 10], [0.17, 0.1, 0.2]),
    ],
)
def test_blocks_and_their_scales(name, blocks, scales):
    model = on_meta(name)
    stages = [
        [m for m in getattr(model, f"stage{i}").children() if isinstance(m, InceptionResidual)] for i in (1, 2, 3)
    ]
    assert [len(stage) for stage in stages] == blocks
    assert [stage[0].scale for stage in stages] == scales
    last = stages[-1][-1]
    published = name == "inception_resnet_v2"
    assert (last.scale, isinstance(last.relu, nn.Identity)) == ((1.0, True) if published else (0.2, False))


def test_the_first_version_has_the_parameters_of_its_port():
    # The port of FaceNet's Inception-ResNet-v1 has 23,995,624 parameters with 1000 classes: a sixth block C, a dense
    # layer of 512 without bias, its batch norm, logits
    model = on_meta("inception_resnet_v1")
    body = parameters(model) - parameters(model.head)
    port = parameters(model.stage3.inception_c5) + 1792 * 512 + 2 * 512 + 512 * 1000 + 1000
    assert body + port == 23_995_624


def test_the_1x1_before_a_sum_has_a_bias_and_no_batch_norm():
    # Keras counts 45,760 biases of convolutions in Inception-ResNet-v2
    biases = [m.bias for m in on_meta("inception_resnet_v2").modules() if isinstance(m, nn.Conv2d)]
    assert sum(bias.numel() for bias in biases if bias is not None) == 45_760


@pytest.mark.parametrize("name", NAMES)
def test_the_smallest_input_is_75_pixels(name):
    assert on_meta(name, classes=2, size=75).eval()(torch.empty(1, 3, 75, 75, device="meta")).shape == (1, 2)
    layer = "stage3.reduction_b.branch1.conv2.conv"
    with pytest.raises(ShapeError, match=rf"Layer `{layer}` \(3x3\).*must be at least 75\."):
        on_meta(name, size=74)
