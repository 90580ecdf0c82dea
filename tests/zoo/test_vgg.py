import math

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


def kinds(stage):
    return [type(layer).__name__ for layer in stage]


def test_features_written_out():
    torch.manual_seed(0)
    model, x = registry.build("vgg11", size=32).eval(), torch.randn(1, 3, 32, 32)
    maps = x
    for stage, count in enumerate((1, 1, 2, 2, 2), start=1):
        for i in range(1, count + 1):
            conv = model.get_submodule(f"stage{stage}.conv{i}")
            maps = F.conv2d(maps, conv.weight, conv.bias, padding=1).relu()
        maps = F.max_pool2d(maps, 2)
    with torch.no_grad():
        assert torch.equal(model.features(x), maps)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("vgg11", (1, 1, 2, 2, 2)),
        ("vgg13", (2, 2, 2, 2, 2)),
        ("vgg16_c", (2, 2, 3, 3, 3)),
        ("vgg16", (2, 2, 3, 3, 3)),
        ("vgg19", (2, 2, 4, 4, 4)),
    ],
)
def test_convolutions_of_each_stage(name, counts):
    # Simonyan and Zisserman 2014, Table 1
    for form in (name, f"{name}_bn"):
        model = on_meta(form)
        stages = [stage for child, stage in model.named_children() if child != "head"]
        assert tuple(kinds(stage).count("Conv2d") for stage in stages) == counts
        assert [stage.conv1.out_channels for stage in stages] == [64, 128, 256, 512, 512]


def test_only_column_c_has_1x1_convolutions():
    for name in (name for name in registry.names() if registry.entry(name).authors == "Simonyan and Zisserman"):
        small = [m for m in on_meta(name).modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)]
        assert len(small) == (3 if "16_c" in name else 0), name


def test_response_normalisation_follows_the_first_relu_of_a_lrn():
    assert kinds(on_meta("vgg11_lrn").stage1) == ["Conv2d", "ReLU", "LocalResponseNorm", "MaxPool2d"]
    assert kinds(on_meta("vgg11_lrn").stage2) == ["Conv2d", "ReLU", "MaxPool2d"]


def test_batch_norm_comes_between_convolution_and_relu():
    layers = ["Conv2d", "BatchNorm2d", "ReLU"]
    assert kinds(on_meta("vgg11_bn").stage3) == [*layers, *layers, "MaxPool2d"]
    assert kinds(on_meta("vgg11_lrn_bn").stage1) == [*layers, "LocalResponseNorm", "MaxPool2d"]


def test_the_last_map_is_7_by_7():
    assert on_meta("vgg16").features(torch.empty(1, 3, 224, 224, device="meta")).shape == (1, 512, 7, 7)


def test_weights_are_he_normal_by_fan_in():
    torch.manual_seed(0)
    model = registry.build("vgg11", size=32)
    assert model.stage4.conv1.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 256)), rel=0.01)
    assert model.head.dense1.weight.std().item() == pytest.approx(math.sqrt(2 / 512), rel=0.01)
    assert not model.head.dense1.bias.any()


def test_the_smallest_input_is_32_pixels():
    assert on_meta("vgg16", size=32)(torch.empty(1, 3, 32, 32, device="meta")).shape == (1, 1000)
    with pytest.raises(ShapeError, match=r"`stage5.pool` \(2x2\) does not fit.*must be at least 32\."):
        on_meta("vgg16", size=31)
