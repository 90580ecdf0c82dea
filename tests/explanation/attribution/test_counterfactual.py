"""The minimal mask of networks whose decision hangs on known places."""

import pytest
import torch
from torch import nn

from fovea.explanation.attribution.counterfactual import counterfactual, region
from fovea.explanation.objective import Objective
from tests.explanation.attribution.test_cam import answers


class Bright(nn.Module):
    """Logit 0 is the mean of a square of 8 x 8 pixels; logit 1 is a number."""

    def __init__(self, threshold=0.5):
        super().__init__()
        self.threshold = threshold

    def forward(self, x):
        inside = x[:, 0, 8:16, 16:24].mean((1, 2))
        return torch.stack([inside, torch.full_like(inside, self.threshold)], 1)


def images(count=1, seed=0):
    x = torch.randn(count, 1, 32, 32, generator=torch.Generator().manual_seed(seed)) * 0.1
    x[:, :, 8:16, 16:24] += 1
    return x


def test_the_mask_finds_the_square_that_decides():
    x = images()
    found = counterfactual(Bright(), x, answers(0), steps=60, fill="mean")
    inside = found.values[0, 8:16, 16:24]
    assert found.values.shape == (1, 32, 32) and 0 <= found.values.min() and found.values.max() <= 1
    assert inside.mean() > 3 * found.values.mean() and found.values[0, 20:, :12].max() < 0.1
    assert found.figures["flipped"].tolist() == [1] and 0.01 < float(found.figures["area"]) < 0.12


def test_the_area_is_the_smallest_that_changes_the_decision():
    x, model = images(seed=1), Bright(0.7)
    found = counterfactual(model, x, answers(0), steps=30, fill="mean")
    area = float(found.figures["area"])

    def decided(pixels):
        deleted = region(found.values[0], pixels / 1024)
        assert int(deleted.sum()) == pixels
        return bool(answers(0).decided(model(torch.where(deleted, 0, x))))

    pixels = round(area * 1024)
    assert not decided(pixels) and all(decided(fewer) for fewer in range(pixels))


def test_where_nothing_flips_there_is_no_area():
    found = counterfactual(Bright(-9.0), images(), answers(0), steps=5)
    assert found.figures["flipped"].tolist() == [0] and found.figures["area"].isnan().all()
    assert not region(found.values[0], float(found.figures["area"])).any()


def test_an_answer_that_does_not_win_has_no_area():
    found = counterfactual(Bright(), images(), answers(1), steps=5)
    assert found.figures["flipped"].tolist() == [0] and found.figures["area"].isnan().all()


def test_what_the_decision_is_where_no_task_says_it():
    outputs = torch.tensor([[1.0, 2.0], [3.0, 2.0]])
    assert answers(1).decided(outputs).tolist() == [True, False]
    assert answers(0, against=torch.tensor([1])).decided(outputs).tolist() == [False, True]
    assert answers(0).decided(outputs[:, :1] - 2).tolist() == [False, True]


@pytest.mark.parametrize("sign", [1, -1])
def test_of_a_number_more_than_half_is_taken_away_whichever_way_it_goes(sign):
    x, model = images(), Bright()
    number = Objective(
        answers=torch.tensor([0]),
        evidence=lambda outputs, _: 5 + sign * outputs[:, 0],
        decision=lambda outputs, _: None,
    )
    found = counterfactual(model, x, number, steps=60, fill="mean")
    assert found.values[0, 8:16, 16:24].mean() > 3 * found.values.mean()
    area = float(found.figures["area"])
    whole, nothing = float(number(model(x))), 5.0
    for pixels, taken in ((round(area * 1024), True), (round(area * 1024) - 1, False)):
        shown = torch.where(region(found.values[0], pixels / 1024), 0, x)
        assert ((float(number(model(shown))) - nothing) / (whole - nothing) <= 1 / 2) == taken


def test_a_number_that_the_cover_does_not_change_has_no_area():
    number = Objective(answers=torch.tensor([0]), decision=lambda outputs, _: None)
    found = counterfactual(Bright(), 0 * images(), number, steps=3, fill="mean")
    assert found.figures["flipped"].tolist() == [0] and found.figures["area"].isnan().all()


def test_images_do_not_depend_on_each_other_nor_on_the_batch():
    x, told = images(3), []
    objective = Objective(answers=torch.tensor([0, 1, 0]))
    state = torch.get_rng_state()
    together = counterfactual(Bright(), x, objective, steps=5, progress=lambda *numbers: told.append(numbers))
    apart = counterfactual(Bright(), x, objective, steps=5, batch=1)
    torch.testing.assert_close(together.values, apart.values)
    torch.testing.assert_close(together.figures["area"], apart.figures["area"], equal_nan=True)
    assert told[-1] == (15, 15) and torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_any_precision_and_odd_sizes(dtype):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()).to(dtype)
    found = counterfactual(model, torch.randn(1, 3, 5, 19).to(dtype), answers(2), steps=3)
    assert found.values.shape == (1, 5, 19) and found.values.isfinite().all()
    assert all(parameter.grad is None for parameter in model.parameters())
