"""Metrics: worked values, the libraries that define them, and what no data may change."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import log_loss

from fovea.errors import UsageError
from fovea.metrics import (
    calibration_bins,
    calibration_error,
    class_scores,
    confusion_matrix,
    negative_log_likelihood,
    number_scores,
    paired_interval,
    top_k_accuracy,
    unpaired_interval,
    wilson_interval,
)

LABELS = np.array([0, 0, 1, 1, 1, 2])
PREDICTED = np.array([0, 1, 1, 1, 0, 2])


@settings(deadline=None)
@given(st.integers(1, 5000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_wilson_interval_is_scipys(counts):
    expected = stats.binomtest(*counts).proportion_ci(0.95, method="wilson")
    assert wilson_interval(*counts) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_wilson_interval_narrows_with_more_images_and_lower_confidence():
    def width(interval):
        return interval[1] - interval[0]

    assert width(wilson_interval(900, 1000)) < width(wilson_interval(90, 100))
    assert width(wilson_interval(90, 100, confidence=0.8)) < width(wilson_interval(90, 100))


@pytest.mark.parametrize(("correct", "total"), [(0, 0), (-1, 5), (6, 5)])
def test_wilson_interval_refuses_impossible_counts(correct, total):
    with pytest.raises(UsageError, match=f"`correct` \\(={correct}\\) must lie between"):
        wilson_interval(correct, total)


def test_confusion_rows_are_the_truth():
    assert confusion_matrix(LABELS, PREDICTED, classes=4).tolist() == [
        [1, 1, 0, 0],
        [1, 2, 0, 0],
        [0, 0, 1, 0],
        [0, 0, 0, 0],
    ]


def test_class_scores_by_hand_and_absent_class_is_zero():
    scores = class_scores(LABELS, PREDICTED, classes=4)
    assert scores.precision == pytest.approx([1 / 2, 2 / 3, 1, 0])
    assert scores.recall == pytest.approx([1 / 2, 2 / 3, 1, 0])
    assert scores.f1 == pytest.approx([1 / 2, 2 / 3, 1, 0])
    assert scores.support.tolist() == [2, 3, 1, 0]


def test_top_k_counts_the_k_most_probable():
    probabilities = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])
    labels = np.array([0, 1, 2])
    assert [top_k_accuracy(probabilities, labels, k=k) for k in (1, 2, 3, 9)] == pytest.approx([1 / 3, 2 / 3, 1, 1])


def test_calibration_error_by_hand():
    # two images at 0.9, one of them right: |0.5 - 0.9| for half of the images; two at 0.6, both right: |1 - 0.6|
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    assert calibration_error(probabilities, np.array([0, 1, 0, 0])) == pytest.approx(0.4)


def test_calibration_bins_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.3, 0.7]])
    bins = calibration_bins(probabilities, np.array([0, 1, 0, 0]), bins=5)  # (0.4, 0.6] (0.6, 0.8] (0.8, 1]
    assert bins.images.tolist() == [0, 0, 1, 1, 2]
    assert bins.confidence == pytest.approx([0, 0, 0.6, 0.7, 0.9])
    assert bins.accuracy == pytest.approx([0, 0, 1, 0, 0.5])


def test_confidence_that_equals_accuracy_has_no_calibration_error():
    probabilities = np.tile([0.75, 0.25], (4, 1))
    assert calibration_error(probabilities, np.array([0, 0, 0, 1])) == pytest.approx(0)


def test_certainty_falls_into_the_last_bin():
    assert calibration_error(np.array([[1.0, 0.0]]), np.array([0])) == 0


def test_negative_log_likelihood_is_scikit_learns():
    rows = np.random.default_rng(0).dirichlet([1, 1, 1], size=50)
    labels = np.arange(50) % 3
    assert negative_log_likelihood(rows, labels) == pytest.approx(log_loss(labels, rows))


def test_negative_log_likelihood_of_an_impossible_truth_is_finite():
    assert math.isfinite(negative_log_likelihood(np.array([[1.0, 0.0]]), np.array([1])))


def test_number_scores_by_hand():
    scores = number_scores(np.array([1.0, 2.0, 6.0]), np.array([1.0, 2.0, 3.0]))
    assert scores.mae == pytest.approx(1)
    assert scores.rmse == pytest.approx(math.sqrt(3))
    assert scores.r2 == pytest.approx(1 - 9 / 2)


def test_the_mean_explains_nothing_and_one_image_has_no_r2():
    assert number_scores(np.full(3, 2.0), np.array([1.0, 2.0, 3.0])).r2 == pytest.approx(0)
    assert number_scores(np.array([2.0]), np.array([1.0])).r2 is None


# intervals of differences: published values, and that they hold the truth as often as they say


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
