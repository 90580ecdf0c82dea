import pytest
import torch
from torch import nn

from fovea.compression.clipping import InputPower, cut_weights
from fovea.compression.quantise import at_rest, gridded


def test_power_is_the_mean_square_of_each_channel():
    power = InputPower()
    x = torch.randn(4, 3, 5, 5)
    power.add(nn.Conv2d(3, 2, 1), x)
    power.add(nn.Conv2d(3, 2, 1), x)
    assert torch.allclose(power.sums / power.places, x.double().square().mean((0, 2, 3)))


@pytest.mark.parametrize("groups", [1, 3])
def test_each_weight_counts_by_what_it_reads(groups):
    layer = nn.Conv2d(3, 6, 3, groups=groups)
    power = InputPower()
    power.add(layer, torch.tensor([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1).expand(2, 3, 4, 4))
    found = power.of_weights(layer, layer.weight)[..., 0]
    expected = torch.tensor([[1.0, 4, 9]] * 6) if groups == 1 else torch.tensor([[1.0], [1], [4], [4], [9], [9]])
    assert torch.allclose(found, expected.double())


def test_weights_that_read_nothing_do_not_set_the_scale():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3)).eval()
    with torch.no_grad():
        model[1].weight[2] = 0
        model[1].bias[2] = -1.0
        model[3].weight[:, 2] = 400.0
    x = torch.randn(64, 8)
    before = model(x)
    gridded(model, [x])
    at_rest(model)
    assert (model(x) - before).abs().max() < 0.05
    assert model[3].weight.abs().max() < 5


def test_weights_of_even_size_are_hardly_cut():
    layer = nn.Linear(64, 8)
    before = layer.weight.detach().clone()
    power = InputPower()
    power.add(layer, torch.randn(50, 64))
    cut_weights(layer, layer.weight, power)
    assert (layer.weight - before).abs().max() < 0.3 * before.abs().max()
    assert (layer.weight == before).float().mean() > 0.7
