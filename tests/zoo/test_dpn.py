import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.zoo.dpn import DualPath, Stage


def bn_relu(x):
    mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), keepdim=True, unbiased=False)
    return ((x - mean) / (var + 1e-3).sqrt()).relu()


def branch(x, chain, stride, groups):
    y = F.conv2d(bn_relu(x), chain.conv1.weight)
    y = F.conv2d(bn_relu(y), chain.conv2.weight, stride=stride, padding=1, groups=groups)
    return F.conv2d(bn_relu(y), chain.conv3.weight)


def test_a_block_adds_to_the_first_channels_and_appends_the_others():
    torch.manual_seed(0)
    block = DualPath(11, Stage(4, 5, 2, 2, 1), stride=1, groups=2, first=False).double()
    x = torch.randn(4, 11, 6, 6).double()
    y = branch(x, block.residual, 1, 2)
    out = block(x)
    assert out.shape == (4, 13, 6, 6)
    torch.testing.assert_close(out[:, :5], x[:, :5] + y[:, :5])
    assert torch.equal(out[:, 5:11], x[:, 5:])
    torch.testing.assert_close(out[:, 11:], y[:, 5:])


@pytest.mark.parametrize("stride", [1, 2])
def test_the_first_block_of_a_stage_projects_both_parts(stride):
    torch.manual_seed(0)
    block = DualPath(6, Stage(4, 5, 2, 2, stride), stride=stride, groups=2, first=True).double()
    x = torch.randn(4, 6, 7, 7).double()
    y, w = branch(x, block.residual, stride, 2), F.conv2d(bn_relu(x), block.shortcut.conv.weight, stride=stride)
    assert w.shape[1] == 5 + 2 * 2
    torch.testing.assert_close(block(x), torch.cat((w[:, :5] + y[:, :5], w[:, 5:], y[:, 5:]), dim=1))


@pytest.mark.parametrize(("name", "c"), [("dpn68", 832), ("dpn92", 2688), ("dpn131", 2688)])
def test_channels_of_the_last_map(name, c):
    # c + (2 + n) k: 512 + 5 * 64; 2048 + 5 * 128
    with torch.device("meta"):
        model = registry.build(name)
        assert model.features(torch.empty(1, 3, 224, 224)).shape == (1, c, 7, 7)


@pytest.mark.parametrize(("name", "layers"), [("dpn68", 68), ("dpn92", 92), ("dpn131", 131)])
def test_networks_have_as_many_weighted_layers_as_their_name(name, layers):
    with torch.device("meta"):
        model = registry.build(name)
    # the four projections are not counted: DPN-131 has 43 blocks, 3 * 43 + 2
    assert sum(isinstance(m, nn.Conv2d | nn.Linear) for m in model.modules()) - 4 == layers


@pytest.mark.parametrize(("name", "megabytes", "gflops"), [("dpn92", 145, 6.5), ("dpn131", 304, 16.0)])
def test_size_and_macs_are_those_of_the_paper(name, megabytes, gflops):
    # Chen et al. 2017, Table 2; the files hold the moving means and variances too
    with torch.device("meta"):
        model = registry.build(name)
    values = sum(t.numel() for key, t in model.state_dict().items() if not key.endswith("num_batches_tracked"))
    assert values * 4 / 2**20 == pytest.approx(megabytes, abs=1)
    assert round(registry.entry(name).macs / 1e9, 1) == gflops


def test_pixels_of_published_weights_are_multiplied_by_the_same_number_in_all_channels():
    # github.com/cypw/DPNs: minus [124, 117, 104], times 0.0167, of pixels from 0 to 255
    peer = registry.entry("dpn92").peers["timm"]
    white = [(1 - mean) / std for mean, std in zip(peer.mean, peer.std, strict=True)]
    assert white == pytest.approx([(255 - mean) * 0.0167 for mean in (124, 117, 104)])
