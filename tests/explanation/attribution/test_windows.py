"""Explanations of inputs with one and three axes: where the evidence lies, completeness, and what is refused."""

import pytest
import torch
from torch import nn

import fovea
from fovea.errors import ShapeError, UsageError
from fovea.explanation.attribution.methods import METHODS
from fovea.explanation.attribution.windows import default_window, windows_of

GENERIC = tuple(name for name, method in METHODS.items() if method.axes == (1, 2, 3))
CONVOLUTIONS = {1: nn.Conv1d, 3: nn.Conv3d}
POOLINGS = {1: nn.AdaptiveAvgPool1d, 3: nn.AdaptiveAvgPool3d}
SIZES = {1: (24,), 3: (4, 8, 8)}
PLACES = {1: (slice(10, 14),), 3: (slice(1, 3), slice(2, 5), slice(2, 5))}


def network(axes):
    """Return a network that counts what is bright, and an input of zeros with a bright place."""
    model = nn.Sequential(CONVOLUTIONS[axes](1, 2, 1), nn.ReLU(), POOLINGS[axes](1), nn.Flatten(), nn.Linear(2, 2))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model[0].weight[0] = 1
        model[4].weight[1, 0] = 1
    x = torch.zeros(1, 1, *SIZES[axes])
    x[0, 0][PLACES[axes]] = 3.0
    return model, x


@pytest.mark.parametrize("axes", [1, 3])
@pytest.mark.parametrize("method", GENERIC)
def test_the_evidence_lies_where_the_input_is_bright(method, axes):
    model, x = network(axes)
    found = fovea.attribute(model, x, method, answer=1)
    values = found.at(SIZES[axes])[0]
    assert values.shape == SIZES[axes] and values.isfinite().all()
    inside = torch.zeros(SIZES[axes], dtype=torch.bool)
    inside[PLACES[axes]] = True
    if method != "smoothgrad":  # the noise turns the other units on
        assert values[inside].mean() > 2 * values[~inside].abs().mean()
    twice = fovea.attribute(model, x, method, answer=1).values
    assert torch.equal(found.values, twice)


@pytest.mark.parametrize("axes", [1, 3])
def test_integrated_gradients_add_up_to_the_rise(axes):
    model, x = network(axes)
    found = fovea.attribute(model, x, "integrated_gradients", answer=1)
    with torch.no_grad():
        rise = (model(x) - model(torch.zeros_like(x)))[0, 1]
    assert float(found.values.sum()) == pytest.approx(float(rise), rel=1e-4)


def test_occlusion_is_the_mean_of_what_the_windows_over_a_place_cost():
    model, x = network(1)
    found = fovea.attribute(model, x, "occlusion", answer=1)
    assert default_window((24,), None) == (3,)
    # each of the bright steps 10 to 13 is worth 3 / 24; the windows of 3 over step 11 hide two, three and three of them
    assert float(found.values[0, 11]) == pytest.approx((2 + 3 + 3) / 3 * 3 / 24) and float(found.values[0, 0]) == 0


def test_windows_cover_every_place_and_end_with_the_input():
    assert windows_of((7,), (3,)) == [(slice(s, s + 3),) for s in (0, 1, 2, 3, 4)]
    assert windows_of((5,), (2,), 2) == [(slice(s, s + 2),) for s in (0, 2, 3)]
    assert len(windows_of((4, 6), (2, 3))) == 3 * 4


def test_a_window_has_the_size_of_the_patch():
    assert default_window((20,), 5) == (5,) and default_window((8, 32, 32), 6) == (2, 6, 6)
    with pytest.raises(ShapeError, match="`patch` \\(=30\\) must be from 1"):
        default_window((20,), 30)


def test_other_methods_say_what_they_take():
    model, x = network(1)
    with pytest.raises(ShapeError, match="must be \\(N, C, H, W\\)"):
        fovea.attribute(model, x, "rise")
    with pytest.raises(UsageError, match="`fill` \\(=blur\\) works only for images"):
        METHODS["occlusion"].explain(model, x, None, fill="blur")
