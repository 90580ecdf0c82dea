import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import UsageError
from fovea.layers import StochasticDepth
from fovea.zoo.efficientnet import SCALES, TABLE_1, scaled


def on_meta(name, **arguments):
    with torch.device("meta"):
        return registry.build(name, **arguments)


def test_the_smallest_is_table_1_and_the_largest_twice_as_wide_and_three_times_as_deep():
    assert scaled(SCALES[0]) == TABLE_1
    assert [row.c for row in scaled(SCALES[7])] == [32, 48, 80, 160, 224, 384, 640]
    assert [row.n for row in scaled(SCALES[7])] == [4, 7, 7, 10, 10, 13, 4]


def test_the_maps_have_the_sizes_of_table_1():
    model, x, shapes = on_meta("efficientnet_b0"), torch.empty(1, 3, 224, 224, device="meta"), []
    for child in ("stem", *(f"stage{i}" for i in range(1, 9))):
        x = getattr(model, child)(x)
        shapes.append((x.shape[1], x.shape[2]))
    assert shapes == [
        *((32, 112), (16, 112), (24, 56), (40, 28), (80, 14), (112, 14), (192, 7), (320, 7), (1280, 7)),
    ]


def test_gates_narrow_to_a_quarter_of_the_input_of_their_block():
    gates = [block.residual.se.excitation for block in on_meta("efficientnet_b0").stage3]
    assert [gate.reduce.out_channels for gate in gates] == [6, 10]
    assert all(isinstance(gate.activation, nn.SiLU) and isinstance(gate.gate, nn.Sigmoid) for gate in gates)


@pytest.mark.parametrize(("number", "eps"), [(0, 1e-5), (4, 1e-5), (5, 1e-3), (7, 1e-3)])
def test_batch_norm_has_the_epsilon_of_published_weights(number, eps):
    norms = [m for m in on_meta(f"efficientnet_b{number}").modules() if isinstance(m, nn.BatchNorm2d)]
    assert {norm.eps for norm in norms} == {eps}


def test_stochastic_depth_grows_and_spares_blocks_without_a_shortcut():
    rates = [m.rate for m in on_meta("efficientnet_b0").modules() if isinstance(m, StochasticDepth)]
    assert rates == pytest.approx([0.2 * i / 15 for i in (2, 4, 6, 7, 9, 10, 12, 13, 14)])
    with pytest.raises(UsageError, match=r"`stochastic_depth` \(=1\.0\) must be at least 0"):
        on_meta("efficientnet_b0", stochastic_depth=1.0)
