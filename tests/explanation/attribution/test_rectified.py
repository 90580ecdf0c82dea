"""Guided backpropagation and the deconvnet against the figures of the papers, and ReLUs wherever they are called."""

import pytest
import torch
from small_networks import RELU_NETWORKS, Curved, Dense, Residual, built, images, same_state, state
from torch import nn
from torch.nn import functional as F

from fovea.errors import UsageError
from fovea.explanation.attribution.cam import grad_cam
from fovea.explanation.attribution.rectified import (
    brought_back,
    deconvnet,
    guided_backpropagation,
    guided_grad_cam,
    project,
    rectified,
)
from fovea.explanation.objective import Objective

METHODS = (guided_backpropagation, deconvnet, guided_grad_cam)


def answers(*indices):
    return Objective(answers=torch.tensor(indices))


Z = torch.tensor([[1.0, -1.0, 5.0], [2.0, -5.0, -7.0], [-3.0, 2.0, 4.0]])
G = torch.tensor([[-2.0, 3.0, -1.0], [6.0, -3.0, 1.0], [2.0, -1.0, 3.0]])
"""What enters a ReLU, and what comes back to it: figure 1 of Springenberg et al."""

SPELLINGS = {
    "module": nn.ReLU(),
    "module in place": lambda z: nn.ReLU(inplace=True)(z.clone()),
    "F.relu": F.relu,
    "F.relu in place": lambda z: F.relu(z.clone(), inplace=True),
    "torch.relu": torch.relu,
    "torch.relu_": lambda z: torch.relu_(z.clone()),
    "Tensor.relu": lambda z: z.relu(),
    "Tensor.relu_": lambda z: z.clone().relu_(),
    "result not used": lambda z: [copy := z.clone(), copy.relu_()][0],
    "ReLU6": nn.ReLU6(),
    "F.relu6": lambda z: F.relu6(z, inplace=False),
    "hardtanh": nn.Hardtanh(0.0, 20.0),
    "clamp": lambda z: z.clamp(min=0),
    "clamp_": lambda z: z.clone().clamp_(0),
    "clip": lambda z: torch.clip(z, 0.0),
    "clamp_min": lambda z: z.clamp_min(0),
    "clamp by a tensor": lambda z: z.clamp(min=torch.zeros(3)),
    "threshold": nn.Threshold(0.0, 0.0),
    "maximum": lambda z: torch.maximum(z, torch.zeros(())),
    "max": lambda z: torch.max(z, torch.zeros(3, 3)),
}


def back_through(relu, rule):
    z = Z.clone().requires_grad_()
    with rectified(rule):
        (found,) = torch.autograd.grad(relu(z), z, G)
    return found


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_figure_of_the_paper(spelling):
    relu = SPELLINGS[spelling]
    assert torch.equal(relu(Z), Z.clamp(min=0))
    assert torch.equal(back_through(relu, "deconvnet"), torch.tensor([[0.0, 3, 0], [6, 0, 1], [2, 0, 3]]))
    assert torch.equal(back_through(relu, "guided"), torch.tensor([[0.0, 0, 0], [6, 0, 0], [0, 0, 3]]))


def test_what_is_cut_above_gets_nothing():
    assert torch.equal(back_through(lambda z: z.clamp(0, 1.5), "guided"), torch.zeros(3, 3))


@pytest.mark.parametrize(
    "other",
    [lambda z: z.clamp(min=-1), lambda z: F.hardtanh(z), lambda z: z.max(0).values + 0 * z, lambda z: z.clamp(max=3)],
)
def test_other_cuts_keep_their_derivative(other):
    z = Z.clone().requires_grad_()
    (expected,) = torch.autograd.grad(other(z), z, G)
    assert torch.equal(back_through(lambda z: other(z) + 0 * z.relu(), "guided"), expected)


@pytest.mark.parametrize("kind", [Residual, Dense])
def test_with_weights_above_zero_it_is_the_gradient(kind):
    """Then nothing that comes back is negative, and the forward pass decides."""
    model, x = built(kind), images().abs()
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data.abs_()
    z = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(z)[:, 1].sum(), z)
    torch.testing.assert_close(brought_back(model, x, answers(1), "guided"), gradient)


