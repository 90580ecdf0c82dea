import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fovea.reference import pooling
from fovea.reference.convolution import correlate

SQUARE = np.array([[1.0, 2, 0], [4, 3, 5], [0, 6, 1]]).reshape(1, 1, 3, 3)
WINDOWS = {
    "default stride": {"kernel": 2},
    "overlapping": {"kernel": 3, "stride": 2},
    "padded": {"kernel": (3, 2), "stride": 2, "padding": (1, 0)},
    "a gap between windows": {"kernel": 2, "stride": 3},
}


def torch_windows(window):
    return {"kernel_size": window["kernel"], "stride": window.get("stride"), "padding": window.get("padding", 0)}


def test_maximum_mean_and_norm_of_windows():
    assert pooling.max_pool(SQUARE, 2, stride=1)[0, 0].tolist() == [[4, 5], [6, 6]]
    assert pooling.average_pool(SQUARE, 2, stride=1)[0, 0].tolist() == [[2.5, 2.5], [3.25, 3.75]]
    assert pooling.l2_pool(SQUARE, (1, 2), stride=1)[0, 0, 1].tolist() == [5, np.sqrt(34)]
    assert pooling.global_average_pool(SQUARE).tolist() == [[22 / 9]]


def test_the_gradient_of_a_maximum_goes_to_the_arg_max_once_per_window():
    gx = pooling.max_pool_gradient(np.ones((1, 1, 2, 2)), SQUARE, 2, stride=1)
    assert gx[0, 0].tolist() == [[0, 0, 0], [1, 0, 1], [0, 2, 0]]


def test_of_equal_maxima_the_first_gets_the_gradient():
    gx = pooling.max_pool_gradient(np.ones((1, 1, 1, 1)), np.ones((1, 1, 2, 2)), 2)
    assert gx[0, 0].tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
@pytest.mark.parametrize("kind", ["max", "average"])
def test_pooling_and_its_gradient_are_pytorchs(same_as_torch, draw, kind, window):
    ours, gradient = getattr(pooling, f"{kind}_pool"), getattr(pooling, f"{kind}_pool_gradient")
    theirs = {"max": F.max_pool2d, "average": F.avg_pool2d}[kind]
    same_as_torch(
        lambda x: ours(x, **window),
        lambda x: theirs(x, **torch_windows(window)),
        lambda g, x: gradient(g, x, **window),
        draw(2, 3, 7, 6),
    )


@pytest.mark.parametrize("axes", [1, 3])
@pytest.mark.parametrize("kind", ["max", "average"])
def test_pooling_in_one_and_three_dimensions(same_as_torch, draw, kind, axes):
    ours, gradient = getattr(pooling, f"{kind}_pool"), getattr(pooling, f"{kind}_pool_gradient")
    theirs = getattr(F, f"{kind[:3]}_pool{axes}d" if kind == "max" else f"avg_pool{axes}d")
    same_as_torch(
        lambda x: ours(x, 3, stride=2),
        lambda x: theirs(x, 3, stride=2),
        lambda g, x: gradient(g, x, 3, stride=2),
        draw(2, 2, *(7, 6, 5)[:axes]),
    )


def test_l2_pooling_is_pytorchs_lp_pooling(same_as_torch, draw):
    same_as_torch(
        lambda x: pooling.l2_pool(x, 3, stride=2),
        lambda x: F.lp_pool2d(x, 2.0, 3, stride=2),
        lambda g, x: pooling.l2_pool_gradient(g, x, 3, stride=2),
        draw(2, 3, 7, 6),
    )


def test_the_gradient_of_the_norm_of_zeros_is_zero():
    assert (pooling.l2_pool_gradient(np.ones((1, 1, 1, 1)), np.zeros((1, 1, 2, 2)), 2) == 0).all()


def test_average_pooling_is_a_depthwise_convolution_with_one_over_q(draw):
    x, kernel = draw(2, 3, 7, 6), np.full((3, 1, 2, 3), 1 / 6)
    expected = correlate(x, kernel, stride=(2, 3), groups=3)
    np.testing.assert_allclose(pooling.average_pool(x, (2, 3)), expected, atol=1e-12)


def test_global_pooling_is_pooling_with_a_window_as_large_as_the_map(same_as_torch, draw):
    x = draw(2, 3, 5, 4)
    np.testing.assert_allclose(pooling.global_average_pool(x), pooling.average_pool(x, (5, 4))[:, :, 0, 0], atol=1e-12)
    same_as_torch(
        pooling.global_average_pool,
        lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1),
        pooling.global_average_pool_gradient,
        x,
    )


@pytest.mark.parametrize("kernel", [2, 3])
def test_fractional_max_pooling_is_pytorchs(same_as_torch, draw, kernel):
    # PyTorch draws an offset per image and channel, the column's first; here all have the same.
    offsets = torch.tensor([0.8, 0.3], dtype=torch.float64).expand(2, 3, 2).contiguous()
    same_as_torch(
        lambda x: pooling.fractional_max_pool(x, kernel, out=(6, 7), u=(0.3, 0.8)),
        lambda x: F.fractional_max_pool2d(x, kernel, output_size=(6, 7), _random_samples=offsets),
        lambda g, x: pooling.fractional_max_pool_gradient(g, x, kernel, out=(6, 7), u=(0.3, 0.8)),
        draw(2, 3, 10, 11),
    )


@pytest.mark.parametrize("u", [0.0, 0.3, 0.99])
def test_fractional_windows_begin_at_the_edge_and_end_at_the_other(u):
    starts = pooling.fractional_starts(25, 2, 16, u)
    assert starts[0] == 0 and starts[-1] == 23
    assert set(np.diff(starts)) <= {1, 2}
    assert pooling.fractional_starts(5, 5, 1, u).tolist() == [0]


def test_more_windows_than_positions_are_refused():
    with pytest.raises(ValueError, match=r"`out` \(=5\) must be 1 to 4 for 5 pixels and windows of 2"):
        pooling.fractional_starts(5, 2, 5, 0.5)
