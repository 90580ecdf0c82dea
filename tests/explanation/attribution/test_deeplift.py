"""DeepLIFT against hand-worked multipliers, its completeness in float64, and a peer."""

import warnings

import pytest
import torch
from small_networks import NETWORKS, Normalised, Residual, built, images, same_state, state
from torch import nn
from torch.nn import functional as F

from fovea.errors import UsageError
from fovea.explanation.attribution.deeplift import deeplift
from fovea.explanation.attribution.gradients import gradient_x_input
from fovea.explanation.objective import Objective


def answers(*indices, **against):
    return Objective(answers=torch.tensor(indices), **against)


class Of(nn.Module):
    """Any function of the pixels of each image, (N, K) -> (N,), as a network of one output."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x.flatten(1)).unsqueeze(1)


def contributions(function, x, baseline):
    shape = (1, 1, 1, len(x))
    x, baseline = (torch.tensor(values).double().view(shape) for values in (x, baseline))
    return deeplift(Of(function), x, answers(0), baseline=baseline).values.flatten().tolist()


def test_the_example_of_the_paper():
    """Section 3.2: max(0, i1 + i2 - 10) has a gradient that jumps at 10; each input gets its part of the rise."""
    assert contributions(lambda x: F.relu(x.sum(1) - 10), [8.0, 4.0], [0.0, 0.0]) == pytest.approx(
        [2 * 8 / 12, 2 * 4 / 12]
    )


def test_saturated_units_get_their_share():
    """Section 2, figure 1: 1 - max(0, 1 - i1 - i2) at i1 = i2 = 1, where the gradient is 0."""
    assert contributions(lambda x: 1 - F.relu(1 - x.sum(1)), [1.0, 1.0], [0.0, 0.0]) == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize(
    ("function", "x", "baseline", "expected"),
    [
        # each factor's rise by the mean of the other
        (lambda x: x[:, 0] * x[:, 1], [3.0, 5.0], [1.0, 2.0], [2 * 3.5, 3 * 2.0]),
        (lambda x: x[:, 0] ** 2, [3.0], [1.0], [8.0]),
        (lambda x: x[:, 0] / x[:, 1], [3.0, 2.0], [1.0, 1.0], [2 * 0.75, -0.5 * 2]),
        # the largest rose from 2 to 5: all to the one that is the largest now
        (lambda x: x.amax(1), [5.0, 1.0], [1.0, 2.0], [3.0, 0.0]),
        # it fell from 7 to 5: all to the one that was
        (lambda x: x.max(1).values, [5.0, 1.0], [1.0, 7.0], [0.0, -2.0]),
        (lambda x: torch.maximum(x[:, 0], x[:, 1]), [5.0, 1.0], [1.0, 2.0], [3.0, 0.0]),
        # exp(0) = 1: a step by the secant, no step by the derivative
        (lambda x: x.exp().sum(1), [0.0, 1.0], [0.0, 0.0], [0.0, 1.718281828459045]),
    ],
)
def test_rules_by_hand(function, x, baseline, expected):
    assert contributions(function, x, baseline) == pytest.approx(expected)


@pytest.mark.parametrize("kind", NETWORKS)
def test_contributions_add_up_to_the_difference(kind):
    model, x = built(kind), images()
    baseline = 0.3 * images(seed=4)
    for objective in (answers(1, 2), answers(0, against=torch.tensor([3]))):
        for start in (None, baseline, baseline[0]):
            found = deeplift(model, x, objective, baseline=start)
            assert (found.figures["relative completeness error"] < 1e-10).all()
            zero = torch.zeros_like(x) if start is None else start.expand_as(x)
            gained = (objective(model(x)) - objective(model(zero))).detach().float()
            torch.testing.assert_close(found.values.sum((1, 2)), gained, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("evidence", [F.softmax, F.log_softmax])
def test_evidence_may_be_a_curve_of_the_outputs(evidence):
    model, x = built(Residual), images()
    objective = Objective(
        answers=torch.tensor([1, 2]),
        evidence=lambda outputs, index: evidence(9 * outputs, dim=1).gather(1, index[:, None])[:, 0],
    )
    assert (deeplift(model, x, objective).figures["relative completeness error"] < 1e-10).all()


def test_float32_is_complete_too():
    model, x = built(Normalised).float(), images().float()
    assert (deeplift(model, x, answers(1, 2)).figures["relative completeness error"] < 1e-4).all()


def test_without_biases_between_zero_and_the_image_it_is_gradient_x_input():
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, bias=False), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(150, 4, bias=False)
    ).double()
    x = images()
    torch.testing.assert_close(deeplift(model, x, answers(1)).values, gradient_x_input(model, x, answers(1)).values)


def first(*layers, features=600):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3), *layers, nn.Flatten(), nn.Linear(features, 4)).double().eval()


PEERED = {
    "relu": lambda: first(nn.ReLU()),
    "norm": lambda: first(nn.BatchNorm2d(6), nn.LeakyReLU(0.1), nn.Conv2d(6, 6, 3, groups=2), nn.ReLU(), features=384),
    "means": lambda: first(nn.ReLU(), nn.AvgPool2d(2), nn.Tanh(), features=150),
    "largest": lambda: first(nn.MaxPool2d(2), features=150),
    "largest behind a convolution": lambda: first(nn.ReLU(), nn.Conv2d(6, 6, 3), nn.MaxPool2d(2), features=96),
    "largest behind a ReLU": lambda: first(nn.ReLU(), nn.MaxPool2d(2), features=150),
    "largest before a ReLU": lambda: first(nn.MaxPool2d(2), nn.ReLU(), features=150),
}


@pytest.mark.parametrize("name", PEERED)
def test_it_agrees_with_a_peer_where_that_is_complete(name):
    """A pool beside a ReLU costs captum 0.9 its completeness; its own sum tells."""
    peer = pytest.importorskip("captum.attr")
    model, x, baseline = PEERED[name](), images(), 0.5 * images(seed=3)
    warnings.simplefilter("ignore")  # it says that it sets hooks, and that inputs need gradients
    expected = peer.DeepLift(model).attribute(x, baseline, target=torch.tensor([1, 2])).sum(1).detach()
    found = deeplift(model, x, answers(1, 2), baseline=baseline)
    gained = (model(x) - model(baseline))[[0, 1], [1, 2]].detach()
    off = (expected.sum((1, 2)) - gained).abs().max().item()
    assert (found.figures["relative completeness error"] < 1e-12).all()
    if off > 1e-9 and name.endswith("a ReLU"):
        print(f"captum's contributions miss the difference by up to {off:.3g}, of {gained.abs().max().item():.3g}")
        return
    torch.testing.assert_close(found.values, expected.float(), rtol=1e-5, atol=1e-7)


def test_neither_company_nor_memory_format_changes_a_map():
    model, x = built(Residual), images(3)
    together = deeplift(model, x, answers(0, 1, 2)).values
    torch.testing.assert_close(deeplift(model, x[1:2], answers(1)).values[0], together[1])
    last = deeplift(
        model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last), answers(0, 1, 2)
    )
    torch.testing.assert_close(last.values, together)


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_network_is_left_as_it_was(kind):
    model, x = built(kind), images()
    kept, before = x.clone(), state(model)
    with torch.no_grad():
        deeplift(model, x, answers(0, 1))
    assert same_state(before, state(model)) and torch.equal(x, kept)


def test_what_has_no_rule_is_named():
    with pytest.raises(UsageError, match="no rule for `torch.Tensor.cumprod`, which this network uses"):
        contributions(lambda x: x.cumprod(1).sum(1), [1.0, 2.0], [0.0, 0.0])
    with pytest.raises(UsageError, match="no rule for `clamp` of several"):
        contributions(lambda x: x.clamp(min=x[:, :1]).sum(1), [1.0, 2.0], [0.0, 0.0])
    with pytest.raises(UsageError, match="largest value of a whole batch"):
        contributions(lambda x: x[:, 0] - x.max(), [1.0, 2.0], [0.0, 0.0])
    with pytest.raises(UsageError, match="whose first dimension is always the batch"):
        contributions(lambda x: x.T.reshape(-1, 1).repeat(2, 1)[1:].relu().sum(1)[:2], [1.0, 2.0], [0.0, 0.0])


def test_training_mode_is_refused():
    with pytest.raises(UsageError, match="`deeplift` needs a network in evaluation mode"):
        deeplift(built(Residual).train(), images(), answers(1))
