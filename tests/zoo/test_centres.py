from math import log

import pytest
import torch
from torch.nn import functional as F

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import UsageError
from fovea.zoo.centres import SummedMaps


def test_maps_are_projected_enlarged_and_summed():
    torch.manual_seed(0)
    pyramid = SummedMaps([3, 5, 7], 4).double().eval()
    a, b, c = (torch.randn(2, n, s, s).double() for n, s in ((3, 8), (5, 4), (7, 2)))
    first, second, third = pyramid.laterals
    summed = first(a) + F.interpolate(second(b) + F.interpolate(third(c), scale_factor=2), scale_factor=2)
    torch.testing.assert_close(pyramid(a, b, c), pyramid.smooth(summed))


@pytest.mark.parametrize(("backbone", "laterals"), [("resnet18", 4), ("cifar_resnet20", 1)])
def test_any_network_with_exact_stages_can_be_the_backbone(backbone, laterals):
    with torch.device("meta"):
        model = registry.build("centres", classes=3, c_in=1, backbone=backbone).eval()
        assert model(torch.empty(2, 1, 64, 96)).shape == (2, 7, 16, 24)
    assert len(model.head.pyramid.laterals) == laterals


def test_before_training_centres_are_rare_and_boxes_of_32_pixels():
    torch.manual_seed(0)
    model = registry.build("centres", classes=2, backbone="cifar_resnet20").train()
    y = model(torch.randn(2, 3, 64, 64))
    assert y[:, :2].sigmoid().mean().item() == pytest.approx(0.01, rel=0.1)
    assert y[:, 2:].mean().item() == pytest.approx(log(4.0), abs=0.1)


@pytest.mark.parametrize("backbone", ["foveola"])
def test_a_backbone_whose_cells_drift_over_the_image_is_refused(backbone):
    with pytest.raises(UsageError, match=rf"`backbone` \(={backbone}\) must have feature maps with stride exactly 4"):
        registry.build("centres", backbone=backbone)


def test_a_body_frozen_whole_leaves_the_head_to_learn():
    with torch.device("meta"):
        model = registry.build("centres")
        head = sum(p.numel() for p in model.head.parameters())
        whole = registry.build("resnet18", classes=1)
    body = sum(p.numel() for name, p in whole.named_parameters() if not name.startswith("head."))
    assert registry.entry("centres").params == body + head
