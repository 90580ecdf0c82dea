import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from fovea.compression.changes import changed
from fovea.compression.plain import plain
from fovea.errors import UsageError


def network():
    torch.manual_seed(0)
    return nn.Sequential(weight_norm(nn.Conv1d(2, 3, 3)), nn.ReLU(), nn.Conv1d(3, 1, 1)).eval()


@torch.no_grad()
def test_the_outputs_stay_and_the_change_rebuilds_the_network():
    model, x = network(), torch.randn(2, 2, 8)
    was = model(x)
    changes = plain(model)
    assert changes == [{"kind": "plain", "layers": ["0"]}]
    assert torch.equal(model(x), was)
    assert "weight" in model[0]._parameters
    again = changed(network(), changes)
    again.load_state_dict(model.state_dict())
    with torch.device("meta"):
        assert changed(network(), changes).state_dict().keys() == model.state_dict().keys()


def test_other_parametrisations_stay():
    assert plain(nn.Sequential(spectral_norm(nn.Linear(2, 2)))) == []


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "has `layers`"),
        ({"layers": {}}, "has `layers`"),
        ({"layers": ["0"], "more": 1}, "no other field"),
        ({"layers": [0]}, "must name layers"),
        ({"layers": ["2"]}, "`2`, which has none"),
        ({"layers": ["0", "0"]}, "`0`, which has none"),
        ({"layers": ["9"]}, "does not have"),
    ],
)
def test_a_change_that_cannot_be_says_why(values, reason):
    with pytest.raises(UsageError, match=reason):
        changed(network(), [{"kind": "plain", **values}])
