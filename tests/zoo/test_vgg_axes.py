import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import ShapeError, UsageError


def test_c3d_by_hand():
    # Tran et al. 2014, Figure 3: 8 convolutions of 3x3x3 from 64 to 512 maps, dense layers of 4096 on 512 x 1 x 4 x 4
    channels = (3, 64, 128, 256, 256, 512, 512, 512, 512)
    convolutions = sum(27 * a * b + b for a, b in zip(channels, channels[1:], strict=False))
    dense = (8192 + 1) * 4096 + (4096 + 1) * 4096 + (4096 + 1) * 487
    assert registry.entry("vgg_3d").params == convolutions + dense == 79_991_015


def test_c3d_pools_no_frames_at_first_and_then_all_axes():
    with torch.device("meta"):
        model, x, maps = registry.build("vgg_3d"), torch.empty(1, 3, 16, 112, 112), []
        for name, stage in model.named_children():
            if name != "head":
                x = stage(x)
                maps.append(tuple(x.shape[1:]))
    assert maps == [(64, 16, 56, 56), (128, 8, 28, 28), (256, 4, 14, 14), (512, 2, 7, 7), (512, 1, 4, 4)]


def test_vgg_1d_by_hand():
    # by poolings of two, 150 steps become 75, 37, 18, 9, 4
    channels = (1, 64, 128, 256, 256, 512, 512, 512, 512)
    convolutions = sum(3 * a * b + b for a, b in zip(channels, channels[1:], strict=False))
    dense = (512 * 4 + 1) * 4096 + (4096 + 1) * 4096 + (4096 + 1) * 2
    assert registry.entry("vgg_1d").params == convolutions + dense == 28_257_154
    assert registry.build("vgg_1d", size=64).head.dense1.in_features == 512 * 2


def test_both_have_the_eight_convolutions_of_column_a():
    for name, kind in (("vgg_1d", nn.Conv1d), ("vgg_3d", nn.Conv3d), ("vgg11", nn.Conv2d)):
        with torch.device("meta"):
            assert sum(isinstance(module, kind) for module in registry.build(name).modules()) == 8


def test_frames_of_clips_are_an_argument_of_their_own():
    with torch.device("meta"):
        model = registry.build("vgg_3d", size=32, frames=32)
        assert model(torch.empty(1, 3, 32, 32, 32)).shape == (1, 487)
    assert registry.fitted("vgg_3d", (1, 8, 32, 48)) == {"c_in": 1, "frames": 8, "size": 48}


def test_a_series_that_is_too_short_is_told_how_long_it_must_be():
    with pytest.raises(ShapeError, match=r"Layer `stage5\.pool` \(2\) .* `size` \(=31\) must be at least 32\."):
        registry.build("vgg_1d", size=31)


def test_only_networks_for_clips_have_frames():
    registry.build("r3d_8", frames=3)  # takes any number
    with pytest.raises(UsageError, match="`vgg_1d` has no argument `frames`"):
        registry.build("vgg_1d", frames=3)
