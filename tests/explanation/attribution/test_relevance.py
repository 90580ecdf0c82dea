"""Relevance against hand-worked shares, conservation in float64, and gradient x input where they are the same."""

import pytest
import torch
from small_networks import NETWORKS, Dense, Gated, Grouped, Normalised, Residual, built, images, same_state, state
from torch import nn
from torch.nn import functional as F

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import UsageError
from fovea.explanation.attribution.gradients import gradient_x_input
from fovea.explanation.attribution.relevance import layer_wise_relevance
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


def shares(function, x, *, epsilon=0.0):
    x = torch.tensor(x).double().view(1, 1, 1, -1)
    found = layer_wise_relevance(Of(function), x, answers(0), epsilon=epsilon)
    assert found.figures["conservation error"].item() < 1e-12
    return found.values.flatten().tolist(), found.figures["biases"].item(), found.figures["epsilon"].item()


def linear(*weights, bias):
    return lambda x: F.linear(x, torch.tensor([weights]).double(), torch.tensor([bias]).double())[:, 0]


@pytest.mark.parametrize(
    ("function", "x", "expected", "bias"),
    [
        (linear(2.0, -1.0, bias=3.0), [4.0, 5.0], [8.0, -5.0], 3.0),
        (lambda x: linear(2.0, -1.0, bias=3.0)(x).relu(), [4.0, 5.0], [8.0, -5.0], 3.0),
        (lambda x: x.sum(1) + 7, [1.0, 2.0], [1.0, 2.0], 7.0),
        (lambda x: 7 - x.sum(1), [1.0, 2.0], [-1.0, -2.0], 7.0),
        (lambda x: x.amax(1), [1.0, 2.0], [0.0, 2.0], 0.0),
        (lambda x: x.mean(1), [1.0, 2.0], [0.5, 1.0], 0.0),
        (lambda x: x[:, 0] ** 2, [3.0], [9.0], 0.0),
        (lambda x: torch.tanh(x[:, 0]), [3.0], [0.9950547536867305], 0.0),
        # f(0) = 1/2 is a bias
        (lambda x: torch.sigmoid(x[:, 0]), [3.0], [0.4525741268224334], 0.5),
        # two factors: half to each; a gate gets nothing
        (lambda x: x[:, 0] * x[:, 1], [3.0, 4.0], [6.0, 6.0], 0.0),
        (lambda x: x[:, 0] * torch.sigmoid(x[:, 1]), [3.0, 0.0], [1.5, 0.0], 0.0),
        (lambda x: x[:, 0] * (1 - torch.sigmoid(x[:, 1:]).squeeze(1)), [3.0, 0.0], [1.5, 0.0], 0.0),
        (lambda x: x[:, 0] / (1 + x[:, 1]), [3.0, 1.0], [1.5, 0.0], 0.0),
        (lambda x: torch.maximum(x, torch.tensor(2.0)).sum(1), [3.0, 1.0], [1.0, -0.0], 4.0),
    ],
)
def test_shares_by_hand(function, x, expected, bias):
    found, biases, epsilon = shares(function, x)
    if function(torch.zeros(1, len(x)).double()).item() == 4.0:  # max(x, 2) is 2 at 0, and rises by 1 from there
        assert sum(found) == pytest.approx(1.0) and biases == 4.0
        return
    assert (found, biases, epsilon) == (pytest.approx(expected), pytest.approx(bias), 0.0)


def test_epsilon_takes_its_share_by_hand():
    """z = 8 - 5 + 3 = 6, of which 6 / (6 + 6 / 2) = 2/3 goes on: the root mean square of one value is its size."""
    found, biases, epsilon = shares(linear(2.0, -1.0, bias=3.0), [4.0, 5.0], epsilon=0.5)
    assert (found, biases, epsilon) == (pytest.approx([16 / 3, -10 / 3]), pytest.approx(2.0), pytest.approx(2.0))


@pytest.mark.parametrize("epsilon", [0.0, 0.01, 0.25])
@pytest.mark.parametrize("kind", NETWORKS)
def test_relevance_is_conserved(kind, epsilon):
    model, x = built(kind), images()
    for objective in (answers(1, 2), answers(0, against=torch.tensor([3]))):
        found = layer_wise_relevance(model, x, objective, epsilon=epsilon)
        output, figures = objective(model(x)).detach(), found.figures
        torch.testing.assert_close(figures["output"], output)
        total = found.values.sum((1, 2)) + figures["biases"] + figures["epsilon"]
        torch.testing.assert_close(total, output, rtol=1e-4, atol=1e-5)
        assert (figures["relative conservation error"] < 1e-10).all()
        assert (figures["epsilon"] != 0).all() == (epsilon > 0)


