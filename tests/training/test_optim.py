"""Optimisers: Muon by its properties, parameter groups by recipe, the moving average by hand."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fovea.training.optim import NEWTON_SCHULZ, Average, Muon, make_optimisers, orthogonalised
from fovea.training.recipe import OPTIMISERS, Recipe


def tiny_net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 2)
    )


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(16, 16), (8, 40), (40, 8)])
def test_orthogonalised_singular_values_lie_around_one(shape):
    values = torch.linalg.svdvals(orthogonalised(random(*shape)))
    assert 0.5 < values.min() and values.max() < 1.25


@pytest.mark.parametrize("shape", [(8, 40), (40, 8)])
def test_orthogonalised_keeps_the_singular_vectors(shape):
    matrix = random(*shape)
    U, _, Vh = torch.linalg.svd(matrix, full_matrices=False)
    core = U.T @ orthogonalised(matrix, steps=10) @ Vh.T
    torch.testing.assert_close(core - torch.diag(core.diagonal()), torch.zeros(8, 8), atol=1e-4, rtol=0)
    assert (core.diagonal() > 0.5).all()


@pytest.mark.parametrize("shape", [(16, 16), (8, 40), (40, 8)])
def test_orthogonalised_is_the_iteration_as_printed(shape):
    matrix, (a, b, c) = random(*shape).double(), NEWTON_SCHULZ
    X = matrix.T if shape[0] > shape[1] else matrix
    X = X / (X.norm() + 1e-7)
    for _ in range(5):
        A = X @ X.T
        X = a * X + (b * A + c * A @ A) @ X
    expected = X.T if shape[0] > shape[1] else X
    torch.testing.assert_close(orthogonalised(matrix), expected, rtol=1e-9, atol=1e-9)


def test_orthogonalised_does_not_depend_on_scale():
    matrix = random(5, 9)
    torch.testing.assert_close(orthogonalised(1000 * matrix), orthogonalised(matrix), rtol=1e-4, atol=1e-5)


def test_orthogonalised_zero_is_zero():
    assert orthogonalised(torch.zeros(3, 4)).abs().max() == 0


@pytest.mark.parametrize("shape", [(8, 4, 3, 3), (32, 2, 2, 2)], ids=("wide", "tall"))
def test_muon_steps_by_the_learning_rate_relative_to_the_weight(shape):
    weight = nn.Parameter(random(*shape))
    optimiser = Muon([weight], lr=0.1)
    weight.grad = random(*shape, seed=1)
    before = weight.detach() * (shape[0] ** 0.5 / weight.detach().norm())
    optimiser.step()
    step = weight.detach() - before
    assert 0.06 < step.norm() / before.norm() < 0.125
    assert (step * weight.grad).sum() < 0


def test_muon_brings_the_weight_back_to_its_norm():
    weight = nn.Parameter(50 * random(8, 4, 3, 3))
    optimiser = Muon([weight], lr=1e-9)
    weight.grad = random(8, 4, 3, 3, seed=1)
    optimiser.step()
    assert weight.detach().norm().item() == pytest.approx(8**0.5, rel=1e-5)


def test_muon_holds_the_norm_of_a_weight_that_has_learned():
    weight = nn.Parameter(3 * random(4, 2, 3, 3))
    before, norm = weight.detach().clone(), weight.norm().item()
    optimiser = Muon([weight], lr=0.01)
    optimiser.hold_norms()
    weight.grad = random(4, 2, 3, 3, seed=1)
    optimiser.step()
    assert (weight - before).norm().item() / norm == pytest.approx(0.01, rel=0.2)
    optimiser.param_groups[0]["lr"] = 1e-9
    optimiser.step()
    assert weight.norm().item() == pytest.approx(norm, rel=1e-5)


def test_muon_leaves_a_weight_without_gradient_alone():
    weight = nn.Parameter(random(4, 2, 3, 3))
    before = weight.detach().clone()
    Muon([weight], lr=0.1).step()
    assert torch.equal(weight, before)


def test_muon_descends():
    target = random(6, 3, 2, 2)
    target *= 6**0.5 / target.norm()
    weight = nn.Parameter(random(6, 3, 2, 2, seed=1))
    optimiser = Muon([weight], lr=0.1, momentum=0.5)
    losses = []
    for _ in range(40):
        loss = (weight - target).square().sum()
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert losses[-1] < 0.1 * losses[1]


def test_muon_momentum_is_nesterov():
    gradients = [random(4, 2, 3, 3, seed=s) for s in (1, 2)]
    weight = nn.Parameter(random(4, 2, 3, 3))
    optimiser = Muon([weight], lr=0.1, momentum=0.5)
    expected = weight.detach().clone()
    buffer = torch.zeros_like(expected)
    for gradient in gradients:
        weight.grad = gradient
        optimiser.step()
        buffer = 0.5 * buffer + gradient
        update = orthogonalised((gradient + 0.5 * buffer).reshape(4, -1)).view(4, 2, 3, 3)
        expected = expected * 4**0.5 / expected.norm() - 0.1 * update
    torch.testing.assert_close(weight.detach(), expected)


@pytest.mark.parametrize("name", [name for name in OPTIMISERS if name != "muon"])
def test_weight_decay_spares_norms_and_biases(name):
    model = tiny_net()
    (optimiser,) = make_optimisers(model, Recipe(optimiser=name, weight_decay=0.1, lr=0.3))
    assert type(optimiser).__name__.lower() == name
    decayed, spared = optimiser.param_groups
    assert [p.shape for p in decayed["params"]] == [model[0].weight.shape, model[5].weight.shape]
    assert all(p.ndim == 1 for p in spared["params"]) and len(spared["params"]) == 4
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    assert decayed["base_lr"] == decayed["lr"] == spared["base_lr"] == 0.3


def test_momentum_reaches_each_optimiser():
    def group(**fields):
        return make_optimisers(tiny_net(), Recipe(momentum=0.7, **fields))[0].param_groups[0]

    assert (group(optimiser="sgd")["momentum"], group(optimiser="sgd")["nesterov"]) == (0.7, True)
    assert group(optimiser="sgd", nesterov=False)["nesterov"] is False
    assert group(optimiser="rmsprop")["momentum"] == group(optimiser="muon")["momentum"] == 0.7
    assert group(optimiser="adam")["betas"] == group(optimiser="adamw")["betas"] == (0.7, 0.999)


def test_sgd_without_momentum_is_plain_descent():
    (optimiser,) = make_optimisers(tiny_net(), Recipe(momentum=0.0))
    assert optimiser.param_groups[0]["nesterov"] is False


def test_muon_takes_the_convolutions_and_adam_the_rest():
    model = tiny_net()
    muon, adam = make_optimisers(model, Recipe(optimiser="muon", lr=0.2, lr_rest=0.03))
    assert [id(p) for p in muon.param_groups[0]["params"]] == [id(model[0].weight)]
    vectors, matrix = adam.param_groups
    assert len(vectors["params"]) == 4
    assert [id(p) for p in matrix["params"]] == [id(model[-1].weight)]
    assert model[-1].in_features == 16
    assert (muon.param_groups[0]["base_lr"], vectors["base_lr"]) == (0.2, 0.03)
    assert matrix["base_lr"] == pytest.approx(0.03 / 16**0.5)


def test_muon_on_a_network_without_convolutions_is_adam():
    (optimiser,) = make_optimisers(nn.Linear(3, 2), Recipe(optimiser="muon"))
    assert isinstance(optimiser, torch.optim.Adam)


def test_muon_on_a_network_of_filters_alone():
    (optimiser,) = make_optimisers(nn.Conv2d(3, 2, 3, bias=False), Recipe(optimiser="muon"))
    assert isinstance(optimiser, Muon)


def test_frozen_weights_are_left_out():
    model = tiny_net()
    model[0].weight.requires_grad_(False)
    optimisers = make_optimisers(model, Recipe(optimiser="muon"))
    assert all(p is not model[0].weight for o in optimisers for group in o.param_groups for p in group["params"])


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("weight_decay", [0.0, 1e-4])
def test_a_layer_may_begin_to_learn_after_the_others(optimiser, weight_decay):
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    optimisers = make_optimisers(model, Recipe(optimiser=optimiser, weight_decay=weight_decay))
    before = copy.deepcopy(model)
    for part in (model[0], model):
        model.zero_grad()
        part(torch.ones(1, 3)).sum().backward()
        for each in optimisers:
            each.step()
    assert not any(torch.equal(p, q) for p, q in zip(model.parameters(), before.parameters(), strict=True))


def test_a_step_of_adadelta_by_hand():
    """With g = 2: s = 0.05 x 4, and the step sqrt(1e-6) / sqrt(s + 1e-6) x 2 of Zeiler 2012, algorithm 1; twice."""
    layer = nn.Linear(1, 1, bias=False)
    nn.init.ones_(layer.weight)
    (optimiser,) = make_optimisers(layer, Recipe(optimiser="adadelta", lr=1.0, momentum=0.95, weight_decay=0.0))
    w, s, u = 1.0, 0.0, 0.0
    for _ in range(2):
        layer.zero_grad()
        layer(torch.tensor([[2.0]])).sum().backward()
        optimiser.step()
        s = 0.95 * s + 0.05 * 4
        d = (u + 1e-6) ** 0.5 / (s + 1e-6) ** 0.5 * 2
        w, u = w - d, 0.95 * u + 0.05 * d**2
        assert layer.weight.item() == pytest.approx(w, abs=1e-7)


LEARNING_RATES = {"sgd": 0.1, "rmsprop": 0.003, "adadelta": 1.0, "adam": 0.01, "adamw": 0.01, "muon": 0.1}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_optimiser_learns(name):
    model = tiny_net()
    images, labels = random(32, 1, 6, 6), torch.arange(32) % 2
    images[labels == 1] += 1
    optimisers = make_optimisers(model, Recipe(optimiser=name, lr=LEARNING_RATES[name], momentum=0.8))
    losses = []
    for _ in range(30):
        loss = F.cross_entropy(model(images), labels)
        losses.append(loss.item())
        loss.backward()
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad()
    assert losses[-1] < 0.5 * losses[0]


def test_the_average_follows_with_its_decay_and_faster_at_first():
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    average = Average(model, 0.15)
    nn.init.ones_(model.weight)
    average.update(model)  # decay min(0.15, 2 / 11) = 0.15
    assert average.model.weight.item() == pytest.approx(0.85)
    early = Average(model, 0.999)
    nn.init.zeros_(model.weight)
    early.update(model)  # decay 2 / 11
    early.update(model)  # decay 3 / 12
    assert early.model.weight.item() == pytest.approx(2 / 11 * 3 / 12)


def test_the_average_takes_buffers_as_they_are_and_is_not_trained():
    model = tiny_net()
    average = Average(model, 0.9)
    model(random(8, 1, 6, 6))
    before = copy.deepcopy(average.model[0].weight)
    average.update(model)
    assert torch.equal(average.model[1].running_mean, model[1].running_mean)
    assert average.model[1].num_batches_tracked == 1
    assert torch.allclose(average.model[0].weight, before)
    assert not any(p.requires_grad for p in average.model.parameters())
