import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import ShapeError


def on_meta(name, **arguments):
    with torch.device("meta"):
        return registry.build(name, **arguments)


def test_an_mlpconv_is_a_perceptron_slid_over_the_patches():
    # Lin et al. 2013, section 3.1: the same small network on every patch
    torch.manual_seed(0)
    model, x = registry.build("cifar_nin"), torch.randn(1, 3, 9, 9)
    stage = model.stage1
    patch = x[:, :, 2:7, 3:8].flatten(1)  # around row 4, column 5
    for conv in (stage.conv1, stage.conv2, stage.conv3):
        patch = F.linear(patch, conv.weight.flatten(1), conv.bias).relu()
    maps = stage[:6](x)
    torch.testing.assert_close(maps[:, :, 4, 5], patch)


@pytest.mark.parametrize(("name", "size", "maps"), [("cifar_nin", 32, [16, 8, 8]), ("nin", 224, [27, 13, 6, 6])])
def test_the_stages_end_in_maps_of_these_sizes(name, size, maps):
    x, heights = torch.empty(1, 3, size, size, device="meta"), []
    for child, stage in on_meta(name).named_children():
        if child != "head":
            x = stage(x)
            heights.append(x.shape[2])
    assert heights == maps


def test_kernels_shrink_from_11_to_3_as_on_the_slide():
    model = on_meta("nin")
    assert [getattr(model, f"stage{i}").conv1.kernel_size[0] for i in range(1, 5)] == [11, 5, 3, 3]
    rest = [m for name, m in model.named_modules() if isinstance(m, nn.Conv2d) and not name.endswith("conv1")]
    assert {m.kernel_size for m in rest} == {(1, 1)}


def test_there_are_no_dense_layers_and_the_logits_are_means_of_class_maps():
    for name in ("cifar_nin", "nin"):
        assert not any(isinstance(m, nn.Linear) for m in on_meta(name).modules())
    model = registry.build("cifar_nin", classes=4).eval()
    maps = torch.randn(2, 192, 8, 8)
    torch.testing.assert_close(model.head(maps), model.head.logits(maps).mean((2, 3)))
    assert (model.head(maps) < 0).any()


def test_pooling_of_the_network_for_cifar():
    model = on_meta("cifar_nin")
    assert isinstance(model.stage1.pool, nn.MaxPool2d)
    assert isinstance(model.stage2.pool, nn.AvgPool2d)
    assert (model.stage1.dropout.p, model.stage2.dropout.p) == (0.5, 0.5)


@pytest.mark.parametrize(("name", "smallest"), [("cifar_nin", 4), ("nin", 39)])
def test_too_small_an_input_is_told_the_smallest(name, smallest):
    x = torch.empty(1, 3, smallest, smallest, device="meta")
    assert on_meta(name, classes=5, size=smallest)(x).shape == (1, 5)
    with pytest.raises(ShapeError, match=rf"\.pool` \(3x3\) does not fit.*must be at least {smallest}\."):
        on_meta(name, size=smallest - 1)
