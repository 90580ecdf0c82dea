import numpy as np
import pytest
from small_graphs import core

from fovea.errors import UsageError
from fovea.exporting.int8.arithmetic import Steps
from fovea.exporting.int8.calibration import BINS, Observed, method, min_max, mse, observe, percentile
from fovea.exporting.int8.samples import Samples
from fovea.preprocess import Preprocess


def seen(values):
    values = np.asarray(values, np.float64)
    least, largest = values.min(), values.max()
    return Observed(least, largest, np.histogram(values, BINS, (least, largest))[0])


def test_ranges_counts_and_means_are_those_of_all_samples():
    preprocess = Preprocess(size=(2, 2), channels=2 + 1, mean=(0.0, 0.0, 0.5), std=(1.0, 0.5, 1.0))
    stored = np.random.default_rng(0).integers(0, 256, (40, 2, 2, 3), dtype=np.uint8)
    model = core([("Mul", ["input", "two"], "logits", {})], {"two": np.float32(2)}, shape=(3, 2, 2))
    found = observe(model, ["input", "logits"], Samples(stored, preprocess))
    x = preprocess.normalise(stored)
    assert (found["input"].least, found["input"].largest) == (x.min(), x.max())
    assert found["logits"].largest == 2 * x.max()
    assert found["logits"].counts.sum() == x.size
    assert found["input"].means == pytest.approx(x.mean(axis=(0, 2, 3)))


def test_the_full_range_is_that_of_the_ends():
    assert min_max(seen([-3, 1, 2])) == (-3, 2)


def test_a_percentile_leaves_one_of_ten_thousand_out():
    values = np.concatenate([np.linspace(0, 1, 100_000), np.full(5, 50.0)])
    assert min_max(seen(values)) == (0, 50)
    least, largest = percentile(seen(values))
    assert least == 0
    assert largest == pytest.approx(1, abs=0.03)


def test_a_percentile_cuts_half_at_each_of_two_ends():
    values = np.concatenate([np.linspace(-1, 1, 100_000), [-40.0, 40.0]])
    assert percentile(seen(values)) == pytest.approx((-1, 1), abs=0.05)


def test_the_least_squared_error_cuts_rare_large_values():
    values = np.concatenate([np.random.default_rng(0).standard_normal(1_000_000), [60.0]])

    def error(ends):
        steps = Steps.of_range(*ends)
        return np.square(steps.meant(steps.stored(values)) - values).mean()

    assert mse(seen(values))[1] < 50
    assert error(mse(seen(values))) < min(error(min_max(seen(values))), error((-3, 3)))


def test_the_least_squared_error_keeps_an_even_distribution_whole():
    assert mse(seen(np.linspace(0, 1, 10_000))) == pytest.approx((0, 1), abs=0.02)


def test_a_value_that_never_changes_has_a_range():
    constant = Observed(2.0, 2.0, np.eye(1, BINS, dtype=np.int64)[0])
    assert mse(constant)[1] >= 1.9
    assert percentile(constant) == (2.0, 2.0)


def test_an_unknown_way_is_an_error_with_its_neighbours():
    with pytest.raises(UsageError, match="did you mean `percentile`"):
        method("percentil")
