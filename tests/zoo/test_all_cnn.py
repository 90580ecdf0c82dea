import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import ShapeError


def on_meta(name, **arguments):
    with torch.device("meta"):
        return registry.build(name, **arguments)


def test_nothing_pools_but_the_last_average():
    model = on_meta("cifar_all_cnn_c")
    kinds = {type(m).__name__ for m in model.modules() if not list(m.children())}
    assert kinds == {"Conv2d", "ReLU", "Dropout", "AdaptiveAvgPool2d", "Flatten"}
    assert sum(isinstance(m, nn.AdaptiveAvgPool2d) for m in model.modules()) == 1


def test_convolutions_are_those_of_tables_1_and_2():
    # Springenberg et al. 2014: All-CNN-C
    convs = [m for m in on_meta("cifar_all_cnn_c").modules() if isinstance(m, nn.Conv2d)]
    assert [(m.kernel_size[0], m.out_channels, m.stride[0]) for m in convs] == [
        *((3, 96, 1), (3, 96, 1), (3, 96, 2)),
        *((3, 192, 1), (3, 192, 1), (3, 192, 2)),
        *((3, 192, 1), (1, 192, 1), (1, 10, 1)),
    ]


def test_the_averaged_map_is_6_by_6_and_there_are_about_1_4_million_parameters():
    model, x = on_meta("cifar_all_cnn_c"), torch.empty(1, 3, 32, 32, device="meta")
    assert model.features(x).shape == (1, 192, 6, 6)
    assert round(registry.entry("cifar_all_cnn_c").params / 1e6, 1) == 1.4


def test_a_fifth_of_the_input_and_half_of_what_replaces_a_pooling_is_dropped():
    model = on_meta("cifar_all_cnn_c")
    assert [(name, m.p) for name, m in model.named_modules() if isinstance(m, nn.Dropout)] == [
        *(("stem.dropout", 0.2), ("stage1.dropout", 0.5), ("stage2.dropout", 0.5)),
    ]


def test_too_small_an_input_is_told_the_smallest():
    x = torch.empty(1, 3, 9, 9, device="meta")
    assert on_meta("cifar_all_cnn_c", size=9)(x).shape == (1, 10)
    with pytest.raises(ShapeError, match=r"`stage3\.conv1` \(3x3\) does not fit.*must be at least 9\."):
        on_meta("cifar_all_cnn_c", size=8)
