"""Gradients of the input against hand-computed ones, and the laws that each method keeps."""

import pytest
import torch
from small_networks import NETWORKS, Gated, Residual, built, images, same_state, state
from torch import nn

from fovea.explanation.attribution.gradients import gradient_x_input, integrated_gradients, saliency, smoothgrad
from fovea.explanation.objective import Objective

METHODS = (saliency, gradient_x_input, smoothgrad, integrated_gradients)


def answers(*indices, **against):
    return Objective(answers=torch.tensor(indices), **against)


class Weighted(nn.Module):
    """Y_0 = 2 a - 3 b, Y_1 = a b, for the two channels a and b of a single pixel."""

    def forward(self, x):
        a, b = x.flatten(1).unbind(1)
        return torch.stack([2 * a - 3 * b, a * b], 1)


X = torch.tensor([4.0, 5.0]).view(1, 2, 1, 1)


def test_gradients_by_hand():
    assert saliency(Weighted(), X, answers(0)).values.item() == 3
    assert saliency(Weighted(), X, answers(1)).values.item() == 5
    assert gradient_x_input(Weighted(), X, answers(0)).values.item() == 2 * 4 - 3 * 5
    assert gradient_x_input(Weighted(), X, answers(1)).values.item() == 2 * 4 * 5


def test_integrated_gradients_by_hand():
    """On a b from the baseline 0 both channels get half, and from (4, 0) all goes to b."""
    assert integrated_gradients(Weighted(), X, answers(1)).values.item() == pytest.approx(20, rel=1e-3)
    baseline = torch.tensor([4.0, 0.0]).view(2, 1, 1)
    found = integrated_gradients(Weighted(), X, answers(1), baseline=baseline)
    assert found.values.item() == pytest.approx(20, rel=1e-5)


def test_the_noise_of_smoothgrad_leaves_a_linear_network_alone():
    found = smoothgrad(Weighted(), X, answers(0), n=7)
    torch.testing.assert_close(found.values, saliency(Weighted(), X, answers(0)).values)


def test_smoothgrad_is_the_gradient_of_the_smoothed_network():
    """The mean of the derivative of x^2 |x| / 3 at x + noise, which is E[x |x|] of a normal variable."""

    class Cube(nn.Module):
        def forward(self, x):
            return (x**2 * x.abs() / 3).sum((2, 3))

    x = torch.tensor([1.0, 3.0]).view(1, 1, 1, 2).double()
    sigma = 0.15 * 2
    found = smoothgrad(Cube(), x, answers(0), n=4000, batch=1000).values
    expected = x[0] ** 2 + sigma**2  # where x is many sigma above 0
    torch.testing.assert_close(found, expected.float(), rtol=0.02, atol=0)


@pytest.mark.parametrize("kind", NETWORKS)
def test_integrated_gradients_are_complete(kind):
    model, x = built(kind), images()
    for objective in (answers(1, 2), answers(0, against=torch.tensor([3]))):
        found = integrated_gradients(model, x, objective, batch=64)
        gained = objective(model(x)) - objective(model(0 * x))
        torch.testing.assert_close(found.values.sum((1, 2)), gained.detach().float(), rtol=1e-3, atol=1e-6)
        assert (found.figures["relative completeness error"] <= 0.01).logical_or(found.figures["steps"] == 512).all()


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_rule_itself_is_complete_to_a_thousandth_where_that_is_asked(kind):
    """By a plain loop over the points: the map before calibration, and the error that is reported of it."""
    model, x, objective = built(kind), images(1), answers(1)
    found = integrated_gradients(model, x, objective, tolerance=1e-3, most_steps=8192, batch=64)
    steps = int(found.figures["steps"])
    points = (torch.arange(steps + 1).double() / steps) ** 2
    slopes = []
    for point in points.split(256):
        given = (point.view(-1, 1, 1, 1) * x).requires_grad_()
        (gradient,) = torch.autograd.grad(objective(model(given)).sum(), given)
        slopes.append((gradient * x).flatten(1).sum(1))
    # steps are equal in s, of which the points are the squares; dt = 2 s ds
    plain = torch.trapezoid(torch.cat(slopes) * 2 * points.sqrt(), dx=1 / steps)
    gained = (objective(model(x)) - objective(model(0 * x)))[0].detach()
    error = float((plain - gained).abs() / gained.abs())
    assert float(found.figures["relative completeness error"]) == pytest.approx(error, rel=1e-6) and error <= 1e-3
    assert float(found.figures["completeness error"]) == pytest.approx(error * float(gained.abs()), rel=1e-6)


