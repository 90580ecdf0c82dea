"""The check by randomisation: what must pass passes, what must fail fails, and the network is left alone."""

import pytest
import torch
from torch import nn

from fovea.explanation.attribution.methods import METHODS
from fovea.explanation.attribution.registry import Attribution, Method, input_gradient
from fovea.explanation.objective import Objective
from fovea.explanation.trust.planted import planted
from fovea.explanation.trust.sanity import Sanity, Step, cascade, randomise, sanity_check


def gradient(model, x, objective):
    return Attribution(values=input_gradient(model, x, objective).abs().amax(1).float())


def edges(model, x, objective):
    """Return where neighbours differ, whatever the network."""
    return Attribution(
        values=(x.diff(dim=2, append=x[:, :, -1:]).abs() + x.diff(dim=3, append=x[..., -1:]).abs())[:, 0]
    )


def constant(model, x, objective):
    return Attribution(values=torch.ones(len(x), *x.shape[2:]))


def broken(model, x, objective):
    return Attribution(values=gradient(model, x, objective).values / (0 if "Copy" in type(model).__name__ else 1))


def checked(explain, **options):
    test = planted()
    method = Method("tried", "Tried", "here", False, explain)
    return sanity_check(test.model, test.x[:8], Objective(answers=test.labels[:8]), method, **options)


def test_the_gradient_of_a_trained_network_passes():
    found = checked(gradient)
    assert found.passed, found.reason
    assert found.steps[0].correlation > found.steps[-1].correlation


@pytest.mark.parametrize("explain", [edges, constant])
def test_what_does_not_look_at_the_network_fails(explain):
    found = checked(explain)
    assert not found.passed
    assert all(step.correlation == pytest.approx(1) and step.similarity == pytest.approx(1) for step in found.steps)


def test_grad_cam_passes():
    test = planted()
    found = sanity_check(test.model, test.x[:8], Objective(answers=test.labels[:8]), METHODS["gradcam"])
    assert found.passed and [step.layer for step in found.steps] == ["7", "3", "0"]


def test_thresholds_decide_each_alone():
    def verdict(correlation, similarity):
        last = Step(layer="stem", correlation=correlation, similarity=similarity)
        return Sanity(steps=(Step(layer="head", correlation=1, similarity=1), last)).passed

    assert verdict(0.49, 0.49) and not verdict(0.5, 0.1) and not verdict(0.1, 0.5)


def test_the_network_and_the_global_generator_are_left_alone():
    test, state = planted(), torch.get_rng_state()
    before = {name: tensor.clone() for name, tensor in test.model.state_dict().items()}
    first, second = checked(gradient, seed=3), checked(gradient, seed=3)
    assert first == second != checked(gradient, seed=4)
    assert all(torch.equal(before[name], tensor) for name, tensor in test.model.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())


class Backwards(nn.Module):
    """Modules are declared in another order than they run; one weight is parametrised."""

    def __init__(self):
        super().__init__()
        self.dense = nn.utils.parametrizations.weight_norm(nn.Linear(4, 2))
        self.norm = nn.BatchNorm2d(4)
        self.conv = nn.Conv2d(1, 4, 3)

    def forward(self, x):
        return self.dense(self.norm(self.conv(x)).mean((2, 3)))


def test_the_cascade_goes_against_the_pass():
    model = Backwards().eval()
    order = cascade(model, torch.zeros(1, 1, 8, 8))
    assert order == ["dense", "dense.parametrizations.weight", "norm", "conv"]


def test_a_parametrised_network_is_checked_and_left_alone():
    torch.manual_seed(0)
    model = Backwards().eval()
    method = Method("tried", "Tried", "here", False, gradient)
    x = torch.randn(2, 1, 8, 8)
    before = model(x)
    found = sanity_check(model, x, Objective(answers=torch.tensor([0, 1])), method, steps=3)
    assert len(found.steps) == 3 and found.steps[-1].layer == "conv" and torch.equal(before, model(x))


def test_the_weights_keep_their_size_and_vectors_their_values():
    draw = torch.Generator().manual_seed(0)
    conv, norm = nn.Conv2d(16, 32, 3), nn.BatchNorm2d(32)
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            tensor.copy_(torch.rand(32))
    kept, size = conv.weight.clone(), conv.weight.square().mean()
    pairs = torch.stack([norm.weight, norm.running_var], 1).detach().clone()
    randomise(conv, draw), randomise(norm, draw)
    assert not torch.equal(conv.weight, kept)
    assert float((conv.weight.square().mean() / size).detach()) == pytest.approx(1, rel=0.1)
    # a mean stays with its variance: each pair is still there, in another place
    found = torch.stack([norm.weight, norm.running_var], 1).detach()
    assert not torch.equal(found, pairs) and sorted(found.tolist()) == sorted(pairs.tolist())


def test_a_map_that_is_not_finite_leaves_nothing():
    calls = []

    def exploding(model, x, objective):
        calls.append(0)
        return Attribution(values=torch.rand(len(x), 28, 28) * (float("nan") if len(calls) > 1 else 1))

    found = checked(exploding, steps=1)
    assert found.steps[-1].correlation == 0 and found.passed
