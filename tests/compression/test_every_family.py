"""The contract of channel groups over one network of every family of the zoo."""

import copy
import re

import pytest
import torch

from fovea.compression.changes import changed
from fovea.compression.channels import channel_groups, remove
from tests.support.wirings import built, half, zero

FAST = [
    # network, input, percent of the channels that may go at least
    ("lenet1", (1, 28, 28), 59),
    ("mlp", (1, 28, 28), 92),
    ("cifar_convnetjs", (3, 32, 32), 80),
    ("cifar_resnet20", (3, 32, 32), 96),
    ("fcn_1d", (1, 150), 97),
    ("squeezenet1_1", (3, 64, 64), 99),
    ("mobilenet_v2_035", (3, 32, 32), 99),
    ("shufflenet_v1_g3", (3, 32, 32), 68),
    ("r3d_8", (1, 8, 32, 32), 95),
    ("capsnet_digits", (1, 16, 16), 49),
    ("causal_1d", (1, 64), 0),
    ("pattern", (3, 32, 32), 93),
]
SLOW = [
    ("cifar_nin", (3, 32, 32), 99),
    ("vgg_block3", (3, 32, 32), 97),
    ("cifar_densenet100_12", (3, 32, 32), 99),
    ("waveform_m3", (1, 8000), 97),
    ("mobilenet_v1_025", (3, 32, 32), 99),
    ("mobilenet_v3_small", (3, 32, 32), 99),
    ("shufflenet_v2_05", (3, 32, 32), 99),
    ("neocognitron_1980", (1, 16, 16), 0),
    ("regnet_y_400mf", (3, 32, 32), 99),
    ("foveola", (3, 32, 32), 98),
    ("alexnet", (3, 96, 96), 99),
    ("cifar_all_cnn_c", (3, 32, 32), 98),
    ("dogs_vs_cats", (3, 64, 64), 99),
    ("googlenet_bn", (3, 64, 64), 99),
    ("vgg11", (3, 32, 32), 99),
    ("vgg_1d", (1, 150), 99),
    ("bn_inception", (3, 64, 64), 99),
    ("inception_v3", (3, 96, 96), 99),
    ("prelu_net_a", (3, 64, 64), 99),
    ("resnet50", (3, 64, 64), 99),
    ("inception_resnet_v1", (3, 96, 96), 99),
    ("inception_v4", (3, 96, 96), 99),
    ("pyramidnet200_300", (3, 32, 32), 99),
    ("resnext50_32x4d", (3, 32, 32), 99),
    ("resnet50_v2", (3, 32, 32), 99),
    ("cifar_wrn40_2", (3, 32, 32), 98),
    ("xception", (3, 96, 96), 99),
    ("dpn68", (3, 32, 32), 99),
    ("nasnet_mobile", (3, 64, 64), 99),
    ("attention56", (3, 64, 64), 99),
    ("seresnext50_32x4d", (3, 32, 32), 99),
    ("cbam_resnet50", (3, 32, 32), 99),
    ("mnasnet_a1", (3, 32, 32), 99),
    ("efficientnet_b0", (3, 32, 32), 99),
    ("cifar_sparse_resnet18", (3, 32, 32), 0),
    ("efficientnet_v2_s", (3, 32, 32), 99),
    ("repvgg_a0", (3, 32, 32), 98),
    ("convnext_tiny", (3, 64, 64), 99),
]
CASES = [*FAST, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)]


@torch.no_grad()
def check(name, shape, least):
    model = built(name, shape)
    found = channel_groups(model, shape)
    for group in found.fixed:
        assert re.search(r"`.+`|network's", group.fixed), f"{group.name}: {group.fixed}"
    share = 100 * sum(map(len, found.free)) / sum(map(len, found.groups))
    assert share >= least
    keep = {}
    for group in found.free:
        gone, keep[group.name] = half(group)
        zero(model, found, group, gone)
    x = torch.randn(2, *shape)
    was, small = model(x), copy.deepcopy(model)
    changes = remove(small, found, keep)
    now = small(x)
    assert (now - was).abs().max() <= 1e-5 * was.abs().max()
    again = changed(built(name, shape), changes)
    again.load_state_dict(small.state_dict())
    assert torch.equal(again(x), now)


@pytest.mark.parametrize(("name", "shape", "least"), CASES, ids=[case[0] for case in (*FAST, *SLOW)])
def test_channels_that_are_zero_may_go_or_the_reason_names_a_layer(name, shape, least):
    check(name, shape, least)