def test_steps_are_doubled_until_the_tolerance_or_the_most():
    model, x = built(Residual), images(1)
    steps = [
        float(integrated_gradients(model, x, answers(1), tolerance=tolerance, most_steps=256).figures["steps"])
        for tolerance in (1.0, 0.0)
    ]
    assert steps == [64, 256]


def test_doubled_steps_are_the_same_as_that_many_at_once():
    model, x = built(Gated), images(1)
    doubled = integrated_gradients(model, x, answers(1), steps=8, most_steps=64, tolerance=0.0)
    at_once = integrated_gradients(model, x, answers(1), steps=64, most_steps=64, tolerance=0.0)
    torch.testing.assert_close(doubled.values, at_once.values)
    torch.testing.assert_close(doubled.figures, at_once.figures)


def test_the_completeness_error_by_hand():
    """Y = max(0, a - 1.3) + b up to (2, 1): slopes 1, 1, 1, 3, weights 1/8, 1/4, 3/8, 1/4, and a rise of 1.7."""

    class Kink(nn.Module):
        def forward(self, x):
            a, b = x.flatten(1).unbind(1)
            return ((a - 1.3).relu() + b).unsqueeze(1)

    x = torch.tensor([2.0, 1.0]).double().view(1, 1, 1, 2)
    found = integrated_gradients(Kink(), x, answers(0), steps=4, most_steps=4)
    assert found.figures["completeness error"].item() == pytest.approx(1.7 - 1.5)
    assert found.figures["relative completeness error"].item() == pytest.approx((1.7 - 1.5) / 1.7)
    # the weights still add up to 1: b keeps what it is due
    torch.testing.assert_close(found.values.flatten(), torch.tensor([0.7, 1.0]))


def test_calibration_brings_the_map_no_farther_from_the_truth():
    model, x = built(Residual), images(1)
    truth = integrated_gradients(model, x, answers(1), steps=8192, batch=256).values
    found = integrated_gradients(model, x, answers(1), steps=32, most_steps=32)
    assert (found.values - truth).norm() < 0.02 * truth.norm()
    rise = float((model(x) - model(0 * x))[0, 1].detach())
    assert found.figures["completeness error"].item() > 1e-4 > abs(float(found.values.double().sum()) - rise)


def test_integrated_gradients_agree_with_a_peer():
    peer = pytest.importorskip("captum.attr")
    model, x = built(Residual), images()
    expected = peer.IntegratedGradients(model).attribute(x, target=torch.tensor([1, 2]), n_steps=500).sum(1)
    found = integrated_gradients(model, x, answers(1, 2), tolerance=1e-5).values
    torch.testing.assert_close(found, expected.float().detach(), rtol=0, atol=2e-3 * float(expected.abs().max()))


@pytest.mark.parametrize("method", [smoothgrad, integrated_gradients])
def test_neither_batch_nor_company_changes_a_map(method):
    model, x = built(Residual), images(3)
    together = method(model, x, answers(0, 1, 2), batch=64).values
    torch.testing.assert_close(method(model, x, answers(0, 1, 2), batch=7).values, together)
    torch.testing.assert_close(method(model, x[1:2], answers(1)).values[0], together[1])


def test_the_seed_alone_decides_on_the_noise():
    model, x = built(Residual), images(1)
    torch.manual_seed(5)
    first, again = (smoothgrad(model, x, answers(1), n=4, seed=3).values for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, smoothgrad(model, x, answers(1), n=4, seed=4).values)


@pytest.mark.parametrize("method", [smoothgrad, integrated_gradients])
def test_progress_ends_where_all_is_done(method):
    told = []
    method(built(Residual), images(2), answers(1), progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told) and told[-1][0] == told[-1][1] and len({total for _, total in told}) == 1


@pytest.mark.parametrize("method", METHODS)
def test_a_network_is_left_as_it_was(method):
    model, x = built(Residual), images()
    kept, before = x.clone(), state(model)
    with torch.no_grad():
        method(model, x, answers(0, 1))
    assert same_state(before, state(model)) and torch.equal(x, kept)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_any_type_of_number_gives_maps_in_float32(method, dtype):
    model, x = built(Gated).to(dtype), images().to(dtype)
    options = {"n": 3} if method is smoothgrad else {"most_steps": 64} if method is integrated_gradients else {}
    found = method(model, x.to(memory_format=torch.channels_last), answers(1), **options).values
    assert found.dtype == torch.float32 and found.isfinite().all() and found.shape == (2, 12, 12)


def test_a_first_layer_may_work_in_place():
    model = nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(2, 2))
    assert saliency(model, X, answers(0)).values.isfinite().all()
