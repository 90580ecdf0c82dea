import pytest
import torch
from torch import nn

from fovea.compression.binarise import Binarised, binarise
from fovea.compression.binary import BinaryConv2d, BinaryLinear, XnorConv2d
from fovea.errors import UsageError
from tests.support.refitting import small_work


def network(groups=1):
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 8, 3, groups=groups), nn.ReLU(), nn.AdaptiveAvgPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 4)).eval()


@pytest.mark.parametrize("inputs", [False, True])
def test_inner_layers_get_two_values_per_channel_and_the_change_rebuilds_them(inputs):
    done = binarise(network(), small_work(), epochs=2, inputs=inputs)
    change = {key: value for key, value in done.changes[0].items() if key != "kind"}
    assert change["layers"] == ["2", "6"]
    assert all(len(row.abs().unique()) == 1 for row in done.model[2].weight.detach())
    built = network()
    Binarised.from_dict(change).apply(built)
    built.load_state_dict(done.model.state_dict())
    x = torch.randn(2, 3, 12, 12)
    assert torch.equal(built.eval()(x), done.model(x))
    assert isinstance(built[2], XnorConv2d if inputs else BinaryConv2d)


def test_the_ends_may_be_binary_too():
    done = binarise(network(), small_work(), epochs=1, ends=True, scale="fixed", stochastic=True)
    assert done.changes[0]["layers"] == ["0", "2", "6", "8"]
    assert isinstance(done.model[8], BinaryLinear)
    assert len(done.model[8].weight.detach().abs().unique()) == 1


def test_a_grouped_convolution_keeps_its_inputs():
    done = binarise(network(groups=2), small_work(), epochs=1, inputs=True)
    assert done.changes[0]["layers"] == ["6"]
    assert any("`0`" in note and "`2`" in note for note in done.notes)


def test_a_network_of_two_layers_has_no_inner_one():
    model = nn.Sequential(nn.Flatten(), nn.Linear(432, 4), nn.Linear(4, 4))
    with pytest.raises(UsageError, match="No layer of this network can be binary"):
        binarise(model, small_work(), epochs=1)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "no other field"),
        ({"layers": ["2"], "more": 1}, "no other field"),
        ({"layers": "2"}, "must list the names"),
        ({"layers": ["2"], "inputs": 1}, "true or false"),
        ({"layers": ["2"], "scale": "odd"}, "one of"),
        ({"layers": ["1"]}, "cannot be binary"),
        ({"layers": ["2", "2"]}, "cannot be binary"),
        ({"layers": ["absent"]}, "does not have"),
    ],
)
def test_a_wrong_change_is_refused(values, reason):
    with pytest.raises(UsageError, match=reason):
        Binarised.from_dict(values).apply(network())
