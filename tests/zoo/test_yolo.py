import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import ShapeError, UsageError
from fovea.zoo.yolo import PassThrough


def on_meta(name, **arguments):
    with torch.device("meta"):
        return registry.build(name, **arguments).eval()


def outputs(model, size):
    x, sides = torch.empty(1, 3, size, size, device="meta"), []
    for name in model.body:
        x = getattr(model, name)(x)
        sides.append((x.shape[1], x.shape[-1]))
    return sides


def test_the_maps_have_the_sizes_of_figure_3():
    model = on_meta("yolo_v1")
    assert outputs(model, 448) == [(64, 224), (192, 112), (512, 56), (1024, 28), (1024, 7), (1024, 7)]
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    dense = [m for m in model.modules() if isinstance(m, nn.Linear)]
    assert (len(convolutions), [m.out_features for m in dense]) == (24, [4096, 7 * 7 * 30])


def test_the_maps_have_the_sizes_of_table_6():
    model = on_meta("yolo_v2")
    assert outputs(model, 416) == [(32, 416), (64, 208), (128, 104), (256, 52), (512, 26), (1024, 13)]
    # Darknet-19: 18 convolutions, and 1x1 to the classes, which detection replaces
    assert len([m for name in model.body for m in getattr(model, name).modules() if isinstance(m, nn.Conv2d)]) == 18


def test_a_narrow_network_has_a_share_of_the_channels():
    model = on_meta("yolo_v1", width=0.125, batch_norm=True, size=224)
    assert model.stage6.conv2.conv.weight.shape == (128, 128, 3, 3)
    assert sum(p.numel() for p in model.parameters()) < 5_000_000
    assert model(torch.empty(2, 3, 224, 224, device="meta")).shape == (2, 30, 4, 4)


@pytest.mark.parametrize("name", ["yolo_v2", "yolo_v2_tiny_voc", "yolo_v2_tiny_coco"])
def test_the_second_version_can_be_narrow_too(name):
    model = on_meta(name, width=1 / 16, size=64, classes=3)
    assert sum(p.numel() for p in model.parameters()) < 400_000
    assert model(torch.empty(2, 3, 64, 64, device="meta")).shape == (2, 40, 2, 2)


def test_a_narrow_network_learns_where_one_object_is():
    # six images with a bright square each: the dense layers must say which cell it lies in
    torch.manual_seed(0)
    model = registry.build("yolo_v1", classes=1, c_in=1, size=64, width=1 / 64, batch_norm=True)
    model.head.dropout.p = 0.0
    images, cells = torch.zeros(4, 1, 64, 64), torch.tensor([[0.0], [1], [1], [0]])
    images[cells[:, 0] == 1, :, 20:40, 20:40] = 1.0
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(30):
        loss = (model(images)[:, 4].flatten(1) - cells).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.01


def test_four_places_of_the_fine_map_become_one():
    head = PassThrough(512, 1024, 10).eval()
    assert head.conv3.conv.in_channels == 4 * 64 + 1024
    image, fine, x = torch.zeros(1, 3, 64, 96), torch.zeros(1, 512, 5, 6), torch.zeros(1, 1024, 2, 3)
    assert head(image, fine, x).shape == (1, 10, 2, 3)


def test_the_small_network_pools_its_last_map_without_making_it_smaller():
    model = on_meta("yolo_v2_tiny_voc")
    assert outputs(model, 416)[-2:] == [(512, 13), (1024, 13)]
    x = torch.tensor([[[[-1.0, -2.0], [-3.0, -4.0]]]])
    pooled = model.stage7.pool(model.stage7.pad(x))
    assert pooled.tolist() == [[[[-1, -2], [-3, -4]]]]  # nothing from outside


def test_what_cannot_be_is_told():
    with pytest.raises(ShapeError, match=r"Layer `stage6.pool` .* `size` \(=31\) must be at least 32"):
        on_meta("yolo_v2", size=31)
    with pytest.raises(UsageError, match=r"`width` \(=0\) must be above 0"):
        on_meta("yolo_v1", width=0)
