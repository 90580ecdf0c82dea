import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.zoo.mobilenet_v3 import TABLE_1, TABLE_2, stages_of


def on_meta(name):
    with torch.device("meta"):
        return registry.build(name)


def blocks(model):
    return [module for module in model.modules() if type(module).__name__ == "MBConv"]


@pytest.mark.parametrize(("name", "rows"), [("mobilenet_v3_large", TABLE_1), ("mobilenet_v3_small", TABLE_2)])
def test_blocks_follow_the_table(name, rows):
    for block, row in zip(blocks(on_meta(name)), rows, strict=True):
        layers = block.residual
        assert layers.depthwise.kernel_size == (row.k, row.k) and layers.depthwise.groups == row.exp_size
        assert (layers.project.out_channels, layers.depthwise.stride) == (row.out, (row.s, row.s))
        assert isinstance(layers.act2, nn.ReLU if row.nl == "RE" else nn.Hardswish)
        assert hasattr(layers, "se") == row.se


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        (
            "mobilenet_v3_large",
            [(16, 112), (16, 112), (24, 56), (40, 28), (80, 14), (112, 14), (160, 7), (960, 7)],
        ),
        ("mobilenet_v3_small", [(16, 112), (16, 56), (24, 28), (40, 14), (48, 14), (96, 7), (576, 7)]),
    ],
)
def test_the_maps_have_the_sizes_of_the_table(name, shapes):
    model, x, found = on_meta(name), torch.empty(1, 3, 224, 224, device="meta"), []
    for child in ("stem", *(f"stage{i}" for i in range(1, len(shapes)))):
        x = getattr(model, child)(x)
        found.append((x.shape[1], x.shape[2]))
    assert found == shapes


def test_stages_are_of_equal_maps():
    assert [len(stage) for stage in stages_of(TABLE_1)] == [1, 2, 3, 4, 2, 3]
    assert [len(stage) for stage in stages_of(TABLE_2)] == [1, 2, 3, 2, 3]


def test_gates_are_hard_sigmoids_of_a_quarter_of_the_maps_in_eights():
    gates = [
        block.residual.se.excitation
        for block in blocks(on_meta("mobilenet_v3_small"))
        if "se" in dict(block.residual.named_children())
    ]
    assert all(isinstance(gate.gate, nn.Hardsigmoid) and isinstance(gate.activation, nn.ReLU) for gate in gates)
    assert [gate.reduce.out_channels for gate in gates] == [8, 24, 64, 64, 32, 40, 72, 144, 144]


@pytest.mark.parametrize(("name", "units"), [("mobilenet_v3_large", (960, 1280)), ("mobilenet_v3_small", (576, 1024))])
def test_the_last_layers_come_after_the_pooling(name, units):
    head = on_meta(name).head
    assert (head.dense.in_features, head.logits.in_features) == units
    assert [type(layer).__name__ for layer in head] == [
        *("AdaptiveAvgPool2d", "Flatten", "Linear", "Hardswish", "Dropout", "Linear"),
    ]
