"""Losses of points: bells cell by cell, errors by hand; what fits is decoded to the points that were wanted."""

import math

import numpy as np
import pytest
import torch

from fovea.decoding.peaks import points as decoded
from fovea.tasks.criteria.points import coordinates_loss, heat_map_loss, heat_maps

POINTS = torch.tensor([[[18.0, 30.0, 2], [50.0, 9.0, 1], [5.0, 5.0, 0]], [[0.5, 63.5, 2], [1.0, 1.0, 0], [33, 33, 2]]])


def test_a_bell_stands_on_each_labelled_point():
    maps = heat_maps(POINTS, size=(16, 16), stride=4)
    for n, p, y, x in np.ndindex(*maps.shape):
        px, py, visible = (POINTS[n, p] / torch.tensor([4, 4, 1])).tolist()
        dx, dy = x + 0.5 - px, y + 0.5 - py
        near = float(visible > 0 and abs(dx) <= 3 and abs(dy) <= 3)
        assert maps[n, p, y, x].item() == pytest.approx(near * math.exp(-(dx**2 + dy**2) / 2), abs=1e-6)


def test_a_bell_is_as_wide_as_the_map_says():
    maps = heat_maps(torch.tensor([[[130.0, 130, 2]]]), size=(64, 64), stride=4)
    assert maps[0, 0, 32, 34].item() == pytest.approx(math.exp(-(2**2) / (2 * 2**2)))


def test_maps_that_fit_are_the_points_that_were_wanted():
    maps = heat_maps(POINTS, size=(16, 16), stride=4)
    assert heat_map_loss(maps, POINTS) == 0
    found, labelled = decoded(maps.numpy(), stride=4), POINTS[..., 2].numpy() > 0
    assert np.abs(found - POINTS.numpy())[..., :2][labelled].max() <= 1.5  # at the edge up to 3/8 of a cell


def test_maps_of_zeros_cost_one_for_each_point_whatever_their_size():
    middle = torch.tensor([[[128.0, 128, 2], [0, 0, 0]]])
    for cells, stride in ((32, 8), (64, 4), (128, 2)):
        assert heat_map_loss(torch.zeros(1, 2, cells, cells), middle, stride=stride).item() == pytest.approx(
            1, abs=1e-3
        )


def test_coordinates_by_hand():
    """A labelled point at 1/4, 1/2 of the sides, said to be at 1/2, 1/2; another that is not labelled."""
    points = torch.tensor([[[16.0, 16, 2], [9, 9, 0]]])
    loss = coordinates_loss(torch.tensor([[0.5, 0.5, 0.0, 0.0]]), points, size=(32, 64))
    assert loss.item() == pytest.approx(1 / 8)


def test_points_that_are_not_labelled_have_no_gradient():
    maps = torch.ones(2, 3, 16, 16, requires_grad=True)
    heat_map_loss(maps, POINTS).backward()
    assert ((maps.grad != 0).any(dim=(2, 3)) == (POINTS[..., 2] > 0)).all()
    coordinates = torch.full((2, 6), 9.0, requires_grad=True)
    coordinates_loss(coordinates, POINTS, size=(64, 64)).backward()
    assert ((coordinates.grad.view(2, 3, 2) != 0).all(dim=2) == (POINTS[..., 2] > 0)).all()
    nothing = torch.zeros(1, 1, 3)
    assert heat_map_loss(torch.ones(1, 1, 4, 4), nothing) == 0
    assert coordinates_loss(torch.ones(1, 2), nothing, size=(4, 4)) == 0


def test_the_gradient_is_that_of_finite_differences():
    points = torch.tensor([[[5.0, 6.0, 2]]]).double()
    maps = torch.randn(1, 1, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(lambda of: heat_map_loss(of, points), maps.requires_grad_())
