import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.zoo.attention import AttentionModule, Hourglass, Stage, gate, unit
from fovea.zoo.resnet_v2 import PreActivation


@pytest.mark.parametrize(
    ("name", "layers"), [("attention56", 31_738_024 + 72_704), ("attention92", 52_332_712 + 133_632)]
)
def test_parameters_are_those_of_the_authors_networks(name, layers):
    # Attention-56-deploy.prototxt and Attention-92-deploy.prototxt: weights, and two values for each normalised map
    assert registry.entry(name).params == layers


@pytest.mark.parametrize("layers", [56, 92])
def test_the_trunk_has_as_many_layers_as_the_name_says(layers):
    with torch.device("meta"):
        model = registry.build(f"attention{layers}")
    trunk = [m for name, m in model.named_modules() if isinstance(m, PreActivation) and ".mask." not in name]
    assert 2 + 3 * len(trunk) == layers


@pytest.mark.parametrize(("poolings", "units"), [(1, 2), (2, 5), (3, 8)])
def test_units_of_a_mask(poolings, units):
    # Figure 2: two at the bottom; for each further pooling one on the way down, one up, and one past all below
    mask = Hourglass(Stage(2, 8, 1, 1, 1, poolings), poolings)
    assert sum(isinstance(m, PreActivation) for m in mask.modules()) == units
    assert mask(torch.ones(2, 8, 16, 16)).shape == (2, 8, 8, 8)


@pytest.mark.parametrize("size", [8, 9])
def test_a_mask_of_two_poolings_by_hand(size):
    torch.manual_seed(0)
    mask = Hourglass(Stage(2, 8, 1, 1, 1, 2), 2).double().eval()
    x = torch.randn(2, 8, size, size).double()
    y = mask.down(F.max_pool2d(x, 3, stride=2, padding=1))
    below = mask.inner.up(mask.inner.down(F.max_pool2d(y, 3, stride=2, padding=1)))
    below = F.interpolate(below, size=y.shape[2:], mode="bilinear", align_corners=True)
    torch.testing.assert_close(mask(x), mask.up(mask.skip(y) + below))


@pytest.mark.parametrize(("bias", "factor"), [(-1e3, 1), (1e3, 2)])
def test_what_the_mask_shuts_out_passes_all_the_same(bias, factor):
    # equation 3: the trunk times 1 + M, from 1 to 2
    torch.manual_seed(0)
    module, x = AttentionModule(Stage(2, 8, 1, 1, 1, 1)).eval(), torch.randn(2, 8, 6, 6)
    module.gate.conv2 = nn.Conv2d(8, 8, 1)
    nn.init.constant_(module.gate.conv2.bias, bias)
    torch.testing.assert_close(module(x), module.after(factor * module.trunk(module.before(x))))


def test_the_gate_weighs_each_position_and_channel_from_0_to_1():
    torch.manual_seed(0)
    out = gate(4)(10 * torch.randn(2, 4, 3, 3))
    assert 0 < out.min() < 0.5 < out.max() < 1
    assert out.std(1).any() and out.std((2, 3)).all()


def test_a_unit_keeps_its_shape_or_halves_it():
    x = torch.randn(2, 8, 5, 5)
    assert unit(8, Stage(2, 8, 1, 1, 0, 0))(x).shape == (2, 8, 5, 5)
    assert unit(8, Stage(2, 12, 1, 1, 0, 0), stride=2)(x).shape == (2, 12, 3, 3)
