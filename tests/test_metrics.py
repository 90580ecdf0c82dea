"""Metrics: worked values, the libraries that define them, and what no data may change."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import average_precision_score, cohen_kappa_score, f1_score, log_loss

from fovea.errors import UsageError
from fovea.metrics import (
    average_precision,
    best_threshold,
    calibration_bins,
    calibration_error,
    class_scores,
    confusion_matrix,
    difference_interval,
    error_interval,
    kappa_interval,
    label_scores,
    map_interval,
    mean_average_precision,
    micro_f1,
    negative_log_likelihood,
    number_scores,
    paired_interval,
    presence_bins,
    presence_likelihood,
    top_k_accuracy,
    unpaired_interval,
    weighted_kappa,
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
    with pytest.raises(UsageError, match=f"`correct` \\(={correct}\\) must be from"):
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
    with pytest.raises(UsageError, match=r"^`differences` \(=\[1\.0\]\) must be at least two values\.$"):
        paired_interval([1.0])


# several labels


def ranked(seed=0, *, images=400, labels=3, digits=2):
    """Return scores with many ties, and the labels (N, L) that they rank."""
    generator = np.random.default_rng(seed)
    truth = (generator.random((images, labels)) < 0.3).astype(float)
    return np.round(generator.normal(size=truth.shape) + truth, digits), truth


def test_average_precision_by_hand_and_without_what_is_unknown():
    # hits at ranks 1 and 3
    scores, truth = np.array([0.9, 0.8, 0.7, 0.6]), np.array([1.0, 0, 1, 0])
    assert average_precision(scores, truth).tolist() == [pytest.approx((1 + 2 / 3) / 2)]
    assert average_precision(np.append(scores, 0.85), np.append(truth, np.nan)) == average_precision(scores, truth)
    assert np.isnan(average_precision(scores, np.zeros(4))).all()


@pytest.mark.parametrize("digits", [0, 1, 6])
def test_average_precision_is_scikit_learns_with_ties_and_weights(digits):
    scores, truth = ranked(digits=digits)
    weights = np.random.default_rng(1).integers(0, 4, (5, len(truth))).astype(float)
    expected = [average_precision_score(truth[:, 0], scores[:, 0], sample_weight=row) for row in weights]
    assert average_precision(scores[:, 0], truth[:, 0], weights) == pytest.approx(expected)
    mean = average_precision_score(truth, scores, average="macro")
    assert mean_average_precision(scores, truth) == pytest.approx([mean])


def test_the_mean_is_over_the_labels_that_an_image_has():
    scores, truth = ranked()
    alone = mean_average_precision(scores[:, :2], truth[:, :2])
    truth[:, 2] = 0
    assert mean_average_precision(scores, truth) == pytest.approx(alone)
    assert np.isnan(mean_average_precision(scores, np.zeros_like(truth))).all()


def test_the_bootstrap_holds_the_true_precision_in_most_cases():
    scores, truth = ranked(images=20_000, digits=9)
    true = mean_average_precision(scores, truth)[0]
    samples = [slice(start, start + 200) for start in range(0, 20_000, 200)]
    intervals = [map_interval(scores[sample], truth[sample]) for sample in samples]
    assert 85 <= sum(low <= true <= high for low, high in intervals) <= 100
    assert map_interval(scores[:200], truth[:200]) == intervals[0]


def test_a_larger_part_has_a_narrower_interval():
    low, high = map_interval(*ranked(images=200))
    lower, higher = map_interval(*ranked(images=5000))
    assert (higher - lower) < (high - low) / 3


def test_label_scores_are_scikit_learns_and_leave_out_what_is_unknown():
    scores, truth = ranked()
    predicted = scores > 0.5
    found = label_scores(truth, predicted)
    assert found.f1 == pytest.approx(f1_score(truth, predicted, average=None))
    assert found.support.tolist() == truth.sum(axis=0).tolist() and found.known.tolist() == [400] * 3
    assert micro_f1(truth, predicted) == pytest.approx(f1_score(truth, predicted, average="micro"))
    truth[:100] = np.nan
    part = label_scores(truth, predicted)
    expected = label_scores(truth[100:], predicted[100:])
    assert all(np.array_equal(*pair) for pair in zip(part, expected, strict=True))
    assert micro_f1(truth, predicted) == micro_f1(truth[100:], predicted[100:])
    assert micro_f1(np.zeros((2, 2)), np.zeros((2, 2), bool)) == 0


def test_probability_and_frequency_of_labels_by_hand():
    found = presence_bins(np.array([[0.1, 0.1], [0.9, 0.6]]), np.array([[0, 1], [1, np.nan]]), bins=2)
    assert found.images.tolist() == [2, 1] and found.accuracy.tolist() == [0.5, 1.0]
    assert found.confidence == pytest.approx([0.1, 0.9]) and found.error == pytest.approx((0.4 * 2 + 0.1) / 3)
    likelihood = presence_likelihood(np.array([[0.25, 0.5]]), np.array([[0, np.nan]]))
    assert likelihood == pytest.approx(-math.log(0.75))
    assert math.isfinite(presence_likelihood(np.array([[0.0]]), np.array([[1.0]])))


@pytest.mark.parametrize(
    ("probabilities", "labels", "expected"),
    [
        ([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], 0.5),  # one half serves as well
        ([0.1, 0.2, 0.3], [0, 1, 1], 0.15),
        ([0.6, 0.7, 0.9], [0, 0, 1], 0.8),
        ([0.4, 0.4, 0.6], [1, 0, 1], 0.2),  # of equal ones all or none
        ([0.4, 0.45], [1, 1], 0.2),
        ([0.9, 0.8], [0, 0], 0.5),
        ([0.9, 0.2], [np.nan, 1], 0.1),
        ([], [], 0.5),
    ],
)
def test_the_threshold_of_the_highest_f1(probabilities, labels, expected):
    assert best_threshold(np.array(probabilities), np.array(labels, float)) == pytest.approx(expected)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 20), st.booleans()), min_size=1, max_size=30))
def test_no_threshold_is_better(pairs):
    probabilities, labels = (np.array(column, float) for column in zip(*pairs, strict=True))
    probabilities /= 21
    found = best_threshold(probabilities, labels)
    scores = [f1_score(labels, probabilities > t, zero_division=0.0) for t in (found, 0, *probabilities)]
    assert scores[0] == pytest.approx(max(scores))


# grades


def test_weighted_kappa_is_scikit_learns():
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 5, 300)
    answers = np.clip(truth + generator.integers(-1, 3, 300), 0, 4)
    counts = confusion_matrix(truth, answers, classes=5)
    expected = cohen_kappa_score(truth, answers, weights="quadratic")
    assert weighted_kappa(counts) == pytest.approx(expected)
    assert weighted_kappa(np.stack([counts, counts.T, np.diag([1, 2, 3, 4, 5])])) == pytest.approx([expected] * 2 + [1])
    low, high = kappa_interval(counts)
    assert low < expected < high and kappa_interval(counts) == (low, high)
    lower, higher = kappa_interval(100 * counts)
    assert (higher - lower) == pytest.approx((high - low) / 10, rel=0.15)


def test_one_grade_has_no_kappa():
    assert np.isnan(weighted_kappa(np.array([[3, 0], [0, 0]])))


# differences


def test_a_mean_error_has_students_interval_which_ends_at_zero():
    values = np.array([2.0, 2.5, 3.0, 2.0])
    expected = stats.t.interval(0.95, 3, loc=values.mean(), scale=stats.sem(values))
    assert error_interval(values) == pytest.approx(expected)
    assert error_interval(np.array([0, 0, 3]))[0] == 0 and error_interval(np.array([2.0])) is None


def test_the_difference_of_two_figures_by_hand():
    # 3-4-5: the distances are 0.03 and 0.04
    low, high = difference_interval((0.5, 0.46, 0.53), (0.7, 0.66, 0.73))
    assert (low, high) == pytest.approx((0.2 - 0.05, 0.2 + 0.05))
