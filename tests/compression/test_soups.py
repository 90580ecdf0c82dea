"""Averages of networks: by hand, which members stay, and what batch norms know afterwards."""

import pytest
import torch
from torch import nn

from fovea.compression.soups import averaged, check_form, greedy_soup, renormalise, uniform_soup
from fovea.errors import UsageError


def constant(value):
    """Return a dense layer whose weight is `value`."""
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, value)
    return layer


def weight(model):
    return model.weight.item()


def near(target):
    return lambda model: -abs(weight(model) - target)


def test_the_average_is_that_of_each_weight_and_leaves_its_parts():
    parts = [constant(1.0), constant(2.0), constant(6.0)]
    assert weight(averaged(parts)) == 3.0
    assert [weight(part) for part in parts] == [1.0, 2.0, 6.0]


def test_counters_are_not_averaged():
    first, second = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    second.num_batches_tracked.fill_(9)
    assert averaged([first, second]).num_batches_tracked.item() == 0


def test_greedy_keeps_what_helps_from_the_best_on():
    """Scores count the distance to 3: 2.5 is best, with 3.5 it is exact, and 9 only does harm."""
    models = [constant(9.0), constant(2.5), constant(3.5)]
    soup, kept = greedy_soup(models, near(3.0), batches=list)
    assert weight(soup) == 3.0 and sorted(kept) == [1, 2]


def test_a_greedy_soup_is_never_worse_than_the_best_alone():
    models = [constant(value) for value in (0.0, 10.0, 4.0, -7.0)]
    soup, _ = greedy_soup(models, near(4.2), batches=list)
    assert near(4.2)(soup) >= max(map(near(4.2), models))


def test_norms_get_the_statistics_of_the_batches_and_keep_their_momentum():
    norm = nn.BatchNorm2d(2, momentum=0.3)
    batches = [torch.randn(50, 2, 4, 4, generator=torch.Generator().manual_seed(seed)) * 3 + 5 for seed in range(4)]
    renormalise(norm, batches)
    everything = torch.cat(batches)
    torch.testing.assert_close(norm.running_mean, everything.mean((0, 2, 3)), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(norm.running_var, everything.var((0, 2, 3)), rtol=2e-2, atol=0.1)
    assert (norm.momentum, norm.training) == (0.3, False)


def test_dropout_stays_in_evaluation_while_norms_are_set():
    model = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(1))
    renormalise(model, [torch.ones(64, 1)])
    assert model[1].running_mean.item() == 1.0  # with dropout it would be another


def test_a_uniform_soup_answers_like_its_equal_parts():
    torch.manual_seed(0)
    part = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    inputs = torch.randn(256, 3)
    renormalise(part, [inputs])
    soup = uniform_soup([part, part, part], batches=lambda: [inputs])
    torch.testing.assert_close(soup(inputs), part(inputs))


def test_another_form_is_named():
    with pytest.raises(UsageError, match="member 2 differs: `weight` is 1x1 here and 2x1 there"):
        check_form(constant(1.0), [constant(2.0), nn.Linear(1, 2, bias=False)])
    with pytest.raises(UsageError, match="`bias` is missing here and 1 there"):
        check_form(constant(1.0), [nn.Linear(1, 1)])