@pytest.mark.parametrize("kind", RELU_NETWORKS)
def test_in_place_shared_and_functional_are_the_same_as_modules(kind):
    """By hooks on modules, the way of most: every ReLU call replaced by a module's, none missed."""

    class Guided(torch.autograd.Function):
        @staticmethod
        def forward(ctx, z, top):
            ctx.save_for_backward((z > 0) & (z < top))
            return z.clamp(0, top)

        @staticmethod
        def backward(ctx, g):
            return g.relu() * ctx.saved_tensors[0], None

    model, x = built(kind), images()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(F, "relu", lambda z, inplace=False: Guided.apply(z, torch.inf))
        patch.setattr(F, "relu_", lambda z: Guided.apply(z, torch.inf))
        patch.setattr(F, "hardtanh", lambda z, low, high, inplace: Guided.apply(z, high))
        patch.setattr(torch.Tensor, "clamp_", lambda z, min: Guided.apply(z, torch.inf))
        z = x.clone().requires_grad_()
        (expected,) = torch.autograd.grad(model(z)[[0, 1], [1, 2]].sum(), z)
    torch.testing.assert_close(brought_back(model, x, answers(1, 2), "guided"), expected)
    assert torch.equal(guided_backpropagation(model, x, answers(1, 2)).values, expected.sum(1).float())


def test_guided_grad_cam_is_the_product():
    model, x = built(Residual), images()
    coarse = grad_cam(model, x, answers(1, 2))
    expected = guided_backpropagation(model, x, answers(1, 2)).values * coarse.at((12, 12))
    found = guided_grad_cam(model, x, answers(1, 2))
    assert torch.equal(found.values, expected) and found.layer == coarse.layer


def test_activations_that_are_no_relus_are_refused():
    for method in METHODS:
        with pytest.raises(UsageError, match="is defined for ReLUs, and this network uses `silu`"):
            method(built(Curved), images(), answers(1))
    linear = nn.Sequential(nn.Flatten(), nn.Linear(432, 4))
    with pytest.raises(UsageError, match="changes the gradient of ReLUs, and this network has none"):
        deconvnet(linear, images().float(), answers(1))


@pytest.mark.parametrize("method", METHODS)
def test_a_network_is_left_as_it_was(method):
    model, x = built(Residual), images()
    kept, before = x.clone(), state(model)
    with torch.no_grad():
        method(model, x, answers(0, 1))
    assert same_state(before, state(model)) and torch.equal(x, kept)
    assert torch.equal(torch.relu(x), x.clamp(min=0)) and not torch.overrides._get_current_function_mode_stack()


@pytest.mark.parametrize("method", METHODS)
def test_half_precision_gives_maps(method):
    model, x = built(Residual).bfloat16(), images().bfloat16()
    found = method(model, x, answers(1)).values
    assert found.dtype == torch.float32 and found.isfinite().all()


# projections of a unit


class Pooled(nn.Module):
    """One 2x2 kernel, a ReLU in place, a max pool of 2."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.pool = nn.Conv2d(1, 1, 2, bias=False), nn.ReLU(inplace=True), nn.MaxPool2d(2)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([[1.0, 2.0], [-1.0, 3.0]]))

    def forward(self, x):
        return self.pool(self.relu(self.conv(x)))


@pytest.mark.parametrize("layer", ["pool", "relu", "conv"])
def test_a_projection_by_hand(layer):
    """The kernel where the strongest activation was, times the activation."""
    x = torch.zeros(2, 1, 5, 5)
    x[0, 0, 2, 3], x[1, 0, 1, 1] = 2.0, -1.0  # 2 * 3 at (1, 2); -1 * -1 at (0, 1)
    expected = torch.zeros(2, 1, 5, 5)
    expected[0, 0, 1:3, 2:4] = 6 * torch.tensor([[1.0, 2.0], [-1.0, 3.0]])
    expected[1, 0, 0:2, 1:3] = 1 * torch.tensor([[1.0, 2.0], [-1.0, 3.0]])
    assert torch.equal(project(Pooled(), x, layer, 0), expected)


def test_units_are_projected_too():
    model = nn.Sequential(nn.Flatten(), nn.Linear(432, 5), nn.ReLU()).double()
    x = images()
    value = model(x)[:, 3]
    expected = value.view(-1, 1) * model[1].weight[3]
    torch.testing.assert_close(project(model, x, "2", 3).flatten(1), expected.detach())


def test_a_projection_names_what_is_not_there():
    with pytest.raises(UsageError, match="Unknown layer `convv`; did you mean `conv`"):
        project(Pooled(), torch.zeros(1, 1, 5, 5), "convv", 0)
    with pytest.raises(UsageError, match=r"`channel` \(=1\) must be below the 1 channels of `conv`"):
        project(Pooled(), torch.zeros(1, 1, 5, 5), "conv", 1)
    model = built(Residual)
    before = state(model)
    with pytest.raises(UsageError, match="channels of `first`"):
        project(model, images(), "first", 99)
    assert same_state(before, state(model))
