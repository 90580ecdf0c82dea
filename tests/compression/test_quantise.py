import pytest
import torch
from torch import nn

from fovea.compression.grids import GridConv2d, GridLayer
from fovea.compression.quantise import Quantised, gridded, plan, quantise
from fovea.errors import UsageError
from tests.support.refitting import small_work


class Small(nn.Module):
    """A chain with a residual branch, a norm that cannot be folded, and a convolution that nothing calls."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.second = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, padding=1)
        self.unused = nn.Conv2d(4, 4, 1)
        self.up = nn.ConvTranspose2d(4, 4, 2)
        self.pool, self.dense = nn.AdaptiveAvgPool2d(1), nn.Linear(4, 4)

    def forward(self, x):
        x = self.norm(torch.relu(self.first(x)))
        x = torch.relu(x + self.second(x))
        return self.dense(self.pool(self.up(x)).flatten(1))


def network():
    torch.manual_seed(0)
    model = Small()
    with torch.no_grad():
        model(torch.randn(8, 3, 12, 12))
    return model.eval()


def test_the_plan_names_what_comes_to_the_grid_and_what_stays():
    change, read, left = plan(network(), torch.randn(2, 3, 12, 12))
    assert change.layers == ("first", "second", "dense")
    assert change.gives == ("first", "second")
    assert change.means == ("pool",)
    assert change.norms == ("norm",)
    assert left == ["unused", "up"]
    assert read["first"].cut is not None
    assert read["second"].cut is None


def test_only_what_a_relu_reads_begins_at_zero():
    model = network()
    gridded(model, [torch.randn(16, 3, 12, 12)])
    assert model.first.gives.zero == 0
    assert model.second.gives.zero > 0


def test_an_input_keeps_the_grid_of_the_output_that_it_is():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3), nn.Flatten()).eval()
    gridded(model, [torch.randn(16, 3, 12, 12)])
    assert model[3].reads.scale == model[0].gives.scale
    assert model[3].reads.zero == model[0].gives.zero


def test_scales_of_activations_are_powers_of_two():
    model = network()
    gridded(model, [torch.randn(16, 3, 12, 12)])
    grids = [grid for layer in model.modules() if isinstance(layer, GridLayer) for grid in (layer.reads, layer.gives)]
    exponents = [grid.scale.log2() for grid in grids if grid is not None]
    assert len(exponents) == 5
    assert all(exponent == exponent.round() for exponent in exponents)


def test_training_on_the_grid_leaves_the_weights_on_it_and_says_what_stays_float():
    model = network()
    before = model.second.weight.detach().clone()
    done = quantise(model, small_work(), epochs=3)
    layer = done.model.second
    assert isinstance(layer, GridConv2d)
    assert not torch.allclose(layer.weight, before)
    again = layer.weight_steps() * layer.along(layer.weight_scale)
    assert torch.equal(again, layer.weight)
    assert not done.model.training
    assert any("`up`" in note for note in done.notes)


def test_a_change_is_what_json_says():
    change, _, _ = plan(network(), torch.randn(2, 3, 12, 12))
    values = change.to_dict()
    assert values.pop("kind") == "quantised"
    assert Quantised.from_dict(values) == change


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "no other field"),
        ({"layers": ["first"], "odd": []}, "no other field"),
        ({"layers": "first"}, "must list the names"),
        ({"layers": [1]}, "must list the names"),
        ({"layers": ["first", "first"]}, "cannot be quantised"),
        ({"layers": ["up"]}, "cannot be quantised"),
        ({"layers": [], "norms": ["first"]}, "cannot be quantised"),
        ({"layers": ["absent"]}, "does not have"),
    ],
)
def test_a_wrong_change_is_refused(values, reason):
    with pytest.raises(UsageError, match=reason):
        Quantised.from_dict(values).apply(network())


def test_a_network_without_layers_for_a_grid_is_refused():
    with pytest.raises(UsageError, match="No layer of this network can be quantised"):
        gridded(nn.Sequential(nn.ConvTranspose2d(3, 4, 2)).eval(), [torch.randn(2, 3, 12, 12)])


def test_zeros_of_a_sparse_layer_stay_zero():
    model = network()
    mask = torch.rand(model.second.weight.shape, generator=torch.Generator().manual_seed(0)) < 0.7
    with torch.no_grad():
        model.second.weight.mul_(~mask)
    done = quantise(model, small_work(), epochs=3)
    assert not done.model.second.weight[mask].any()
    assert isinstance(done.model.second.weight, nn.Parameter)
