import os
from pathlib import Path

import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import UsageError
from fovea.zoo.mobilenet_v2 import InvertedResidual, rounded


def test_a_block_expands_filters_and_projects_without_a_last_relu():
    block = InvertedResidual(4, 6, stride=2, expand=3)
    kinds = [type(layer).__name__ for layer in block.residual]
    assert kinds == ["Conv2d", "BatchNorm2d", "ReLU6"] * 2 + ["Conv2d", "BatchNorm2d"]
    convs = [m for m in block.modules() if isinstance(m, nn.Conv2d)]
    assert [(m.in_channels, m.out_channels, m.groups) for m in convs] == [(4, 12, 1), (12, 12, 12), (12, 6, 1)]
    assert block(torch.randn(3, 4, 5, 5)).min() < 0


@pytest.mark.parametrize(("c_out", "stride", "adds"), [(4, 1, True), (4, 2, False), (6, 1, False)])
def test_the_input_is_added_where_shapes_agree(c_out, stride, adds):
    block, x = InvertedResidual(4, c_out, stride=stride, expand=6).eval(), torch.randn(1, 4, 7, 7)
    nn.init.zeros_(block.residual.bn3.weight)
    y = block(x)
    assert y.shape == (1, c_out, 7 if stride == 1 else 4, 7 if stride == 1 else 4)
    assert torch.equal(y, x) if adds else not y.any()


def test_expansion_by_one_is_left_out():
    assert not hasattr(InvertedResidual(4, 4, stride=1, expand=1).residual, "expand")


@pytest.mark.parametrize(("channels", "multiple"), [(32, 32), (11.2, 16), (8.4, 8), (3, 8), (33.6, 32), (44.8, 48)])
def test_channels_are_rounded_to_multiples_of_8_and_lose_a_tenth_at_most(channels, multiple):
    assert rounded(channels) == multiple


def test_the_maps_have_the_sizes_of_table_2():
    with torch.device("meta"):
        x, model, shapes = torch.empty(1, 3, 224, 224), registry.build("mobilenet_v2"), []
    for child in ("stem", *(f"stage{i}" for i in range(1, 9))):
        x = getattr(model, child)(x)
        shapes.append((x.shape[1], x.shape[2]))
    assert shapes == [
        *((32, 112), (16, 112), (24, 56), (32, 28), (64, 14), (96, 14), (160, 7), (320, 7), (1280, 7)),
    ]


def test_a_thin_network_keeps_1280_maps_before_the_logits():
    with torch.device("meta"):
        inputs = [registry.build("mobilenet_v2", width=width).head.logits.in_features for width in (0.35, 1.0, 1.4)]
    assert inputs == [1280, 1280, 1792]
    with pytest.raises(UsageError, match=r"`width` \(=0\.0\) must be above 0"):
        registry.build("mobilenet_v2", width=0.0)


WEIGHTS = Path(os.environ.get("FOVEA_DATA", "")) / "weights" / "mobilenet_v2-imagenet-dequant.pth"


@pytest.mark.skipif(not WEIGHTS.is_file(), reason="FOVEA_DATA holds no weights of MobileNetV2")
def test_published_weights_fit_every_key_and_shape():
    published = torch.load(WEIGHTS, weights_only=True, map_location="cpu")
    peer = registry.entry("mobilenet_v2").peers["torchvision"]
    registry.build("mobilenet_v2").load_state_dict({peer.renamed(key): value for key, value in published.items()})
