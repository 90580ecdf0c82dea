import copy

import pytest
import torch
from torch import nn

from fovea.compression.pruning.sparsify import CubicSchedule, Sparsifier, sparsity, zeros_held
from fovea.errors import UsageError
from fovea.layers import copied


def two_layers():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))


def train(model, *, steps, after_step, lr=0.1):
    optimiser = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    x = torch.randn(8, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    for _ in range(steps):
        optimiser.zero_grad()
        model(x).square().mean().backward()
        optimiser.step()
        after_step(model)


def test_the_schedule_is_equation_1():
    schedule = CubicSchedule(amount=0.9, begin=0.2, end=0.7)
    assert schedule.at(0.1) == schedule.at(0.2) == 0
    # equation 1 with s_i = 0, t0 = 0.2, n dt = 0.5
    assert schedule.at(0.45) == pytest.approx(0.9 + (0 - 0.9) * (1 - (0.45 - 0.2) / 0.5) ** 3)
    assert schedule.at(0.7) == schedule.at(1.0) == 0.9


def test_the_share_follows_the_schedule_step_by_step():
    model, seen = two_layers(), []
    schedule = CubicSchedule(amount=0.5, end=0.5)
    sparsifier = Sparsifier(model, schedule, steps=20)

    def after_step(model):
        sparsifier(model)
        seen.append(sparsity(model))

    train(model, steps=20, after_step=after_step)
    expected = [schedule.at((step + 1) / 20) for step in range(20)]
    # each layer rounds to whole weights: 36 and 32
    assert all(abs(share - wanted) <= 0.5 / 32 for share, wanted in zip(seen, expected, strict=True))
    assert seen == sorted(seen)


def test_few_updates_still_reach_the_amount():
    model = two_layers()
    sparsifier = Sparsifier(model, CubicSchedule(amount=0.5), steps=17, updates=3)
    train(model, steps=17, after_step=sparsifier)
    sparsifier.finish()
    assert sparsity(model) == 0.5


def test_what_is_masked_is_the_smallest():
    model = nn.Sequential(nn.Linear(4, 1, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[0.1, -4.0, 3.0, -0.2]]))
    sparsifier = Sparsifier(model, CubicSchedule(amount=0.5), steps=1)
    sparsifier(model)
    sparsifier.finish()
    assert model[0].weight.tolist() == [[0.0, -4.0, 3.0, 0.0]]


def test_over_the_whole_network_the_scale_of_a_layer_does_not_count():
    model = nn.Sequential(nn.Linear(4, 2, bias=False), nn.Linear(2, 4, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 9.0, 9.0, 9.0]] * 2))
        model[1].weight.copy_(torch.tensor([[0.09, 0.09]] * 2 + [[0.09, 0.01]] * 2))
    Sparsifier(model, CubicSchedule(amount=0.25), steps=1, per_layer=False).finish()
    assert (model[0].weight == 0).sum() == 2
    assert (model[1].weight == 0).sum() == 2


def test_a_finished_network_has_the_names_and_the_answers_of_a_plain_one():
    model = two_layers()
    names, x = list(model.state_dict()), torch.randn(2, 1, 4, 4)
    sparsifier = Sparsifier(model, CubicSchedule(amount=0.75), steps=3)
    train(model, steps=3, after_step=sparsifier)
    masked = model(x)
    sparsifier.finish()
    assert list(model.state_dict()) == names
    assert torch.equal(model(x), masked)


def test_zeros_are_held_through_a_training_and_others_learn():
    model = two_layers()
    Sparsifier(model, CubicSchedule(amount=0.5), steps=1).finish()
    before = copy.deepcopy(model)
    with zeros_held(model):
        train(model, steps=3, after_step=lambda _: None)
    for layer, old in zip((model[0], model[3]), (before[0], before[3]), strict=True):
        assert torch.equal(layer.weight == 0, old.weight == 0)
        assert not torch.equal(layer.weight, old.weight)


def test_a_dense_network_is_left_alone_where_zeros_are_held():
    model = two_layers()
    with zeros_held(model):
        assert not hasattr(model[0], "parametrizations")


def test_the_mask_is_part_of_a_checkpoint():
    model = two_layers()
    sparsifier = Sparsifier(model, CubicSchedule(amount=0.5), steps=2)
    train(model, steps=2, after_step=sparsifier)
    twin = two_layers()
    Sparsifier(twin, CubicSchedule(amount=0.5), steps=2)
    twin.load_state_dict(copied(model).state_dict())
    x = torch.randn(2, 1, 4, 4)
    assert torch.equal(twin(x), model(x))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"amount": 1.0}, "`amount` (=1.0) must be at least 0 and below 1"),
        ({"amount": -0.1}, "`amount` (=-0.1)"),
        ({"amount": 0.5, "begin": 0.8}, "`begin` (=0.8) and `end` (=0.75) must increase"),
    ],
)
def test_a_schedule_that_cannot_be_says_why(fields, reason):
    with pytest.raises(UsageError) as caught:
        CubicSchedule(**fields)
    assert reason in str(caught.value)


def test_a_network_without_weights_says_so():
    with pytest.raises(UsageError, match="no convolution or dense layer"):
        Sparsifier(nn.Sequential(nn.ReLU()), CubicSchedule(amount=0.5), steps=1)
