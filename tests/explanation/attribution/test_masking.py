"""RISE, Score-CAM and Ablation-CAM by hand, by enumeration, and by their formulas."""

import itertools

import pytest
import torch
from torch import nn

from fovea.errors import UsageError
from fovea.explanation.attribution.masking import ablation_cam, all_masks, random_masks, rise, score_cam
from fovea.explanation.objective import Objective
from tests.explanation.attribution.test_cam import NEGATIVE, POSITIVE, Pooled, X, answers


def small_net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(144, 3)).double().eval()


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def equation_6(model, x, grid, keep):
    """Return the paper's map, every mask of the grid written out, its expectation the sum by probability."""
    H, W = x.shape[2:]
    total, mean = torch.zeros(H, W).double(), 0.0
    for cells in itertools.product((0.0, 1.0), repeat=grid * grid):
        mask = torch.tensor(cells).double().view(1, 1, grid, grid)
        mask = nn.functional.interpolate(mask, (H, W), mode="bilinear", align_corners=False)
        p = keep ** sum(cells) * (1 - keep) ** (grid * grid - sum(cells))
        value = model(x * mask)[0, 1].detach()
        total += p * value * mask[0, 0]
        mean += p * float(value)
    return total / keep, mean


@pytest.mark.parametrize("keep", [0.5, 0.3])
def test_rise_is_the_enumeration_of_all_masks(keep):
    model, x = small_net(), random(1, 1, 8, 8)
    expected, mean = equation_6(model, x, 3, keep)
    found = rise(model, x, answers(1), grid=3, keep=keep, exact=True, batch=100)
    assert float(found.figures["mean"]) == pytest.approx(mean, rel=1e-5)
    torch.testing.assert_close(found.values[0] + found.figures["mean"], expected.float(), rtol=1e-4, atol=1e-5)


def test_rise_of_a_linear_network_by_hand():
    # E[f M] / p - E[f] is w x (1 - p) where cells are pixels: a place that is kept adds its own share
    dense = nn.Sequential(nn.Flatten(), nn.Linear(9, 2)).double()
    x = random(1, 1, 3, 3)
    found = rise(dense, x, answers(1), grid=3, keep=0.25, exact=True).values[0]
    expected = dense[1].weight[1].view(3, 3) * x[0, 0] * 0.75
    torch.testing.assert_close(found, expected.float().detach(), rtol=1e-5, atol=1e-6)


def test_random_masks_come_nearer_to_the_enumeration_the_more_there_are():
    model, x = small_net(), random(1, 1, 8, 8)
    exact = rise(model, x, answers(1), grid=2, exact=True).values[0]
    draw = torch.Generator().manual_seed(1)
    errors = []
    for count in (100, 10_000):
        from fovea.explanation.attribution import masking

        cells = (torch.rand(count, 2, 2, generator=draw) < 0.5).float()
        masks = masking.Masks(cells, None, torch.full((count,), 1 / count, dtype=torch.float64))
        images = masking.Images(x, answers(1), passes=count, progress=None)
        answered, kept, mean = masking._weighed(model, x, answers(1), masks, images=images, batch=512)
        errors.append(float(((answered - mean * kept) / 0.5 - exact).abs().max() / exact.abs().max()))
    assert errors[1] < 0.03 and errors[1] < errors[0] / 3


def test_each_cell_of_random_masks_is_kept_as_often_as_asked():
    masks = random_masks(4000, grid=4, keep=0.3, size=(21, 14), seed=0)
    drawn = masks.drawn(slice(None), (21, 14))
    assert drawn.shape == (4000, 1, 21, 14) and 0 <= drawn.min() and drawn.max() <= 1 + 1e-6
    assert (drawn.mean((0, 1)) - 0.3).abs().max() < 0.03
    assert masks.shifts.amax(0).tolist() == [5, 3] and masks.shifts.amin() == 0


def test_all_masks_are_all_and_their_probabilities_add_up():
    masks = all_masks(grid=2, keep=0.3)
    assert len(masks.cells.unique(dim=0)) == 16 and float(masks.weights.sum()) == pytest.approx(1)
    with pytest.raises(UsageError, match=r"`exact` needs `grid` \(=5\) of at most 4"):
        all_masks(grid=5, keep=0.5)


