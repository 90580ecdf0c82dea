"""The pointing game and the energy inside boxes, by hand."""

import pytest
import torch

from fovea.errors import DataError, ShapeError
from fovea.explanation.trust.boxes import energy, inside, pointing, shares, whole_pixels

MAPS = torch.tensor([[[0.0, 1, 0, 0], [0, 5, 2, 0], [0, 0, 0, -8]], [[0, 0, 0, 3], [0, 0, 0, 0], [3, 0, 0, 0]]])
BOXES = [torch.tensor([[1, 1, 3, 2]]), torch.tensor([[0, 2, 1, 3], [2, 1, 4, 3]])]


def test_boxes_are_half_open():
    masks = inside(BOXES, (3, 4))
    assert masks[0].int().tolist() == [[0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert masks[1].int().tolist() == [[0, 0, 0, 0], [0, 0, 1, 1], [1, 0, 1, 1]]
    assert shares(BOXES, (3, 4)).tolist() == pytest.approx([2 / 12, 5 / 12])


def test_pointing_by_hand():
    # the second map is highest twice, once in a box
    assert pointing(MAPS, BOXES).tolist() == [1, 0.5]
    assert pointing(MAPS, BOXES, tolerance=1).tolist() == [1, 1]
    assert pointing(torch.zeros(2, 3, 4), BOXES).tolist() == pytest.approx([2 / 12, 5 / 12])


def test_a_tolerance_is_a_disc():
    maps = torch.zeros(1, 9, 9)
    maps[0, 2, 2] = 1
    boxes = [torch.tensor([[4, 4, 5, 5]])]  # sqrt(8) away
    assert [float(pointing(maps, boxes, tolerance=pixels)) for pixels in (0, 2, 3)] == [0, 0, 1]


def test_energy_by_hand():
    # 7 of 8 that are positive; 3 of 6
    assert energy(MAPS, BOXES).tolist() == [7 / 8, 0.5]
    assert energy(-MAPS.abs(), BOXES).isnan().all()


def test_boxes_that_reach_over_the_border_are_cut():
    assert int(inside([torch.tensor([[-2, -2, 1, 1]])], (3, 4)).sum()) == 1


def test_boxes_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match=r"box 4, 0, 6, 2 covers no pixel of the input of 4 x 3 pixels"):
        inside([torch.tensor([[4, 0, 6, 2]])], (3, 4))
    with pytest.raises(DataError, match="covers no pixel"):
        inside([torch.tensor([[2, 1, 2, 3]])], (3, 4))
    with pytest.raises(ShapeError, match="There are 2 maps but boxes for 1"):
        pointing(MAPS, BOXES[:1])


def test_boxes_in_whole_pixels_are_cut_and_those_outside_left_out():
    given = torch.tensor(
        [
            [0.6, 1.4, 2.2, 2.6],
            [-3.0, 0, 1.2, 9],
            [1.1, 1.2, 1.3, 1.4],  # less than a pixel
            [3.8, 2.9, 5, 5],
            [4.0, 0, 6, 3],
            [0.0, -2, 4, 0],
        ]
    )
    assert whole_pixels(given, (3, 4)).tolist() == [[1, 1, 2, 3], [0, 0, 1, 3], [1, 1, 2, 2], [3, 2, 4, 3]]
    assert whole_pixels(torch.zeros(0, 4), (3, 4)).shape == (0, 4)
