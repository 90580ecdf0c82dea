"""Intervals of differences: published values, and that they hold the truth as often as they say."""

import numpy as np
import pytest

from fovea.errors import UsageError
from fovea.metrics import paired_interval, unpaired_interval


def test_a_paired_interval_by_hand():
    # mean 2, deviation 1, t with 2 degrees of freedom 4.3027: 2 -+ 4.3027 / sqrt(3)
    assert paired_interval([1.0, 2.0, 3.0]) == pytest.approx((2 - 2.48414, 2 + 2.48414), abs=1e-4)
    assert paired_interval([0.5, 0.5]) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [  # Newcombe 1998, table II, method 10, the signs turned: second minus first
        ((48, 80), (56, 70), (0.0524, 0.3339)),
        ((3, 10), (9, 10), (0.1705, 0.8090)),
        ((0, 20), (10, 10), (0.6791, 1.0)),
    ],
)
def test_an_unpaired_interval_is_that_of_the_paper(first, second, expected):
    assert unpaired_interval(first, second) == pytest.approx(expected, abs=1e-4)


def test_turned_round_an_interval_changes_its_sign():
    low, high = unpaired_interval((40, 50), (45, 60))
    assert unpaired_interval((45, 60), (40, 50)) == pytest.approx((-high, -low))


def test_intervals_hold_the_truth_in_95_of_100_cases():
    generator = np.random.default_rng(0)
    drawn = generator.normal(1.0, 2.0, (1000, 4))
    held = np.mean([low <= 1.0 <= high for low, high in map(paired_interval, drawn.tolist())])
    assert held == pytest.approx(0.95, abs=0.02)
    first, second = generator.binomial(200, 0.8, 1000), generator.binomial(200, 0.9, 1000)
    ends = [unpaired_interval((int(a), 200), (int(b), 200)) for a, b in zip(first, second, strict=True)]
    assert np.mean([low <= 0.1 <= high for low, high in ends]) == pytest.approx(0.95, abs=0.02)


def test_one_difference_has_no_interval():
    with pytest.raises(UsageError, match=r"^`differences` \(=\[1\.0\]\) must be two at least\.$"):
        paired_interval([1.0])
