import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import UsageError
from fovea.registry import entry
from fovea.zoo.retinanet import FeaturePyramid, FrozenBatchNorm, _by_anchor, frozen_norms


def on_meta(**arguments):
    with torch.device("meta"):
        return registry.build("retinanet", **arguments).eval()


def test_the_first_anchors_lie_around_the_upper_left_corner():
    anchors = on_meta(backbone="resnet18").anchors((64, 96))
    assert len(anchors) == 9 * (8 * 12 + 4 * 6 + 2 * 3 + 1 * 2 + 1)
    assert anchors[3].tolist() == [-16, -16, 16, 16]  # ratio 1, the smallest of stride 8
    assert anchors[9 + 3].tolist() == [-8, -16, 24, 16]  # one place to the right
    assert anchors[9 * 12 + 3].tolist() == [-16, -8, 16, 24]  # one row down
    h, w = ((anchors[0] - anchors[0].roll(2))[2:].flip(0)).tolist()
    assert (h, w) == (22, 46)  # ratio 0.5: 45.25 and 22.6, whole pixels on either side


@pytest.mark.parametrize("size", [(64, 96), (33, 47), (1, 1)])
def test_there_is_an_anchor_for_every_answer(size):
    model = on_meta(classes=2, backbone="resnet18")
    answers = model(torch.empty(1, 3, *size, device="meta"))
    assert answers.shape == (1, len(model.anchors(size)), 6)


def test_answers_are_ordered_place_by_place():
    x = torch.arange(2 * 3 * 4.0).reshape(1, 6, 2, 2)  # two anchors of three values at four places
    first, second, *_ = _by_anchor(x, 3)[0].tolist()
    assert first == [0, 4, 8]
    assert second == [12, 16, 20]
    assert _by_anchor(x, 3)[0, 2].tolist() == [1, 5, 9]


def test_the_pyramid_has_five_maps_each_half_the_one_before():
    maps = FeaturePyramid([3, 4, 5])(torch.zeros(1, 3, 9, 12), torch.zeros(1, 4, 5, 6), torch.zeros(1, 5, 3, 3))
    assert [tuple(x.shape) for x in maps] == [(1, 256, *s) for s in ((9, 12), (5, 6), (3, 3), (2, 2), (1, 1))]


def test_frozen_norms_learn_nothing_and_never_change():
    chain = nn.Sequential(nn.BatchNorm2d(2), nn.Sequential(nn.BatchNorm2d(3)))
    frozen_norms(chain)
    assert isinstance(chain[0], FrozenBatchNorm) and isinstance(chain[1][0], FrozenBatchNorm)
    norm = chain[0].train()
    norm.running_mean.fill_(1.0)
    norm.weight.data.fill_(3.0)
    x = torch.randn(4, 2, 5, 5)
    torch.testing.assert_close(norm(x), (x - 1) / (1 + 1e-5) ** 0.5 * 3)
    assert norm.running_mean.tolist() == [1, 1]
    assert not any(p.requires_grad for p in chain.parameters())


def test_before_training_objects_are_rare():
    torch.manual_seed(0)
    y = registry.build("retinanet", classes=2, backbone="resnet18").eval()(torch.randn(1, 3, 32, 32))
    assert y[..., :2].sigmoid().mean().item() == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize(
    "key",
    ["head.classification_head.conv.{0}.weight", "head.regression_head.conv.{0}.bias"],
)
def test_published_weights_have_names_from_before_too(key):
    renamed = entry("retinanet").peers["torchvision"].renamed
    for i in range(4):
        assert renamed(key.format(f"{i}.0")) == renamed(key.format(2 * i))
    assert renamed("backbone.fpn.inner_blocks.2.weight") == renamed("backbone.fpn.inner_blocks.2.0.weight")


def test_a_backbone_without_the_strides_is_refused():
    with pytest.raises(
        UsageError, match=r"`backbone` \(=cifar_resnet20\) must have feature maps with stride exactly 8"
    ):
        on_meta(backbone="cifar_resnet20")
