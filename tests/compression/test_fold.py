import copy
import re

import pytest
import torch
from torch import nn

from fovea.compression.changes import changed
from fovea.compression.fold import fold
from fovea.errors import UsageError
from tests.support.wirings import built


def chain(*layers):
    torch.manual_seed(0)
    model = nn.Sequential(*layers).eval()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            if module.affine:
                module.weight.data.normal_()
                module.bias.data.normal_()
    return model


def difference(model, shape):
    """Fold a network, and return by how much its outputs change, as a share of their scale, and what was folded."""
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        was = model(x)
        folding = fold(model, shape)
        return float((model(x) - was).abs().max() / was.abs().max()), folding


def test_a_norm_behind_a_convolution_scales_its_filters():
    # mean 3, variance 4, scale 6, shift 1: y = 3 (x - 3) + 1 = 3 x - 8
    conv, norm = nn.Conv2d(1, 1, 1, bias=False), nn.BatchNorm2d(1, eps=0)
    model = nn.Sequential(conv, norm).eval()
    with torch.no_grad():
        conv.weight.fill_(2)
        norm.running_mean.fill_(3)
        norm.running_var.fill_(4)
        norm.weight.fill_(6)
        norm.bias.fill_(1)
    folding = fold(model, (1, 2, 2))
    assert folding.changes == [{"kind": "fold", "into": {"1": "0"}}]
    assert (conv.weight.item(), conv.bias.item()) == (6, -8)
    assert isinstance(model[1], nn.Identity)


@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        ((nn.Conv1d(3, 4, 3, bias=False), nn.BatchNorm1d(4)), (3, 8)),
        ((nn.Conv3d(1, 4, 3), nn.BatchNorm3d(4, affine=False)), (1, 4, 4, 4)),
        ((nn.Flatten(), nn.Linear(12, 5), nn.BatchNorm1d(5)), (3, 2, 2)),
        ((nn.Conv2d(4, 8, 3, groups=2, padding=1), nn.BatchNorm2d(8)), (4, 6, 6)),
        ((nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2, bias=False), nn.BatchNorm2d(6)), (4, 5, 5)),
        ((nn.Conv2d(2, 3, 3), nn.AvgPool2d(2), nn.Identity(), nn.BatchNorm2d(3)), (2, 6, 6)),
        ((nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, groups=2)), (4, 6, 6)),
        ((nn.Flatten(), nn.BatchNorm1d(12), nn.Linear(12, 3, bias=False)), (3, 2, 2)),
    ],
    ids=[
        "series",
        "clips",
        "dense",
        "groups",
        "transposed",
        "means between",
        "before, in groups",
        "before a dense layer",
    ],
)
def test_norms_beside_linear_layers_go_and_the_outputs_stay(layers, shape):
    share, folding = difference(chain(*layers), shape)
    assert share < 1e-5
    assert not folding.kept


def test_a_norm_goes_through_maxima_where_no_scale_is_negative():
    layers = (nn.Conv2d(2, 3, 3), nn.MaxPool2d(3, stride=2, padding=1), nn.BatchNorm2d(3))
    model = chain(*layers)
    model[2].weight.data.abs_()
    share, folding = difference(model, (2, 6, 6))
    assert share < 1e-5
    assert folding.changes
    model = chain(nn.Conv2d(2, 3, 3), nn.MaxPool2d(2), nn.BatchNorm2d(3))
    model[2].weight.data[:] = torch.tensor([1, -1, 1])
    share, folding = difference(model, (2, 6, 6))
    assert share == 0
    assert "some of its scales are negative" in folding.kept["2"]


class Twice(nn.Module):
    """One convolution, read by a norm and by the sum."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)

    def forward(self, x):
        y = self.conv(x)
        return y + self.bn(y)


class Tied(nn.Module):
    """One convolution that runs twice, with a norm behind its second run."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)

    def forward(self, x):
        return self.bn(self.conv(torch.relu(self.conv(x))))


@pytest.mark.parametrize(
    ("model", "norm", "reason"),
    [
        (Twice(), "bn", "also used elsewhere"),
        (Tied(), "bn", "`conv` runs 2 times"),
        (nn.Sequential(nn.Conv2d(2, 2, 1), nn.ReLU(), nn.BatchNorm2d(2)), "2", r"follows `1` \(ReLU\)"),
        (nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 2, 3, padding=1)), "0", "`1` pads"),
        (nn.Sequential(nn.BatchNorm2d(2), nn.ConvTranspose2d(2, 2, 3)), "0", "`1` is transposed"),
        (
            nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2, track_running_stats=False)),
            "1",
            "mean and variance of each batch",
        ),
    ],
)
def test_a_norm_that_stays_says_why(model, norm, reason):
    model.eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.bias is not None:
            module.bias.data.fill_(1)
    share, folding = difference(model, (next(model.parameters()).shape[-3] if norm == "bn" else 2, 4, 4))
    assert share == 0
    assert re.search(reason, folding.kept[norm])


@pytest.mark.parametrize(
    ("name", "shape", "norms"),
    [("foveola", (3, 32, 32), 0), ("cifar_resnet20", (3, 32, 32), 0), ("shufflenet_v2_05", (3, 32, 32), 0)],
)
def test_no_norm_of_these_networks_stays(name, shape, norms):
    model = built(name, shape)
    share, folding = difference(model, shape)
    assert share < 1e-5
    assert len(folding.kept) == norms
    again = changed(built(name, shape), folding.changes)
    again.load_state_dict(model.state_dict())


def test_weight_norm_becomes_plain_weights():
    model = built("causal_1d", (1, 64))
    share, folding = difference(model, (1, 64))
    assert share < 1e-5
    assert folding.changes[0]["kind"] == "plain"
    again = changed(built("causal_1d", (1, 64)), folding.changes)
    assert again.state_dict().keys() == model.state_dict().keys()


def test_a_network_without_norms_stays_as_it_is():
    model = nn.Sequential(nn.Conv2d(1, 1, 1))
    before = copy.deepcopy(model.state_dict())
    assert fold(model, (1, 2, 2)).changes == []
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "has `into`"),
        ({"into": []}, "has `into`"),
        ({"into": {}, "more": 1}, "no other field"),
        ({"into": {"1": 0}}, "must name a layer for the norm `1`"),
        ({"into": {"9": "0"}}, "`9`, which the network does not have"),
        ({"into": {"0": "0"}}, "`0`, which is not a batch norm"),
        ({"into": {"1": "1"}}, "into `1`, which is not a convolution"),
        ({"into": {"1": ""}}, "does not have"),
    ],
)
def test_a_change_that_cannot_be_says_why(values, reason):
    with pytest.raises(UsageError, match=reason):
        changed(nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)), [{"kind": "fold", **values}])
