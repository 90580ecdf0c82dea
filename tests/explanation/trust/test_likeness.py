"""Rank correlation and structural similarity against SciPy, scikit-image and values by hand."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from fovea.explanation.trust.likeness import rank_correlation, structural_similarity

ROWS, COLUMNS = np.mgrid[:16, :20]
A, B = ((ROWS * 3 + COLUMNS * 5) % 17) / 16, ((ROWS * 2 + COLUMNS * 7) % 13) / 12


def test_ranks_by_hand():
    # ranks 1 2 3 4 and 1 3 2 4: 1 - 6 (0 + 1 + 1 + 0) / (4 (16 - 1))
    assert rank_correlation(np.array([[1.0, 2], [3, 9]]), np.array([[0.0, 5], [1, 7]])) == pytest.approx(0.8)


def test_ranks_are_scipys_also_with_equal_values():
    assert rank_correlation(A, B) == pytest.approx(spearmanr(A.ravel(), B.ravel()).statistic)


def test_constant_maps():
    flat = np.ones((16, 20))
    assert rank_correlation(flat, A) == 0 and rank_correlation(flat, 2 * flat) == 1
    assert structural_similarity(flat, 2 * flat) == 1


def test_similarity_is_scikit_images():
    # structural_similarity(A, B, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0), 0.26.0
    assert structural_similarity(A, B) == pytest.approx(0.16099733717351736, abs=1e-12)


def test_similarity_to_itself_and_to_its_negative():
    assert structural_similarity(A, 3 * A - 7) == pytest.approx(1)
    assert structural_similarity(A, -A) < 0


def test_similarity_of_one_window_by_hand():
    # one pixel at the centre of 11 x 11 against none: with g its weight, mean g, variance g - g^2, no covariance
    point = np.zeros((11, 11))
    point[5, 5] = 1
    weights = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    g = (weights.max() / weights.sum()) ** 2
    c1, c2 = 1e-4, 9e-4
    expected = c1 * c2 / ((g**2 + c1) * (g - g**2 + c2))
    assert structural_similarity(point, np.zeros((11, 11))) == pytest.approx(expected)


def test_maps_smaller_than_the_window():
    assert structural_similarity(A[:7, :7], A[:7, :7]) == pytest.approx(1)
