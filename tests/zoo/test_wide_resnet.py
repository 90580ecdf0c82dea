import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import UsageError
from fovea.zoo.wide_resnet import section_3_4, table_1


def test_the_widths_of_wrn_28_10():
    # Zagoruyko and Komodakis 2016, Table 1: 16k, 32k, 64k channels, N = (28 - 4) / 6
    assert [(row.width, row.c, row.n, row.s) for row in table_1(28, 10)] == [
        (160, 160, 4, 1),
        (320, 320, 4, 2),
        (640, 640, 4, 2),
    ]


def test_on_imagenet_only_the_inside_of_the_bottlenecks_is_wider():
    assert [(row.width, row.c) for row in section_3_4(50)] == [(128, 256), (256, 512), (512, 1024), (1024, 2048)]


def test_the_maps_of_the_cifar_form():
    model, x = registry.build("cifar_wrn40_2").eval(), torch.zeros(1, 3, 32, 32)
    shapes = []
    for child in ("stem", "stage1", "stage2", "stage3"):
        x = getattr(model, child)(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(16, 32, 32), (32, 32, 32), (64, 16, 16), (128, 8, 8)]
    assert [type(m) for m in model.stage3[-2:]] == [nn.BatchNorm2d, nn.ReLU]


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_dropout_lies_between_the_convolutions_of_each_block(rate):
    with torch.device("meta"):
        model = registry.build("cifar_wrn28_10", dropout=rate)
    assert [m.p for m in model.modules() if isinstance(m, nn.Dropout)] == [rate] * 12
    layers = ["Conv2d", "BatchNorm2d", "ReLU", "Dropout", "Conv2d"]
    assert [type(m).__name__ for m in model.stage2.block2.residual] == layers


def test_a_dropout_rate_is_a_probability():
    with pytest.raises(UsageError, match=r"^`dropout` \(=1\.5\) must be from 0 \(none\) to 1; the default is 0\.0"):
        registry.build("cifar_wrn40_2", dropout=1.5)
