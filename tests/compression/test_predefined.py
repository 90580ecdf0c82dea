import pytest
import torch
from torch import nn

from fovea.compression.predefined import mask_of, predefined
from fovea.errors import UsageError
from fovea.layers import PredefinedSparseConv2d
from tests.support.refitting import small_work


def network():
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 1))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 4)).eval()


def test_zeros_stay_through_training_and_are_left_in_plain_weights():
    model = network()
    before = model[2].weight.detach().clone()
    done = predefined(model, small_work(), support=4, epochs=3)
    weight = model[2].weight.detach()
    mask = mask_of(model[2], support=4)
    assert isinstance(model[2].weight, nn.Parameter)
    assert not weight[~mask].any()
    assert (weight[mask] != 0).all()
    assert not torch.equal(weight[mask], before[mask])
    assert model[0].weight.all()
    assert model[4].weight.all()
    assert not done.changes
    assert f"{8 * 6 * 4} of {8 * 6 * 9}" in done.notes[0]


def test_patterns_are_those_of_the_layer_that_has_them_from_the_beginning():
    layer = nn.Conv2d(4, 6, 3)
    own = PredefinedSparseConv2d(4, 6, 3, support=3, period=9, dense=2, seed=1)
    assert torch.equal(mask_of(layer, support=3, dense=2, seed=1), own.mask)


def test_a_support_of_all_places_is_refused():
    with pytest.raises(UsageError, match="No kernel of this network"):
        predefined(network(), small_work(), support=9, epochs=1)


def test_a_support_of_none_is_refused():
    with pytest.raises(UsageError, match="`support` \\(=0\\)"):
        predefined(network(), small_work(), support=0, epochs=1)
