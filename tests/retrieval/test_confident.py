import numpy as np
import pytest

from fovea.retrieval.confident import doubts, folds_of


def test_the_confident_joint_by_hand():
    # thresholds are the mean probability of each class among its own: 0.6 for class 0, 0.7 for class 1
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.4, 0.6]])
    labels = np.array([0, 0, 0, 1, 1])
    found = doubts(probabilities, labels)
    assert found.likely.tolist() == [0, 0, 1, 1, 1]  # the last reaches no threshold, and keeps its label
    assert found.joint.tolist() == [[2, 1], [0, 2]]
    assert found.given == pytest.approx([0.9, 0.8, 0.1, 0.8, 0.6])
    assert found.order().tolist() == [2, 4, 1, 3, 0]
    assert found.faults(labels).tolist() == [2]


def test_a_class_that_the_classifier_always_doubts_has_a_low_threshold():
    # class 1 gets 0.4 at most: it is counted for where it is as probable as it ever is
    probabilities = np.array([[0.9, 0.1], [0.55, 0.45], [0.6, 0.4], [0.62, 0.38]])
    labels = np.array([0, 0, 1, 1])
    assert doubts(probabilities, labels).likely.tolist() == [0, 1, 1, 1]


def test_a_class_without_images_is_nobodys():
    probabilities = np.array([[0.1, 0.1, 0.8], [0.2, 0.7, 0.1]])
    found = doubts(probabilities, np.array([0, 1]))
    assert found.likely.tolist() == [0, 1] and found.joint.shape == (3, 3)


def test_folds_share_each_class_alike_and_are_as_large():
    labels = np.repeat([0, 1, 2, 3], [50, 13, 7, 3])
    fold = folds_of(labels, folds=5)
    for label in range(4):
        counts = np.bincount(fold[labels == label], minlength=5)
        assert counts.max() - counts.min() <= 1
    sizes = np.bincount(fold)
    assert sizes.max() - sizes.min() <= 1
    assert (folds_of(labels, folds=5) == fold).all() and (folds_of(labels, folds=5, seed=1) != fold).any()
