import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.layers import SqueezeExcitation
from fovea.zoo.regnet import FIGURE_16, Parameters, Stage, stages_of, widths, y_block


def on_meta(name, **arguments):
    with torch.device("meta"):
        return registry.build(name, **arguments)


def test_widths_grow_by_a_line_drawn_to_powers():
    # by hand: 8, 16, 24, 32, 40 are 8 * 2 ** (0, 1, 1.58, 2, 2.32); exponents rounded to 0, 1, 2, 2, 2
    row = Parameters(d=5, w0=8, wa=8.0, wm=2.0, g=8)
    assert widths(row) == [8, 16, 32, 32, 32]
    assert stages_of(row) == [Stage(8, 1, 1), Stage(16, 1, 2), Stage(32, 3, 4)]


@pytest.mark.parametrize(
    ("key", "blocks", "channels"),
    [
        ("400MF", (1, 3, 6, 6), (48, 104, 208, 440)),
        ("800MF", (1, 3, 8, 2), (64, 128, 320, 768)),
        ("1.6GF", (2, 6, 17, 2), (48, 120, 336, 888)),
        ("3.2GF", (2, 5, 13, 1), (72, 216, 576, 1512)),
        ("8GF", (2, 4, 10, 1), (168, 448, 896, 2016)),
        ("16GF", (2, 4, 11, 1), (224, 448, 1232, 3024)),
    ],
)
def test_stages_are_those_the_paper_prints(key, blocks, channels):
    # Radosavovic et al. 2020, Figure 16: d_i and w_i
    rows = stages_of(FIGURE_16[key])
    assert (tuple(row.n for row in rows), tuple(row.c for row in rows)) == (blocks, channels)
    assert all(row.c == row.groups * FIGURE_16[key].g for row in rows)


def test_torchvision_rounds_two_of_them_otherwise():
    wide = {key: [row.c for row in stages_of(row, least=0.9)] for key, row in FIGURE_16.items()}
    differ = {key for key, row in FIGURE_16.items() if wide[key] != [stage.c for stage in stages_of(row)]}
    assert differ == {"800MF", "8GF"}
    assert wide["800MF"] == [64, 144, 320, 784]
    assert wide["8GF"] == [224, 448, 896, 2016]


@pytest.mark.parametrize(
    ("name", "millions", "billion_flops"),
    [
        ("regnet_y_400mf", 4.3, 0.4),
        ("regnet_y_800mf", 6.3, 0.8),
        ("regnet_y_1_6gf", 11.2, 1.6),
        ("regnet_y_3_2gf", 19.4, 3.2),
        ("regnet_y_8gf", 39.2, 8.0),
        ("regnet_y_16gf", 83.6, 15.9),
    ],
)
def test_parameters_and_flops_are_those_the_paper_prints(name, millions, billion_flops):
    # Figure 16 and the authors' list of published networks; their flops are multiply-adds
    card = registry.entry(name)
    assert (round(card.params / 1e6, 1), round(card.macs / 1e9, 1)) == (millions, billion_flops)


def test_the_weighing_stands_before_the_last_convolution_and_is_a_quarter_of_the_input_wide():
    block = y_block(16, Stage(24, 1, 3), stride=2)
    kinds = [type(layer).__name__ for layer in block.residual]
    norm = ["Conv2d", "BatchNorm2d", "ReLU"]
    assert kinds == [*norm, *norm, "SqueezeExcitation", "Conv2d", "BatchNorm2d"]
    assert block.residual.se.excitation.reduce.out_channels == 4
    assert block.residual.conv2.groups == 3
    assert tuple(block(torch.randn(2, 16, 7, 7)).shape) == (2, 24, 4, 4)


def test_every_block_weighs_and_every_stage_halves_the_map():
    model, x, heights = on_meta("regnet_y_400mf"), torch.empty(1, 3, 224, 224, device="meta"), []
    for child in ("stem", "stage1", "stage2", "stage3", "stage4"):
        x = getattr(model, child)(x)
        heights.append(x.shape[2])
    assert heights == [112, 56, 28, 14, 7]
    assert sum(isinstance(m, SqueezeExcitation) for m in model.modules()) == 16
    projections = [
        m for name, m in model.named_modules() if name.endswith("shortcut") and not isinstance(m, nn.Identity)
    ]
    assert len(projections) == 4
