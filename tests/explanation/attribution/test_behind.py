"""The part of a network behind a layer gives what the whole network does."""

import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import ShapeError, UsageError
from fovea.explanation.attribution.behind import Behind
from fovea.hooks import changed


class Around(nn.Module):
    """A way leads around the layer to a concatenation or to a sum; one ReLU runs three times, in place."""

    def __init__(self, how):
        super().__init__()
        self.how = how
        self.first, self.layer = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 1)
        self.relu, self.dense = nn.ReLU(inplace=True), nn.Linear(8 if how == "cat" else 4, 3)

    def forward(self, x):
        N = len(x)
        x = self.relu(self.first(x))
        y = self.relu(self.layer(x))
        y = torch.cat([x, y], 1) if self.how == "cat" else x + y
        y = self.relu(y - 0.1)
        return self.dense(y.view(N, -1, 36).mean(2) if self.how == "remembers" else y.mean((2, 3)))


@pytest.fixture
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize(("how", "one_image"), [("sum", True), ("cat", False), ("remembers", False)])
@pytest.mark.parametrize("layer", ["layer", "relu"])
def test_any_way_around_the_layer(seeded, how, one_image, layer):
    model, x = Around(how).double().eval(), torch.randn(1, 1, 8, 8, dtype=torch.float64)
    behind = Behind(model, x, layer)
    maps = torch.randn(5, *behind.maps.shape[1:], dtype=torch.float64)
    calls = 0

    def last(output):
        nonlocal calls
        calls += 1
        return maps.clone() if layer == "layer" or calls == 3 else output

    with torch.no_grad(), changed(model, layer, last):
        expected = model(x.repeat(5, 1, 1, 1))
    torch.testing.assert_close(behind(maps), expected)
    torch.testing.assert_close(behind(behind.maps), model(x).detach())
    # behind the last ReLU no way leads around
    assert behind.one_image == (one_image or (layer == "relu" and how == "cat"))


def test_what_stands_before_the_layer_sees_one_image(seeded):
    seen = []
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(48, 2)).eval()
    model[0].register_forward_hook(lambda _, given, __: seen.append(len(given[0])))
    behind = Behind(model, torch.randn(1, 1, 8, 8), "1")
    assert behind.one_image
    seen.clear()
    behind(behind.maps.repeat(7, 1, 1, 1))
    assert seen == [1]


@pytest.mark.parametrize("name", ["cifar_densenet100_12", "googlenet", "squeezenet1_0", "seresnet50"])
def test_networks_of_the_zoo(seeded, name):
    if name not in registry.names():
        pytest.skip("no such network")
    model = registry.build(name, classes=4).eval()
    x = torch.randn(1, 3, 64, 64)
    from fovea.explanation.target_layer import target_layer

    behind = Behind(model, x, target_layer(model, x))
    with torch.no_grad():
        torch.testing.assert_close(behind(behind.maps), model(x))


def test_what_is_no_map_is_refused(seeded):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 2))
    with pytest.raises(ShapeError, match="not a feature map"):
        Behind(model, torch.zeros(1, 1, 8, 8), "2")
    with pytest.raises(ShapeError, match="`x` must contain one image; it contains 2"):
        Behind(model, torch.zeros(2, 1, 8, 8), "0")
    model.unused = nn.ReLU()
    model.forward = lambda x: model[2](model[1](model[0](x)))
    with pytest.raises(UsageError, match="did not run"):
        Behind(model, torch.zeros(1, 1, 8, 8), "unused")
