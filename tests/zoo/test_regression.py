import pytest
import torch

import fovea.zoo  # noqa: F401
from fovea import registry


def test_a_localiser_begins_with_the_middle_of_the_image():
    torch.manual_seed(0)
    model = registry.build("localiser", classes=3, size=64, backbone="cifar_resnet20").eval()
    y = model(torch.rand(2, 3, 64, 64))
    assert y.shape == (2, 7)
    torch.testing.assert_close(y[:, 3:], torch.tensor([[0.25, 0.25, 0.75, 0.75]] * 2), atol=0.2, rtol=0)


def test_points_begin_in_the_middle_of_the_image():
    torch.manual_seed(0)
    model = registry.build("point_regression", classes=4, size=64, backbone="cifar_resnet20").eval()
    y = model(torch.rand(2, 3, 64, 64))
    assert y.shape == (2, 8)
    torch.testing.assert_close(y, torch.full((2, 8), 0.5), atol=0.2, rtol=0)


@pytest.mark.parametrize("name", ["localiser", "point_regression"])
@pytest.mark.parametrize(("backbone", "size"), [("resnet18", 33), ("vgg11", 50), ("foveola", 32)])
def test_the_dense_layer_has_the_size_of_the_last_map(name, backbone, size):
    with torch.device("meta"):
        model = registry.build(name, size=size, backbone=backbone).eval()
        assert len(model(torch.empty(1, 3, size, size))) == 1


def test_coordinates_depend_on_the_place():
    # an average over all places would not tell a shifted map from the map
    torch.manual_seed(0)
    head = registry.build("point_regression", classes=1, size=32, backbone="cifar_resnet20").head.eval()
    torch.nn.init.normal_(head.dense.weight)
    x = torch.zeros(1, 64, 8, 8)
    x[..., 2, 2] = 1.0
    assert (head(x) - head(x.roll(3, -1))).abs().max() > 0.01
