import time

import numpy as np
import pytest

from fovea.data.stratification import iteratively_stratified


def skewed(images, labels, *, seed=0):
    """Return labels (N, L) as data sets have them: few frequent ones and many rare ones, some often together."""
    generator = np.random.default_rng(seed)
    share = 1 / np.arange(1, labels + 1)
    topic = generator.integers(0, 8, images)
    fits = generator.random((8, labels)) < 0.4
    weight = np.where(fits[topic], 2.0, 0.4)
    return generator.random((images, labels)) < 0.5 * share * weight


def taken(labels, *, fraction=0.1, seed=0):
    return iteratively_stratified(labels, fraction=fraction, generator=np.random.default_rng(seed))


def distance(labels, indices, fraction):
    """Return how many images the part has too many or too few of a label, on average over the labels."""
    return np.abs(labels[indices].sum(0) - fraction * labels.sum(0)).mean()


def by_the_paper(labels, *, fraction, seed):
    """Return the images that algorithm 1 takes, written as it is printed, with the images without labels at random."""
    generator = np.random.default_rng(seed)
    share = np.array([1 - fraction, fraction])
    left = set(generator.permutation(len(labels)).tolist())
    size, wish = share * len(labels), share * labels.sum(0)[:, None]
    part = np.zeros(len(labels), int)
    while left:
        counts = labels[sorted(left)].sum(0)
        if counts.any():
            label = generator.choice(np.flatnonzero(counts == counts[counts > 0].min()))
            images = [image for image in left if labels[image, label]]
        else:
            label, images = None, list(left)
        for image in images:
            wanted = size if label is None else wish[label]
            best = np.flatnonzero(wanted == wanted.max())
            best = best[size[best] == size[best].max()]
            part[image] = generator.choice(best)
            size[part[image]] -= 1
            wish[labels[image], part[image]] -= 1
            left.remove(image)
    return np.flatnonzero(part)


def test_rare_labels_go_first_and_frequent_ones_follow():
    # by hand: images 0 and 1 have both labels, 2 to 9 the second one alone; of the first label one image each way
    labels = np.array([[1, 1]] * 2 + [[0, 1]] * 8, bool)
    for seed in range(5):
        chosen = taken(labels, fraction=0.3, seed=seed)
        assert len(chosen) == 3 and labels[chosen].sum(0).tolist() == [1, 3]


@pytest.mark.parametrize("fraction", [0.1, 0.25])
def test_shares_are_as_close_as_the_paper_gets_and_much_closer_than_by_chance(fraction):
    found, printed, chance = [], [], []
    for seed in range(3):
        labels = skewed(1000, 30, seed=seed)
        chosen = taken(labels, fraction=fraction, seed=seed)
        assert len(chosen) == 1000 * fraction
        found.append(distance(labels, chosen, fraction))
        printed.append(distance(labels, by_the_paper(labels, fraction=fraction, seed=seed), fraction))
        drawn = np.random.default_rng(seed).permutation(1000)[: len(chosen)]
        chance.append(distance(labels, drawn, fraction))
    assert np.mean(found) < 1.2 * np.mean(printed)
    assert np.mean(found) < np.mean(chance) / 4


def test_neither_the_order_of_columns_nor_empty_ones_matter_and_the_seed_does():
    labels = skewed(300, 12)
    labels[:, 3] = labels[:, 7]  # labels that always come together
    shuffled = labels[:, np.random.default_rng(1).permutation(12)]
    wide = np.insert(shuffled, [0, 5, 12], False, axis=1)
    assert taken(labels).tolist() == taken(labels).tolist() == taken(wide).tolist()
    assert taken(labels).tolist() != taken(labels, seed=1).tolist()


def test_a_label_that_two_have_is_in_both_parts_and_one_that_one_has_in_the_rest():
    for seed in range(20):
        labels = np.random.default_rng(seed).random((60, 15)) < np.linspace(0.01, 0.5, 15)
        chosen = taken(labels, seed=seed)
        counts, inside = labels.sum(0), labels[chosen].sum(0)
        assert (inside[counts == 1] == 0).all()
        assert ((inside > 0) & (inside < counts))[counts > 1].all()


def test_images_without_labels_fill_up_what_is_missing():
    labels = np.zeros((100, 2), bool)
    labels[:10, 0] = True
    chosen = taken(labels, fraction=0.2)
    assert len(chosen) == 20 and labels[chosen].sum(0).tolist() == [2, 0]
    assert len(taken(labels[:, 1:], fraction=0.2)) == 20
    assert len(taken(labels[:, :0], fraction=0.2)) == 20


def test_the_fraction_is_kept_where_all_images_have_labels():
    labels = skewed(997, 20)
    labels[~labels.any(1), 0] = True
    for fraction in (0.05, 0.1, 0.3, 0.9):
        assert len(taken(labels, fraction=fraction)) == round(997 * fraction)


def test_labels_that_two_images_have_are_worth_a_larger_part():
    labels = np.repeat(np.eye(10, dtype=bool), 2, axis=0)
    assert labels[taken(labels)].sum(0).tolist() == [1] * 10


@pytest.mark.parametrize("images", [0, 1, 2])
def test_the_smallest_parts_are_divided(images):
    assert len(taken(np.ones((images, 1), bool))) == images // 2


def test_a_hundred_thousand_images_take_seconds():
    labels = skewed(100_000, 80)
    began = time.process_time()
    taken(labels)
    assert time.process_time() - began < 10
