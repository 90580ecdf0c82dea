import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.zoo.mnasnet import Design, MBConv, Shape


def kinds(block):
    return [type(layer).__name__ for layer in block.residual]


def test_a_block_expands_filters_gates_and_projects_without_a_last_activation():
    block = MBConv(4, 6, Shape(5, 2, 12, 2), design=Design())
    normed = ["Conv2d", "BatchNorm2d"]
    assert kinds(block) == [*normed, "ReLU", *normed, "ReLU", "SqueezeExcitation", *normed]
    convs = [module for module in block.residual if isinstance(module, nn.Conv2d)]
    assert [(m.in_channels, m.out_channels, m.groups, m.kernel_size) for m in convs] == [
        *((4, 12, 1, (1, 1)), (12, 12, 12, (5, 5)), (12, 6, 1, (1, 1))),
    ]
    assert block.residual.se.excitation.reduce.out_channels == 2
    assert block(torch.randn(3, 4, 9, 9)).shape == (3, 6, 5, 5)


@pytest.mark.parametrize(("c_out", "stride", "adds"), [(4, 1, True), (4, 2, False), (6, 1, False)])
def test_the_input_is_added_where_shapes_agree(c_out, stride, adds):
    block, x = MBConv(4, c_out, Shape(3, stride, 12), design=Design()).eval(), torch.randn(1, 4, 7, 7)
    nn.init.zeros_(block.residual.bn3.weight)
    y = block(x)
    assert torch.equal(y, x) if adds else not y.any()


def test_the_first_block_expands_nothing():
    assert kinds(MBConv(4, 6, Shape(3, 1, 4), design=Design())) == [
        "Conv2d",
        "BatchNorm2d",
        "ReLU",
        "Conv2d",
        "BatchNorm2d",
    ]


def test_a_branch_is_dropped_only_where_an_input_remains():
    drop = nn.Dropout(0.5)
    assert MBConv(4, 4, Shape(3, 1, 8), design=Design(), depth=drop).residual[-1] is drop
    assert not hasattr(MBConv(4, 6, Shape(3, 1, 8), design=Design(), depth=drop).residual, "depth")


@pytest.mark.parametrize(
    ("name", "maps", "gates"),
    [
        ("mnasnet_a1", (16, 24, 40, 80, 112, 160, 320), {3, 5, 6}),
        ("mnasnet_b1", (16, 24, 40, 80, 96, 192, 320), set()),
    ],
)
def test_the_maps_have_the_sizes_of_figure_7(name, maps, gates):
    with torch.device("meta"):
        x, model, shapes = torch.empty(1, 3, 224, 224), registry.build(name), []
    for child in ("stem", *(f"stage{i}" for i in range(1, 9))):
        x = getattr(model, child)(x)
        shapes.append((x.shape[1], x.shape[2]))
    assert shapes == list(zip((32, *maps, 1280), (112, 112, 56, 28, 14, 14, 7, 7, 7), strict=True))
    assert {i for i in range(1, 8) if hasattr(getattr(model, f"stage{i}").block1.residual, "se")} == gates


def test_gates_narrow_to_a_quarter_of_the_input_of_their_block():
    with torch.device("meta"):
        stage = registry.build("mnasnet_a1").stage3
    assert [block.residual.se.excitation.reduce.out_channels for block in stage] == [6, 10, 10]
