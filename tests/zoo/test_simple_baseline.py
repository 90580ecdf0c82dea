import pytest
import torch

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import UsageError


def on_meta(**arguments):
    with torch.device("meta"):
        return registry.build("simple_baseline", **arguments).eval()


@pytest.mark.parametrize(
    ("backbone", "enlargements"), [("resnet50", 3), ("mobilenet_v2", 3), ("vgg11", 3), ("cifar_resnet20", 0)]
)
def test_as_many_enlargements_as_lead_to_stride_4(backbone, enlargements):
    model = on_meta(backbone=backbone, classes=5, width=8)
    assert model(torch.empty(1, 3, 64, 96, device="meta")).shape == (1, 5, 16, 24)
    assert [name for name, _ in model.head.ups.named_children() if name.startswith("up")] == [
        f"up{i}" for i in range(1, enlargements + 1)
    ]


@pytest.mark.parametrize("size", [(33, 40), (1, 5)])
def test_there_is_a_place_for_every_four_pixels_begun(size):
    maps = on_meta(backbone="resnet18", classes=2, width=8)(torch.empty(1, 3, *size, device="meta"))
    assert maps.shape == (1, 2, -(-size[0] // 4), -(-size[1] // 4))


def test_heat_maps_begin_flat():
    torch.manual_seed(0)
    y = registry.build("simple_baseline", backbone="resnet18", width=8).eval()(torch.randn(1, 3, 64, 64))
    assert y.abs().max() < 0.01


def test_a_backbone_that_cannot_lead_to_stride_4_is_refused():
    with pytest.raises(UsageError, match=r"`backbone` \(=foveola\) must end at a stride of 4 or more"):
        on_meta(backbone="foveola")
