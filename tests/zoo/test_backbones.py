import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import ShapeError, UsageError
from fovea.zoo.backbones import Pyramid, levels_of, raised, resized, stages_of, steps


@pytest.mark.parametrize(
    ("name", "levels"),
    [
        ("resnet18", [("stem.relu", 64, 2), ("stage1", 64, 4), ("stage2", 128, 8), ("stage3", 256, 16)]),
        ("vgg11", [("stage1.relu1", 64, 1), ("stage2.relu1", 128, 2), ("stage3.relu2", 256, 4)]),
        ("mobilenet_v2", [("stage1", 16, 2), ("stage2", 24, 4), ("stage3", 32, 8), ("stage5", 96, 16)]),
    ],
)
def test_levels_are_the_last_maps_of_each_stride(name, levels):
    assert [level[:3] for level in levels_of(name, 3)[: len(levels)]] == levels


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "foveola"])
def test_the_maps_have_the_channels_and_strides_of_the_levels(name):
    body = stages_of(name, c_in=2, size=64)
    model = Pyramid(stem=body.stem, stages=body.stages, head=nn.Identity(), taps=[x.path for x in body.levels]).eval()
    image, *maps = model.maps(torch.zeros(1, 2, 64, 64))
    assert image.shape == (1, 2, 64, 64)
    assert [tuple(x.shape[1:2]) for x in maps] == [(level.c,) for level in body.levels]
    for level, x in zip(body.levels, maps, strict=True):
        assert not level.exact or x.shape[-1] * level.stride == 64


def test_the_body_computes_what_the_network_computes():
    torch.manual_seed(0)
    whole = registry.build("resnet18", classes=3).eval()
    stages = [child for name, child in whole.named_children() if name.startswith("stage")]
    model = Pyramid(stem=whole.stem, stages=stages, head=nn.Identity(), taps=["stem.relu", "stage2", "stage4"]).eval()
    x = torch.randn(1, 3, 64, 64)
    assert torch.equal(model.features(x), whole.features(x))
    assert [path for path, _ in steps(model, ["stem.relu"])] == [
        *("stem.conv", "stem.bn", "stem.relu", "stem"),
        *(f"stage{i}" for i in range(1, 5)),
    ]


def test_levels_tell_whether_their_places_lie_on_the_image_exactly():
    assert all(level.exact for level in levels_of("resnet18", 3))
    assert not levels_of("foveola", 3)[0].exact  # its stem loses a pixel


@pytest.mark.parametrize("name", ["unet", "mlp", "vgg_3d", "fcn_1d", "nasnet_mobile"])
def test_what_has_no_stages_to_take_is_refused(name):
    with pytest.raises(UsageError, match=rf"`backbone` \(={name}\) must be an image classification network"):
        stages_of(name, c_in=3, size=64)


def test_an_image_too_small_for_the_backbone_is_told():
    with pytest.raises(ShapeError, match=r"`size` \(=16\) must be at least 32"):
        stages_of("vgg11", c_in=3, size=16)


def test_weights_of_the_backbone_fit_by_their_names():
    own, on = registry.build("resnet18", classes=3).state_dict(), registry.build("unet_on").state_dict()
    body = [name for name in own if not name.startswith("head.")]
    assert [name for name in on if not name.startswith("head.")] == body
    assert all(own[name].shape == on[name].shape for name in body)


def test_maps_are_enlarged_by_repeating_or_interpolating():
    x, like = torch.tensor([[[[0.0, 4.0]]]]), torch.zeros(1, 1, 1, 4)
    assert raised(x, like).tolist() == [[[[0, 0, 4, 4]]]]
    assert resized(x, like).tolist() == [[[[0, 1, 3, 4]]]]
    assert resized(like, like) is like
    assert raised(like, like) is like