def test_rise_is_drawn_by_its_seed_and_takes_any_batch():
    model, x, state = small_net(), random(2, 1, 8, 8), torch.get_rng_state()
    first = rise(model, x, answers(1, 2), masks=50, batch=7).values
    assert torch.equal(state, torch.get_rng_state())
    torch.testing.assert_close(first, rise(model, x, answers(1, 2), masks=50, batch=64).values)
    assert not torch.allclose(first, rise(model, x, answers(1, 2), masks=50, seed=1).values)
    with pytest.raises(UsageError, match=r"`keep` \(=1.0\) must be between 0 and 1"):
        rise(model, x, answers(1), keep=1.0)


def test_score_cam_by_its_formula():
    model, x = small_net(), random(2, 1, 8, 8)
    found = score_cam(model, x, answers(1, 0), layer="1", batch=3).values
    for image, index in ((0, 1), (1, 0)):
        maps = model[:2](x[image : image + 1]).detach()[0]
        large = nn.functional.interpolate(maps[:, None], (8, 8), mode="bilinear", align_corners=False)[:, 0]
        low, high = large.amin((1, 2), keepdim=True), large.amax((1, 2), keepdim=True)
        base = model(torch.zeros_like(x[:1]))[0, index]
        increase = torch.stack([model(x[image] * h[None, None])[0, index] - base for h in (large - low) / (high - low)])
        expected = (increase.softmax(0)[:, None, None] * maps).sum(0).relu()
        torch.testing.assert_close(found[image], expected.float().detach(), rtol=1e-5, atol=1e-6)


def test_a_channel_that_tells_nothing_has_no_weight_in_score_cam():
    model = Pooled().eval()
    with torch.no_grad():
        model.conv.weight[1] = 0
    assert torch.equal(score_cam(model, X, answers(0)).values[0], POSITIVE)
    with torch.no_grad():
        model.conv.weight.zero_()
    assert score_cam(model, X, answers(0)).values.count_nonzero() == 0


def test_ablation_cam_by_hand():
    # the mean of the positive channel is 1, of the negative one 0.5; logit 0 is 2 x 1 + 1 x 0.5 + 0.5 = 3
    found = ablation_cam(Pooled().eval(), X, answers(0)).values[0]
    torch.testing.assert_close(found, (2 / 3) * POSITIVE + (0.5 / 3) * NEGATIVE)


def test_evidence_below_zero_does_not_turn_the_map_around():
    model = Pooled().eval()
    with torch.no_grad():
        model.dense.bias[0] = -5.5  # logit 0 is -3
    torch.testing.assert_close(ablation_cam(model, X, answers(0)).values[0], (2 / 3) * POSITIVE + (0.5 / 3) * NEGATIVE)


@pytest.mark.parametrize("explain", [score_cam, ablation_cam])
def test_the_size_of_the_batch_changes_nothing_and_progress_ends(explain):
    model, x, told = small_net(), random(2, 1, 8, 8), []
    whole = explain(model, x, answers(1, 0), layer="1", progress=lambda *numbers: told.append(numbers)).values
    torch.testing.assert_close(whole, explain(model, x, answers(1, 0), layer="1", batch=1).values)
    assert told[-1] == (8, 8)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
@pytest.mark.parametrize("explain", [rise, score_cam, ablation_cam])
def test_any_precision(explain, dtype):
    found = explain(small_net().to(dtype), random(1, 1, 8, 8).to(dtype), answers(1), batch=128)
    assert found.values.dtype == torch.float32 and found.values.isfinite().all()


@pytest.mark.parametrize("explain", [rise, score_cam, ablation_cam])
def test_a_network_that_begins_in_place_leaves_the_image(explain):
    model = nn.Sequential(nn.ReLU(inplace=True), small_net())
    x = random(1, 1, 8, 8)
    kept = x.clone()
    explain(model, x, Objective(answers=torch.tensor([1])), batch=128)
    assert torch.equal(x, kept)
