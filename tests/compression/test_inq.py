import math

import pytest
import torch
from torch import nn

from fovea.compression.inq import Held, exponents, inq, largest, to_powers
from fovea.errors import UsageError
from tests.support.refitting import small_work


def network():
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4))
    return nn.Sequential(*layers).eval()


def test_exponents_are_those_of_the_paper():
    """b = 3, n1 = -1: n2 = -2 (section 2.1); 5 bits have 8 powers of each sign."""
    weights = torch.tensor([0.5, -0.1])
    assert exponents(weights, 3) == (-1, -2)
    assert exponents(weights, 5) == (-1, -8)


def test_weights_become_the_nearest_power_by_equation_4():
    weights = torch.tensor([0.0, 0.124, 0.126, 0.374, 0.376, -0.74, 0.76, 0.9])
    assert to_powers(weights, 3, ends=(0, -2)).tolist() == [0, 0, 0.25, 0.25, 0.5, -0.5, 1.0, 1.0]


@pytest.mark.parametrize("bits", [2, 3, 5])
def test_all_values_are_zero_or_powers_of_two_of_so_many_bits(bits):
    weights = torch.randn(2000, generator=torch.Generator().manual_seed(0))
    found = to_powers(weights, bits)
    sizes = found[found != 0].abs()
    assert torch.equal(sizes, torch.exp2(torch.log2(sizes).round()))
    assert len(found.unique()) <= 2 ** (bits - 1) + 1
    assert torch.equal(to_powers(found, bits), found)


def test_a_layer_whose_channels_would_vanish_beside_larger_ones_keeps_its_own_values():
    torch.manual_seed(0)
    model = network()
    with torch.no_grad():
        model[5].weight[:, :2] *= 1000  # as a batch norm leaves channels that hardly vary
    done = inq(model, small_work(epochs_run=[]), bits=5, epochs=3)
    assert len(done.model[5].weight.unique()) > 17 and (done.model[5].weight != 0).all()
    assert len(done.model[0].weight.unique()) <= 17
    assert done.notes[0].startswith("weights of 1 layers") and done.notes[1].startswith("`5` keeps its own values")


def test_the_largest_weights_come_first():
    assert largest(torch.tensor([[0.1, -3.0], [2.0, 0.2]]), 0.5).tolist() == [[False, True], [True, False]]


def test_held_weights_have_no_gradient():
    held = Held(torch.tensor([True, False]), torch.tensor([0.5, 9.0]))
    weight = torch.tensor([1.0, 2.0], requires_grad=True)
    used = held(weight)
    used.backward(torch.ones(2))
    assert used.tolist() == [0.5, 2.0]
    assert weight.grad.tolist() == [0.0, 1.0]


def test_rounds_hold_what_is_quantised_and_train_the_rest():
    model, epochs = network(), []
    before = {name: layer.weight.detach().clone() for name, layer in model.named_modules() if hasattr(layer, "weight")}
    done = inq(model, small_work(epochs_run=epochs), bits=5, epochs=6)
    assert epochs == [2, 2, 2]
    for name in ("0", "5"):
        weight = model.get_submodule(name).weight.detach()
        assert isinstance(model.get_submodule(name).weight, nn.Parameter)
        top = largest(before[name], 0.5)
        assert torch.equal(weight[top], to_powers(before[name], 5)[top])
        powers = weight[weight != 0].abs().log2()
        assert torch.equal(powers, powers.round())
    assert not torch.equal(model[1].weight.detach(), before["1"])
    assert not done.changes


def test_bits_out_of_range_are_refused():
    with pytest.raises(UsageError, match="must be from 2 to 8"):
        inq(network(), small_work(), bits=9)


def test_a_network_of_zeros_is_left_at_zero():
    assert to_powers(torch.zeros(3), 5).tolist() == [0, 0, 0]
    assert math.isfinite(exponents(torch.zeros(3), 5)[0])


def test_zeros_of_a_pattern_stay_zero():
    model = network()
    mask = torch.rand(model[5].weight.shape, generator=torch.Generator().manual_seed(0)) < 0.7
    with torch.no_grad():
        model[5].weight.mul_(~mask)
    inq(model, small_work(), bits=5, epochs=3)
    assert not model[5].weight[mask].any()
    assert model[5].weight[~mask].count_nonzero() > 3
    assert [name for name, _ in model[5].named_parameters()] == ["weight", "bias"]