@pytest.mark.parametrize("kind", [Residual, Dense, Grouped, Gated, Normalised])
def test_float32_conserves_too(kind):
    found = layer_wise_relevance(built(kind).float(), images().float(), answers(1, 2))
    assert (found.figures["relative conservation error"] < 1e-5).all()


def without_biases(model):
    for module in model.modules():
        if getattr(module, "bias", None) is not None:
            nn.init.zeros_(module.bias)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.zeros_(module.running_mean)
    return model


@pytest.mark.parametrize("kind", [Residual, Dense])
def test_without_biases_and_epsilon_it_is_gradient_x_input(kind):
    model, x = without_biases(built(kind)), images()
    found = layer_wise_relevance(model, x, answers(1, 2), epsilon=0.0)
    torch.testing.assert_close(found.values, gradient_x_input(model, x, answers(1, 2)).values)
    assert (found.figures["biases"] == 0).all()
    torch.testing.assert_close(found.values.sum((1, 2)), model(x)[[0, 1], [1, 2]].float().detach())


def test_batch_norm_is_the_same_as_folded():
    """Also with epsilon, which would count twice were the convolution and the norm layers of their own."""
    model, x = built(Residual), images()
    folded = built(Residual)
    for name in ("stem", "first", "second"):
        conv, norm = getattr(folded, name)
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        with torch.no_grad():
            conv.weight.mul_(scale.view(-1, 1, 1, 1))
            conv.bias.copy_(norm.bias + scale * (conv.bias - norm.running_mean))
        getattr(folded, name)[1] = nn.Identity()
    one, other = (layer_wise_relevance(net, x, answers(1, 2), epsilon=0.3) for net in (model, folded))
    torch.testing.assert_close(one.values, other.values)
    for name in ("biases", "epsilon"):
        torch.testing.assert_close(one.figures[name], other.figures[name])


def test_local_response_norm_takes_nothing():
    class Norm(nn.Module):
        def forward(self, x):
            return F.local_response_norm(x, 3, alpha=2.0).flatten(1).sum(1, keepdim=True)

    x = images()
    found = layer_wise_relevance(Norm(), x, answers(0), epsilon=0.1)
    torch.testing.assert_close(found.values, F.local_response_norm(x, 3, alpha=2.0).sum(1).float())


@pytest.mark.parametrize("name", ["alexnet", "mobilenet_v2", "shufflenet_v1_g3", "googlenet", "seresnet50"])
def test_networks_of_the_zoo_conserve(name):
    side = registry.entry(name).input[1] if name == "alexnet" else 64
    arguments = {"size": side} if "size" in registry.arguments_of(name) else {}
    torch.manual_seed(0)
    model = registry.build(name, classes=3, **arguments).eval()
    x = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    figures = layer_wise_relevance(model, x, answers(1)).figures
    assert figures["conservation error"].item() <= 1e-5 * max(
        abs(figures["output"].item()), abs(figures["biases"].item())
    )


def test_company_does_not_change_a_map():
    model, x = built(Gated), images(3)
    together = layer_wise_relevance(model, x, answers(0, 1, 2)).values
    torch.testing.assert_close(layer_wise_relevance(model, x[1:2], answers(1)).values[0], together[1])


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_network_is_left_as_it_was(kind):
    model, x = built(kind), images()
    kept, before = x.clone(), state(model)
    with torch.no_grad():
        layer_wise_relevance(model, x, answers(0, 1))
    assert same_state(before, state(model)) and torch.equal(x, kept)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_gives_maps(dtype):
    found = layer_wise_relevance(built(Gated).to(dtype), images().to(dtype), answers(1))
    assert found.values.isfinite().all() and found.values.dtype == torch.float32


def test_weights_made_of_others_are_weights():
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(400, 2)).double()
    normed = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(400, 2)).double()
    normed.load_state_dict(plain.state_dict())
    nn.utils.parametrizations.weight_norm(normed[0])
    one, other = (layer_wise_relevance(net, images(), answers(1)).values for net in (plain, normed))
    torch.testing.assert_close(one, other)


def test_what_has_no_rule_is_named():
    with pytest.raises(UsageError, match="`lrp` has no rule for `torch.Tensor.cumprod`, which this network uses"):
        shares(lambda x: x.cumprod(1).sum(1), [1.0, 2.0])
    with pytest.raises(UsageError, match="no rule for `torch.Tensor.log10`"):
        shares(lambda x: x.log10().sum(1), [1.0, 2.0])
    with pytest.raises(UsageError, match="a softmax used as attention weights; explain logits"):
        shares(lambda x: x.softmax(1)[:, 0], [1.0, 2.0])
    with pytest.raises(UsageError, match="`lrp` needs a network in evaluation mode"):
        layer_wise_relevance(built(Residual).train(), images(), answers(1))
