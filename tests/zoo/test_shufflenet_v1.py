import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.zoo.shufflenet_v1 import Unit


def test_a_unit_whose_residual_is_zero_is_the_identity_on_positive_maps():
    unit, x = Unit(8, 8, stride=1, groups=2, first_groups=2).eval(), torch.rand(2, 8, 5, 5)
    nn.init.zeros_(unit.bn3.weight)
    assert torch.equal(unit(x), x)


@pytest.mark.parametrize("size", [6, 7])
def test_stride_two_averages_the_input_and_puts_new_channels_beside_it(size):
    unit, x = Unit(8, 24, stride=2, groups=2, first_groups=2).eval(), torch.rand(2, 8, size, size)
    y = unit(x)
    assert y.shape == (2, 24, (size + 1) // 2, (size + 1) // 2)
    torch.testing.assert_close(y[:, :8], F.avg_pool2d(x, 3, stride=2, padding=1))


@pytest.mark.parametrize("shuffled", [True, False])
def test_through_the_shuffle_every_group_hears_of_every_other(monkeypatch, shuffled):
    # Figure 1: without it an output channel sees the inputs of its own group only
    if not shuffled:
        monkeypatch.setattr("fovea.zoo.shufflenet_v1.channel_shuffle", lambda x, groups: x)
    torch.manual_seed(0)
    unit, x = Unit(64, 64, stride=1, groups=4, first_groups=4), torch.rand(4, 64, 3, 3, requires_grad=True)
    unit.shortcut = nn.Identity()
    new = unit(x) - x.detach().relu()
    new[:, 0].sum().backward()  # an output of the first group
    heard = x.grad.reshape(4, 4, 16, 9).abs().sum((0, 2, 3)) > 0
    assert heard.tolist() == [True, shuffled, shuffled, shuffled]


def test_the_first_1x1_convolution_has_no_groups():
    with torch.device("meta"):
        model = registry.build("shufflenet_v1_g8")
    groups = [m.conv1.groups for m in model.modules() if isinstance(m, Unit)]
    assert groups == [1] + 15 * [8]


@pytest.mark.parametrize(("groups", "channels"), [(1, [144, 288, 576]), (3, [240, 480, 960]), (8, [384, 768, 1536])])
def test_the_maps_have_the_sizes_of_table_1(groups, channels):
    with torch.device("meta"):
        x, model, shapes = torch.empty(1, 3, 224, 224), registry.build(f"shufflenet_v1_g{groups}"), []
    for child in ("stem", "stage1", "stage2", "stage3"):
        x = getattr(model, child)(x)
        shapes.append((x.shape[1], x.shape[2]))
    assert shapes == [(24, 56), *zip(channels, (28, 14, 7), strict=True)]
