import math
import os
import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.zoo.resnet import BasicBlock, PaddedIdentity, projection


def test_shortcut_a_takes_every_second_pixel_and_pads_channels_with_zeros():
    x = torch.arange(1.0, 19.0).reshape(1, 2, 3, 3)
    y = PaddedIdentity(2, 4, 2)(x)
    zeros = [[0.0, 0.0], [0.0, 0.0]]
    assert y.tolist() == [[zeros, [[1.0, 3.0], [7.0, 9.0]], [[10.0, 12.0], [16.0, 18.0]], zeros]]
    assert not list(PaddedIdentity(2, 4, 2).parameters())


@pytest.mark.parametrize("shortcut", [PaddedIdentity, projection])
@pytest.mark.parametrize("size", [1, 6, 7])
def test_a_block_with_stride_two_halves_the_map_rounding_up(shortcut, size):
    block = BasicBlock(4, 8, stride=2, shortcut=shortcut).eval()
    assert block(torch.zeros(2, 4, size, size)).shape == (2, 8, math.ceil(size / 2), math.ceil(size / 2))


def test_a_block_is_relu_of_residual_plus_projection():
    torch.manual_seed(0)
    block, x = BasicBlock(3, 5, stride=2, shortcut=projection).double(), torch.randn(4, 3, 6, 6).double()

    def conv_bn(x, weight, stride=1):
        maps = F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)
        mean, var = maps.mean((0, 2, 3), keepdim=True), maps.var((0, 2, 3), keepdim=True, unbiased=False)
        return (maps - mean) / (var + 1e-5).sqrt()

    residual = conv_bn(conv_bn(x, block.conv1.weight, 2).relu(), block.conv2.weight)
    expected = (residual + conv_bn(x, block.shortcut.conv.weight, 2)).relu()
    torch.testing.assert_close(block(x), expected)


def test_a_block_whose_residual_is_zero_is_the_identity_on_positive_maps():
    block, x = BasicBlock(3, 3, stride=1, shortcut=projection).eval(), torch.rand(1, 3, 5, 5)
    nn.init.zeros_(block.bn2.weight)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize(
    ("name", "blocks", "shortcuts"),
    [("resnet18", [2, 2, 2, 2], 3), ("resnet34", [3, 4, 6, 3], 3), ("cifar_resnet56", [9, 9, 9], 2)],
)
def test_blocks_per_stage_and_shortcuts_only_where_shapes_change(name, blocks, shortcuts):
    model = registry.build(name)
    assert [len(stage) for key, stage in model.named_children() if key.startswith("stage")] == blocks
    identities = [isinstance(m.shortcut, nn.Identity) for m in model.modules() if isinstance(m, BasicBlock)]
    assert identities.count(False) == shortcuts


@pytest.mark.parametrize(
    ("name", "size", "shape"), [("resnet18", 224, (512, 7, 7)), ("cifar_resnet20", 32, (64, 8, 8))]
)
def test_the_last_map_has_the_size_the_paper_prints(name, size, shape):
    with torch.device("meta"):
        assert registry.build(name).features(torch.empty(1, 3, size, size)).shape == (1, *shape)


def test_convolutions_are_he_normal_by_fan_out():
    torch.manual_seed(0)
    conv = registry.build("resnet18").stage3.block1.conv1
    assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 256)), rel=0.01)


WEIGHTS = Path(os.environ.get("FOVEA_DATA", "")) / "weights" / "resnet20-12fca82f.th"


def our_name(key: str) -> str:
    key = key.removeprefix("module.").replace("linear", "head.logits")
    if match := re.fullmatch(r"layer(\d)\.(\d)\.(.+)", key):
        return f"stage{match[1]}.block{int(match[2]) + 1}.{match[3]}"
    return key.replace("conv1", "stem.conv").replace("bn1", "stem.bn")


@pytest.mark.skipif(not WEIGHTS.is_file(), reason="FOVEA_DATA holds no weights/resnet20-12fca82f.th")
def test_published_weights_of_resnet20_fit_every_key_and_shape():
    published = torch.load(WEIGHTS, weights_only=True, map_location="cpu")["state_dict"]
    own = {k: v.shape for k, v in registry.build("cifar_resnet20").state_dict().items() if "num_batches" not in k}
    assert {our_name(k): v.shape for k, v in published.items() if "num_batches" not in k} == own
