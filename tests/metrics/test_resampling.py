"""The bootstrap: the same draws every time, and intervals as wide as the law says."""

import numpy as np
import pytest

from fovea.metrics.resampling import bootstrap_interval, drawn, mean_interval, percentiles


def test_each_resampling_draws_as_many_images_as_there_are():
    rounds = list(drawn(7, 120))
    assert [len(weights) for weights in rounds] == [50, 50, 20]
    assert all((weights.sum(axis=1) == 7).all() for weights in rounds)


def test_the_draws_are_the_same_every_time():
    assert all((first == second).all() for first, second in zip(drawn(9, 60), drawn(9, 60), strict=True))


def test_the_interval_of_a_mean_is_about_two_standard_errors_to_each_side():
    values = np.random.default_rng(1).normal(size=400)
    low, high = mean_interval(values)
    middle, error = values.mean(), values.std() / 20
    assert (low, high) == pytest.approx((middle - 1.96 * error, middle + 1.96 * error), abs=0.3 * error)


def test_undefined_values_are_left_out_of_a_mean():
    assert mean_interval(np.array([2.0, np.nan, 2.0])) == (2.0, 2.0)
    assert np.isnan(mean_interval(np.array([np.nan, np.nan]))).all()


def test_a_paired_difference_is_narrower_than_the_figures_it_is_made_of():
    generator = np.random.default_rng(0)
    first = generator.normal(size=100)
    second = first + 0.1
    low, high = bootstrap_interval(lambda weights: weights @ (second - first) / 100, 100)
    assert (low, high) == pytest.approx((0.1, 0.1))


def test_percentiles_hold_the_middle():
    assert percentiles(np.arange(101.0), 0.9) == pytest.approx((5, 95))
    assert percentiles(np.array([1.0, np.nan]), 0.9) == (1, 1)
