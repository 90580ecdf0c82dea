import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry


def on_meta(name, **arguments):
    with torch.device("meta"):
        return registry.build(name, **arguments)


def test_layers_have_the_parameters_of_the_lecture():
    # lecture 002, "CATS AND DOGS - CNN.IPYNB": the column Param #
    layers = [m for m in on_meta("dogs_vs_cats").modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    counts = [sum(p.numel() for p in layer.parameters()) for layer in layers]
    assert counts == [896, 18_496, 73_856, 147_584, 295_168, 1_180_160, 2_359_808, 2_359_808, 16_777_728, 513]
    assert sum(counts) == 23_214_017


def test_maps_have_the_sizes_of_the_lecture():
    # lecture 002: 75, 37, 18, 8, the last of which is 3x3 pooling of 18
    model, x, maps = on_meta("dogs_vs_cats"), torch.empty(1, 3, 150, 150, device="meta"), []
    for child in ("stage1", "stage2", "stage3", "stage4"):
        x = getattr(model, child)(x)
        maps.append((x.shape[1], x.shape[2]))
    assert maps == [(64, 75), (128, 37), (512, 18), (512, 8)]
    assert model.head.dense.in_features == 32_768


def test_one_logit_tells_two_kinds_apart_and_dropout_stands_before_the_dense_layer():
    model = on_meta("dogs_vs_cats", dropout=0.3)
    assert [type(m).__name__ for m in model.head] == ["Flatten", "Dropout", "Linear", "ReLU", "Linear"]
    assert (model.head.dropout.p, model.head.logits.out_features) == (0.3, 1)
    assert on_meta("dogs_vs_cats", classes=2).head.logits.out_features == 2
