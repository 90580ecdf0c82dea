import numpy as np
import pytest

from fovea.errors import UsageError
from fovea.exporting.int8.arithmetic import (
    BIAS_LIMIT,
    Steps,
    bias_scales,
    quantised_bias,
    quantised_weights,
)


def test_a_range_from_zero_needs_no_zero_point():
    assert Steps.of_range(0.0, 5.1) == pytest.approx((0.02, 0))


def test_a_range_with_both_signs_holds_zero_exactly():
    steps = Steps.of_range(-1.0, 4.1)
    assert (steps.scale, steps.zero_point) == (pytest.approx(0.02), 50)
    assert steps.meant(steps.stored(np.zeros(1))) == 0


def test_a_range_that_leaves_zero_out_is_widened_to_it():
    assert Steps.of_range(2.0, 5.1) == Steps.of_range(0.0, 5.1)
    assert Steps.of_range(-5.1, -2.0).zero_point == 255


def test_numbers_are_rounded_half_to_even_and_cut_at_the_ends():
    steps = Steps(1.0, 10)
    assert steps.stored(np.array([0.5, 1.5, -0.4, -50.0, 300.0])).tolist() == [10, 12, 10, 0, 255]
    assert (steps.least, steps.largest) == (-10.0, 245.0)


def test_a_value_that_is_always_zero_has_steps():
    steps = Steps.of_range(0.0, 0.0)
    assert steps.scale > 0
    assert steps.stored(np.zeros(2)).tolist() == [0, 0]


def test_each_output_channel_has_a_scale_of_its_own():
    weights = np.array([[1.27, -0.5], [0.0127, 0.01]])
    found = quantised_weights(weights, axis=0)
    assert found.scales == pytest.approx([0.01, 0.0001])
    assert found.stored.tolist() == [[127, -50], [127, 100]]
    assert found.meant == pytest.approx(weights)


def test_weights_never_take_the_value_without_a_negative():
    found = quantised_weights(np.array([[-2.0, 1.0]]), axis=0)
    assert found.stored.tolist() == [[-127, 64]]


def test_the_channels_of_a_product_from_the_right_are_its_columns():
    found = quantised_weights(np.array([[1.27, 0.0127], [-0.5, 0.01]]), axis=1)
    assert found.scales == pytest.approx([0.01, 0.0001])


def test_one_scale_for_a_whole_tensor_is_refused():
    with pytest.raises(UsageError, match="per channel: one scale per tensor costs"):
        quantised_weights(np.ones((2, 2)), axis=None)


def test_a_bias_is_stored_in_steps_of_input_times_weights():
    assert quantised_bias(np.array([1.0, -0.26]), np.array([0.01, 0.1])).tolist() == [100, -3]


def test_the_bias_of_a_channel_of_tiny_weights_fits_into_int32():
    bias = np.array([5.0])
    tiny = quantised_weights(np.array([[1e-20]]), axis=0, least_scales=bias_scales(bias, 0.02))
    stored = quantised_bias(bias, tiny.scales * np.float32(0.02))
    assert abs(stored[0] - BIAS_LIMIT) <= BIAS_LIMIT * 1e-6
