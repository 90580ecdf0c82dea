"""Pairs that a network sees as the same: near for where they lie."""

import numpy as np
from small_indices import an_index

from fovea.retrieval.alike import alike


def test_a_pair_is_told_by_how_far_its_neighbours_are():
    """Two clouds, one a hundred times as dense: a copy in each is found, neighbours in the dense one are not."""
    generator = np.random.default_rng(0)
    wide, dense = generator.normal(size=(60, 32)), 1 + generator.normal(size=(60, 32)) / 100
    copies = [wide[7] + generator.normal(size=32) / 10, dense[9] + generator.normal(size=32) / 1000]
    found = alike(an_index(np.concatenate([wide, dense, copies]).astype(np.float32)))
    assert sorted(pair[:2] for pair in found) == [(7, 120), (69, 121)]
    assert all(0 < pair.ratio < 0.5 for pair in found)


def test_the_same_twice_is_the_most_alike():
    vectors = np.random.default_rng(1).normal(size=(50, 8)).astype(np.float32)
    found = alike(an_index(np.concatenate([vectors, vectors[[3]]])))
    assert found[0][:2] == (3, 50) and found[0].ratio < 1e-3


def test_a_larger_ratio_finds_more_and_no_image_itself():
    index = an_index(np.random.default_rng(2).normal(size=(200, 3)).astype(np.float32))
    few, many = alike(index, ratio=0.2), alike(index, ratio=0.6)
    assert len(few) < len(many) and {pair[:2] for pair in few} <= {pair[:2] for pair in many}
    assert all(pair.first < pair.second for pair in many)


def test_where_all_are_the_same_nothing_is_told_and_of_few_nothing_is_missing():
    assert alike(an_index(np.ones((40, 4), np.float32))) == []
    assert alike(an_index(np.ones((1, 4), np.float32))) == []
    told = []
    alike(an_index(np.eye(4, dtype=np.float32)), progress=lambda *given: told.append(given))
    assert told == [(4, 4)]
