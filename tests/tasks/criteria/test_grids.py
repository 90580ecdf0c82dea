"""Losses of the grid forms: by hand; outputs that say it all cost nothing and are decoded to what was wanted."""

import math

import numpy as np
import pytest
import torch

from fovea.decoding.grids import Grid, OneBox, PriorGrid
from fovea.tasks.criteria.grids import grid_loss, one_box_loss, prior_grid_loss

SIZE = (32, 64)
NONE = [-1, 0, 0, 0, 0, 0]
BOXES = torch.tensor([[[1, 24, 4, 40, 20, 0], [0, 2, 18, 14, 30, 0]], [NONE, NONE]]).float()
PRIORS = ((1.0, 1.0), (3.0, 2.0))
CELLS = (2, 4)


def perfect_grid():
    """Return maps of the first form that say the boxes, with the second box of each cell."""
    maps = torch.zeros(2, 12, *CELLS)
    for index, x0, y0, x1, y1, _ in BOXES[0].tolist():
        cx, cy = (x0 + x1) / 32, (y0 + y1) / 32
        column, row = int(cx), int(cy)
        sides = math.sqrt((x1 - x0) / 64), math.sqrt((y1 - y0) / 32)
        maps[0, 5:10, row, column] = torch.tensor([cx - column, cy - row, *sides, 1.0])
        maps[0, 10 + int(index), row, column] = 1
    return maps


def logits_of(probability):
    return torch.logit(torch.tensor(probability), eps=1e-6).item()


def perfect_priors():
    """Return maps of the second form that say the boxes, each at the prior whose shape is nearest."""
    maps = torch.full((2, 14, *CELLS), -30.0)
    for index, x0, y0, x1, y1, _ in BOXES[0].tolist():
        cx, cy = (x0 + x1) / 32, (y0 + y1) / 32
        column, row = int(cx), int(cy)
        sides = math.log((x1 - x0) / 16), math.log((y1 - y0) / 16)  # the first prior, of one cell
        maps[0, :5, row, column] = torch.tensor([logits_of(cx - column), logits_of(cy - row), *sides, 30.0])
        maps[0, 5 + int(index), row, column] = 30
    return maps


def matches_boxes(rows):
    order = np.argsort(-rows[:, 0])
    return np.abs(rows[order, :5] - BOXES[0, :, :5].numpy()).max() < 1e-3


def test_outputs_that_say_it_all_cost_nothing_and_are_what_was_wanted():
    assert grid_loss(perfect_grid(), BOXES, size=SIZE) < 1e-9
    first, second = Grid(size=SIZE).decoded(perfect_grid().numpy())
    assert matches_boxes(first) and len(second) == 0
    assert prior_grid_loss(perfect_priors(), BOXES, size=SIZE, priors=PRIORS) < 1e-9
    first, second = PriorGrid(size=SIZE, priors=PRIORS).decoded(perfect_priors().numpy())
    assert matches_boxes(first) and len(second) == 0


def test_the_first_form_by_hand():
    """One object in one cell; all outputs 0: of two empty boxes the first is responsible, its overlap is 0.

    Place 5 (0.5^2 + 0.5^2 + 0.5 + 0.25), as roots of sides are squared; no confidence; one class of two.
    """
    boxes = torch.tensor([[[0, 16, 12, 48, 20, 0]]]).float()
    loss = grid_loss(torch.zeros(1, 12, 1, 1), boxes, size=SIZE)
    assert loss.item() == pytest.approx(5 * (0.25 + 0.25 + 0.5 + 0.25) + 1)


def test_confidence_learns_the_overlap_of_the_box_that_is_responsible():
    maps = perfect_grid()
    maps[0, 9] = torch.where(maps[0, 9] > 0, 0.25, 0.0)  # of two objects
    maps[1, 4, 0, 0] = 0.5  # where there is none
    assert grid_loss(maps, BOXES, size=SIZE).item() == pytest.approx((2 * 0.75**2 + 0.5 * 0.5**2) / 2)


def test_the_second_form_by_hand():
    """One object as large as the prior; outputs of 0 say its box: what is left is class and confidence."""
    boxes = torch.tensor([[[0, 0, 0, 64, 32, 0]]]).float()
    loss = prior_grid_loss(torch.zeros(1, 7, 1, 1), boxes, size=SIZE, priors=((1.0, 1.0),))
    assert loss.item() == pytest.approx(5 * 0.5**2 + math.log(2))
    empty = prior_grid_loss(torch.zeros(1, 7, 1, 1), torch.tensor([[NONE]]).float(), size=SIZE, priors=((1.0, 1.0),))
    assert empty.item() == pytest.approx(0.25)


def test_a_cell_learns_the_smaller_of_two_objects():
    small = torch.tensor([[[0, 24, 8, 40, 24, 0], NONE]]).float()
    both = torch.tensor([[[0, 24, 8, 40, 24, 0], [1, 16, 4, 48, 28, 0]]]).float()
    maps = torch.randn(1, 12, 1, 1, generator=torch.Generator().manual_seed(0))
    for boxes in (both, both.flip(1)):
        assert grid_loss(maps, boxes, size=SIZE) == grid_loss(maps, small, size=SIZE)


def test_one_box_is_the_largest_object_and_an_image_without_one_learns_nothing():
    outputs = torch.tensor(
        [[-30, 30, 24 / 64, 4 / 32, 40 / 64, 20 / 32], [5.0, 0, 0.2, 0.2, 0.9, 0.9]], requires_grad=True
    )
    loss = one_box_loss(outputs, BOXES, size=SIZE)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-5) and not outputs.grad[1].any()
    (row,) = OneBox(size=SIZE).decoded(outputs.detach().numpy())[0]
    assert row[:5] == pytest.approx(BOXES[0, 0, :5].tolist())
    even = torch.tensor([[0, 0, *outputs[0, 2:].tolist()]])
    assert one_box_loss(even, BOXES[:1], size=SIZE).item() == pytest.approx(math.log(2), abs=1e-5)


@pytest.mark.parametrize(
    ("loss", "channels"),
    [(grid_loss, 12), (lambda *given, **options: prior_grid_loss(*given, priors=PRIORS, **options), 14)],
)
def test_gradients_are_finite_and_a_batch_without_objects_has_no_boxes(loss, channels):
    outputs = torch.randn(2, channels, *CELLS, generator=torch.Generator().manual_seed(1)).requires_grad_()
    loss(outputs, BOXES, size=SIZE).backward()
    assert outputs.grad.isfinite().all() and outputs.grad.any()
    outputs.grad = None
    loss(outputs, BOXES[1:].expand(2, -1, -1), size=SIZE).backward()
    moved = (outputs.grad != 0).any(dim=3).any(dim=2).any(dim=0)
    assert moved.sum() == 2  # confidences alone


def test_one_box_whose_corners_are_exchanged_counts_as_the_decoder_reads_it():
    box = torch.tensor([[[0.0, 16, 16, 48, 48, 0]]])
    exchanged = torch.tensor([[0.0, 0.7, 0.6, 0.4, 0.3]], requires_grad=True)
    ordered = torch.tensor([[0.0, 0.4, 0.3, 0.7, 0.6]])
    loss = one_box_loss(exchanged, box, size=(64, 64))
    assert torch.isclose(loss, one_box_loss(ordered, box, size=(64, 64)))
    loss.backward()
    assert (exchanged.grad[0, 1:] != 0).all()
