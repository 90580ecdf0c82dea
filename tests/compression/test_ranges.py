import pytest
import torch

from fovea.compression.ranges import Seen, Steps


@pytest.mark.parametrize(("least", "largest"), [(0.0, 4.0), (-1.0, 4.1), (-3.0, 0.0), (0.0, 0.0), (-1.99, 1.99)])
def test_steps_cover_a_range_and_hold_zero(least, largest):
    steps = Steps.over(least, largest)
    ends = torch.tensor([least, 0.0, largest])
    assert 0 <= steps.zero <= 255
    assert (steps.nearest(ends) - ends).abs().max() <= steps.scale
    assert steps.nearest(torch.zeros(1)).item() == 0


def test_a_scale_is_the_smallest_power_of_two_that_does():
    assert Steps.over(0.0, 255.0).scale == 1.0
    assert Steps.over(0.0, 256.0).scale == 2.0


def test_rare_large_values_are_cut_where_that_errs_less():
    seen = Seen()
    seen.add(torch.cat([torch.rand(4095), torch.tensor([1.3])]))
    assert seen.steps(whole=True).scale == 2**-7
    assert seen.steps().scale in (2**-8, 2**-7)
    assert seen.steps(cut=(0.0, 0.99)).scale == 2**-8


def test_what_is_drawn_is_of_all_places():
    """Maps whose border is quiet: a value in 784 at even distances would be the same pixel of every map."""
    maps = torch.zeros(16, 256, 28, 28)
    maps[:, :, 8:20, 8:20] = 6 * torch.rand(16, 256, 12, 12)
    seen = Seen()
    seen.add(maps)
    assert torch.cat(seen.drawn).count_nonzero() > 100
    assert seen.steps().scale * 255 >= 6


def test_an_activation_behind_leaves_no_level_below_zero():
    seen = Seen()
    seen.add(torch.linspace(-8, 2, 4000))
    assert seen.steps(cut=(0.0, float("inf"))).zero == 0
    assert seen.steps().zero > 0
