"""Occlusion by hand, by the mean over patches written out, and by what does not change it."""

import pytest
import torch
from torch import nn

from fovea.errors import ShapeError, UsageError
from fovea.explanation.attribution.occlusion import PATCHES, default_stride, occlusion, occlusion_grid, patches_of
from fovea.explanation.objective import Objective


class Pixel(nn.Module):
    """Logit 0 is three times one pixel, logit 1 minus that pixel, logit 2 the sum of all."""

    def __init__(self, row=4, column=6):
        super().__init__()
        self.row, self.column = row, column

    def forward(self, x):
        pixel = x[:, 0, self.row, self.column]
        return torch.stack([3 * pixel, -pixel, x.sum((1, 2, 3))], 1)


def answer(index, **given):
    return Objective(answers=torch.tensor([index]), **given)


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_a_network_of_one_pixel():
    x = torch.full((1, 1, 9, 10), 2.0)
    found = occlusion(Pixel(), x, answer(0), patch=1).values[0]
    assert found[4, 6] == 6 and found.count_nonzero() == 1
    assert occlusion(Pixel(), x, answer(1), patch=1).values[0, 4, 6] == -2
    # patches of 3 at stride 1: of the nine over the pixel, as many hide a place near it as lie over both
    near = occlusion(Pixel(), x, answer(0), patch=3, stride=1).values[0]
    assert near[4, 6] == 6 and near[4, 5] == pytest.approx(6 * 6 / 9) and near[2, 4] == pytest.approx(6 / 9)
    assert near[4, 3] == 0 and near[7, 6] == 0


def test_the_fill_takes_the_place_of_the_pixel():
    x = torch.full((1, 1, 9, 10), 2.0)
    assert occlusion(Pixel(), x, answer(0), patch=1, fill=(5.0,)).values[0, 4, 6] == 3 * (2 - 5)
    assert occlusion(Pixel(), x, answer(0), patch=1, fill="image").values.count_nonzero() == 0


def test_each_place_has_the_mean_over_the_patches_that_hide_it():
    x, model = (
        random(2, 3, 11, 13),
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(396, 3)).double(),
    )
    objective = Objective(answers=torch.tensor([0, 2]))
    found = occlusion(model, x, objective, patch=4, stride=3, fill="blur", batch=5).values
    from fovea.explanation.passes import filled

    cover = filled(x, "blur")
    sums, counts = torch.zeros(2, 11, 13).double(), torch.zeros(11, 13).double()
    for row in (0, 3, 6, 7):
        for column in (0, 3, 6, 9):
            here = (slice(None), slice(None), slice(row, row + 4), slice(column, column + 4))
            hidden = x.clone()
            hidden[here] = cover[here]
            drop = (objective(model(x)) - objective(model(hidden))).detach()
            sums[:, row : row + 4, column : column + 4] += drop[:, None, None]
            counts[row : row + 4, column : column + 4] += 1
    torch.testing.assert_close(found, (sums / counts).float(), rtol=1e-5, atol=1e-7)


def test_captum_agrees_where_its_windows_end_with_the_image():
    captum = pytest.importorskip("captum.attr")
    x, model = (
        random(1, 3, 12, 12),
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(400, 3)).double(),
    )
    theirs = captum.Occlusion(model).attribute(x, (3, 4, 4), (3, 2, 2), baselines=0, target=1)
    found = occlusion(model, x, answer(1), patch=4, stride=2).values[0]
    torch.testing.assert_close(found, theirs[0, 0].float().detach(), rtol=1e-5, atol=1e-6)


def test_what_moves_in_the_image_moves_in_the_map():
    # circular and of stride 1, then the mean of all places: nothing knows where the borders are
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, padding_mode="circular"), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    ).double()
    x = torch.zeros(1, 1, 16, 16).double()
    x[..., 5:9, 5:9] = random(4, 4)
    here = occlusion(model, x, answer(2), patch=3, stride=1).values[0]
    there = occlusion(model, x.roll((2, -1), (2, 3)), answer(2), patch=3, stride=1).values[0]
    torch.testing.assert_close(there[4:13, 2:12], here[2:11, 3:13])
    assert here.abs().max() > 1e-4


def test_the_grid_has_a_row_for_each_answer_and_a_column_for_each_patch():
    x = random(1, 1, 20, 20)
    passes = []

    class Counting(Pixel):
        def forward(self, x):
            passes.append(len(x))
            return super().forward(x)

    objectives = [answer(0), answer(2), answer(0, against=torch.tensor([1]))]
    grid = occlusion_grid(Counting(), x, objectives, patches=(2, 5, 20), batch=50)
    assert grid.shape == (3, 3, 20, 20)
    assert sum(passes) == 1 + 19**2 + 9**2 + 1 and max(passes) == 50
    for column, patch in enumerate((2, 5, 20)):
        for row, objective in enumerate(objectives):
            alone = occlusion(Pixel(), x, objective, patch=patch).values[0]
            torch.testing.assert_close(grid[row, column], alone)


@pytest.mark.parametrize(
    ("patch", "size", "stride"),
    [
        (32, (224, 224), 14),
        (90, (224, 224), 14),
        (20, (224, 224), 10),
        (8, (224, 100), 5),
        (4, (28, 28), 2),
        (1, (224, 224), 1),
    ],
)
def test_the_default_stride(patch, size, stride):
    assert default_stride(patch, size) == stride


def test_how_many_passes_the_slides_patches_take():
    assert [len(patches_of((224, 224), patch).top) for patch in PATCHES] == [44**2, 28**2, 17**2, 15**2, 14**2, 11**2]


@pytest.mark.parametrize(("patch", "stride"), [(3, 2), (4, 4), (5, None), (7, 3)])
def test_every_place_is_hidden(patch, stride):
    hidden = torch.zeros(11, 7)
    for top, left, side in zip(*patches_of((11, 7), patch, stride), strict=True):
        hidden[top : top + side, left : left + side] += 1
    assert hidden.min() >= 1


def test_the_size_of_the_batch_changes_nothing_and_progress_ends():
    x, told = random(2, 1, 12, 12), []
    one = occlusion(Pixel(), x, answer(2), batch=1).values
    all_ = occlusion(Pixel(), x, answer(2), batch=1000, progress=lambda *numbers: told.append(numbers)).values
    torch.testing.assert_close(one, all_)
    assert told[-1][0] == told[-1][1]


def test_what_cannot_be_hidden_is_refused():
    x = torch.zeros(1, 1, 9, 10)
    with pytest.raises(ShapeError, match=r"`patch` \(=10\) must be from 1 to the image's shorter side \(=9\)"):
        occlusion(Pixel(), x, answer(0), patch=10)
    with pytest.raises(UsageError, match=r"`stride` \(=4\) must be from 1 to `patch` \(=3\)"):
        occlusion(Pixel(), x, answer(0), patch=3, stride=4)
    with pytest.raises(ShapeError, match="The grid needs one image; `x` contains 2"):
        occlusion_grid(Pixel(), x.repeat(2, 1, 1, 1), [answer(0)])
