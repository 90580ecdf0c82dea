"""Insertion and deletion of networks by hand."""

import pytest
import torch
from torch import nn

from fovea.explanation.objective import Objective, probabilities
from fovea.explanation.trust.curves import Areas, areas_of, centre_map, deletion, insertion, random_maps, ranked
from tests.explanation.attribution.test_cam import answers


class Share(nn.Module):
    """Logit 0 is the weighed sum of four pixels."""

    def forward(self, x):
        return (x.flatten(1) @ torch.tensor([8.0, 4.0, 2.0, 1.0]).to(x))[:, None]


X = torch.ones(1, 1, 2, 2)
BEST = torch.tensor([[[4.0, 3.0], [2.0, 1.0]]])


def test_curves_by_hand():
    gone = deletion(Share(), X, BEST, answers(0))
    assert gone.shares.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert gone.values.tolist() == [[15, 7, 3, 1, 0]]
    assert gone.areas.tolist() == [(7.5 + 7 + 3 + 1) / 4]
    came = insertion(Share(), X, BEST, answers(0), fill="mean")
    assert came.values.tolist() == [[0, 8, 12, 14, 15]] and came.areas.tolist() == [(8 + 12 + 14 + 7.5) / 4]
    worst = insertion(Share(), X, -BEST, answers(0), fill="mean")
    assert worst.values.tolist() == [[0, 1, 3, 7, 15]]


def test_steps_are_as_many_as_asked():
    x = torch.rand(2, 1, 10, 10)
    found = deletion(nn.Flatten(), x, x[:, 0], answers(0), steps=8, batch=3)
    assert found.values.shape == (2, 9) and found.shares.tolist() == pytest.approx(
        [0, 0.12, 0.25, 0.38, 0.5, 0.62, 0.75, 0.88, 1]
    )


def test_the_best_ranking_of_a_linear_network_has_the_greatest_area():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 3)).double()
    x = torch.randn(1, 1, 6, 6, dtype=torch.float64)
    shares = (model[1].weight[1].view(6, 6) * x[0, 0]).detach()[None]
    options = {"objective": answers(1), "fill": "mean"}
    most = float(insertion(model, x, shares, **options).areas)
    least = float(deletion(model, x, shares, **options).areas)
    for seed in range(5):
        other = random_maps(1, (6, 6), seed=seed)
        assert float(insertion(model, x, other, **options).areas) < most
        assert float(deletion(model, x, other, **options).areas) > least


def test_equal_pixels_follow_in_a_random_order_drawn_by_the_seed():
    values = torch.zeros(20, 20)
    values[3, 4] = 1
    ranks = ranked(values)
    assert ranks[3, 4] == 0 and sorted(ranks.flatten().tolist()) == [*range(400)]
    assert torch.equal(ranks, ranked(values)) and not torch.equal(ranks, ranked(values, seed=1))
    assert abs(float(ranks[:10].float().mean()) - 200) < 20


def test_rivals_know_nothing_of_the_image():
    assert random_maps(2, (30, 20), seed=0).shape == (2, 30, 20)
    assert not torch.equal(*random_maps(2, (30, 20), seed=0))
    centre = centre_map((9, 5))
    assert float(centre[4, 2]) == 1 == float(centre.max()) and torch.allclose(centre, centre.flip(0, 1))


def test_areas_of_several_maps_and_what_they_gain():
    objective = Objective(answers=torch.tensor([0]), evidence=lambda outputs, _: outputs[:, 0])
    told = []
    good, bad = (
        areas_of(Share(), X, maps, objective, steps=4, progress=lambda *at: told.append(at)) for maps in (BEST, -BEST)
    )
    assert told[0][0] < told[-1][0] == told[-1][1]
    assert torch.equal(good.came.values, insertion(Share(), X, BEST, objective, steps=4).values)
    assert good.went.values.tolist() == [[15, 7, 3, 1, 0]]
    assert good.deletion.tolist() == [(7.5 + 7 + 3 + 1) / 4] and bad.deletion.tolist() == [(7.5 + 14 + 12 + 8) / 4]
    assert float(good.gain) > float(bad.gain)
    assert Areas(insertion=torch.tensor([3.0]), deletion=torch.tensor([1.0])).gain.tolist() == [2]


def test_probabilities_are_the_softmax():
    found = probabilities(torch.tensor([[0.0, 0.0], [0.0, 30.0]]), torch.tensor([0, 1]))
    assert found.tolist() == pytest.approx([0.5, 1])


def test_neither_batch_nor_precision_changes_the_curve():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 3))
    x, maps = torch.randn(2, 1, 8, 8), torch.rand(2, 8, 8)
    whole = insertion(model, x, maps, answers(1, 2)).values
    torch.testing.assert_close(whole, insertion(model, x, maps, answers(1, 2), batch=1).values)
    few = insertion(model.bfloat16(), x.bfloat16(), maps, answers(1, 2)).values
    assert few.dtype == torch.float32 and float((few - whole).abs().max()) < 0.1
