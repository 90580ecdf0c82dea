"""Exact neighbours: by hand, against the distances as they are written, in every storage, order and tie."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fovea.errors import UsageError
from fovea.retrieval import neighbours as module
from fovea.retrieval.neighbours import exact_distances, nearest, squared_norms


def by_definition(queries, embeddings, k, metric):
    distances = np.array(
        [exact_distances(np.repeat(query[None], len(embeddings), 0), embeddings, metric) for query in queries]
    )
    rows = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return rows, np.take_along_axis(distances, rows, 1).astype(np.float32)


def vectors(N, D, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).normal(size=(N, D)).astype(dtype)


def test_distances_are_those_of_a_triangle():
    embeddings = np.array([[3, 4], [0, 1], [-2, 0]], np.float32)
    found = nearest(np.zeros((1, 2), np.float32), embeddings, 3)
    assert found.indices.tolist() == [[1, 2, 0]] and found.distances.tolist() == [[1, 2, 5]]
    found = nearest(np.array([[0, 2]], np.float32), embeddings, 3, metric="cosine")
    assert found.indices.tolist() == [[1, 0, 2]]
    np.testing.assert_allclose(found.distances, [[0, 1 - 4 / 5, 1]], atol=1e-7)


@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("Q", [1, 2, 37])
def test_what_comes_out_is_what_the_definition_says(metric, dtype, Q, monkeypatch):
    monkeypatch.setattr(module, "ROWS", range(16, 65))  # many blocks
    monkeypatch.setattr(module, "WIDENED", 48)
    monkeypatch.setattr(module, "QUERIES", 8)
    embeddings, queries = vectors(700, 24, dtype=dtype), vectors(Q, 24, seed=1)
    found = nearest(queries, embeddings, 9, metric=metric)
    rows, distances = by_definition(queries, embeddings, 9, metric)
    np.testing.assert_array_equal(found.indices, rows)
    np.testing.assert_array_equal(found.distances, distances)
    assert found.indices.dtype == np.int64 and found.distances.dtype == np.float32


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_of_equally_near_ones_the_first_come_first(metric, monkeypatch):
    monkeypatch.setattr(module, "ROWS", range(16, 33))
    embeddings = np.tile(vectors(3, 5), (100, 1))
    found = nearest(embeddings[1:2], embeddings, 7, metric=metric)
    assert found.indices[0].tolist() == [1, 4, 7, 10, 13, 16, 19]
    assert (found.distances == 0).all() if metric == "l2" else (found.distances < 1e-7).all()


def test_a_copy_is_found_among_vectors_that_are_far_from_zero_and_close_together():
    """Products of these round by more than their distances are."""
    embeddings = 1000 + vectors(3000, 64) / 100
    queries = embeddings[[5, 2999]]
    found = nearest(queries, embeddings, 4)
    rows, distances = by_definition(queries, embeddings, 4, "l2")
    np.testing.assert_array_equal(found.indices, rows)
    np.testing.assert_array_equal(found.distances, distances)
    assert found.indices[:, 0].tolist() == [5, 2999] and (found.distances[:, 0] == 0).all()


def test_embeddings_that_come_ever_nearer_are_all_looked_at(monkeypatch):
    monkeypatch.setattr(module, "ROWS", range(16, 33))
    embeddings = np.arange(500, 0, -1, dtype=np.float32)[:, None]
    assert nearest(np.zeros((2, 1), np.float32), embeddings, 3).indices.tolist() == [[499, 498, 497]] * 2


def test_a_vector_of_zeros_has_no_direction():
    embeddings = np.array([[0, 0], [1, 0], [-1, 0]], np.float32)
    found = nearest(np.array([[0, 0], [2, 0]], np.float32), embeddings, 3, metric="cosine")
    assert found.distances.tolist() == [[1, 1, 1], [0, 1, 2]] and found.indices.tolist() == [[0, 1, 2], [1, 0, 2]]


def test_a_mapped_file_and_known_norms_change_nothing(tmp_path):
    embeddings, queries = vectors(500, 16), vectors(3, 16, seed=1)
    embeddings.tofile(tmp_path / "x")
    mapped = np.memmap(tmp_path / "x", np.float32, "r", shape=embeddings.shape)
    expected = nearest(queries, embeddings, 5)
    for given in (None, squared_norms(embeddings)):
        found = nearest(queries, mapped, 5, squares=given)
        np.testing.assert_array_equal(found.indices, expected.indices)
        np.testing.assert_array_equal(found.distances, expected.distances)


def test_there_are_no_more_neighbours_than_embeddings():
    assert nearest(vectors(2, 3), vectors(4, 3), 9).indices.shape == (2, 4)
    assert nearest(vectors(2, 3), vectors(0, 3), 9).indices.shape == (2, 0)
    assert nearest(vectors(0, 3), vectors(4, 3), 2).indices.shape == (0, 2)


def test_half_precision_finds_nearly_the_same():
    embeddings, queries = vectors(5000, 64), vectors(100, 64, seed=1)
    whole, half = (nearest(queries, embeddings.astype(kind), 10).indices for kind in (np.float32, np.float16))
    shared = [len(set(a) & set(b)) for a, b in zip(whole.tolist(), half.tolist(), strict=True)]
    assert np.mean(shared) / 10 > 0.99


@pytest.mark.parametrize(("Q", "n", "k"), [(1, 5000, 10), (3, 200, 10), (2, 130, 1), (2, 20, 15), (1, 1000, 999)])
def test_the_bound_of_the_first_block_lies_at_the_kth_score_or_above_and_leaves_few(Q, n, k):
    scores = vectors(Q, n)
    bound = module._at_most(scores, k)
    below = (scores <= bound[:, None]).sum(axis=1)
    assert (below >= k).all() and (below <= 2 * k + 2).all()


def test_rows_that_lie_crooked_in_memory_are_found_all_the_same():
    queries, embeddings = vectors(4, 16, seed=1), vectors(600, 16)
    expected = nearest(queries, embeddings, 5)
    crooked = np.frombuffer(b"x" + embeddings.tobytes(), np.uint8)[1:].view(np.float32).reshape(600, 16)
    strided = np.repeat(embeddings, 2, axis=0)[::2]
    backward = embeddings[::-1].copy()[::-1]
    for given in (crooked, strided, backward, embeddings.astype(">f4")):
        np.testing.assert_array_equal(nearest(queries, given, 5).indices, expected.indices)


def test_progress_reaches_the_end_over_all_queries(monkeypatch):
    monkeypatch.setattr(module, "QUERIES", 2)
    told = []
    nearest(vectors(5, 3), vectors(40, 3), 2, progress=lambda done, total: told.append((done, total)))
    assert told == [(40, 120), (80, 120), (120, 120)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": "l1"}, r"`metric` \(=l1\) must be `l2` or `cosine`"),
        ({"k": 0}, r"`k` \(=0\) must be at least 1"),
        ({"queries": np.zeros((1, 4), np.float32)}, r"\(1, 4\) and embeddings \(6, 3\) must be"),
        ({"queries": np.full((1, 3), np.nan, np.float32)}, "A query has values that are not finite"),
        ({"embeddings": np.full((6, 3), np.inf, np.float32)}, "The embeddings have values that are not finite"),
    ],
)
def test_what_cannot_be_is_refused(change, message):
    given = {"queries": vectors(1, 3), "embeddings": vectors(6, 3), "k": 2, "metric": "l2", **change}
    with pytest.raises(UsageError, match=message):
        nearest(given["queries"], given["embeddings"], given["k"], metric=given["metric"])


def test_many_that_are_as_near_take_no_more_memory_than_is_allowed(monkeypatch):
    monkeypatch.setattr(module, "MOST", 64)
    monkeypatch.setattr(module, "ROWS", range(16, 33))
    embeddings = np.tile(vectors(2, 5), (400, 1))
    held, take = [], module._Search._take
    monkeypatch.setattr(
        module._Search, "_take", lambda self, *given: (take(self, *given), held.append(len(self.found.which)))[0]
    )
    found = nearest(embeddings[:2], embeddings, 6)
    assert found.indices.tolist() == [[0, 2, 4, 6, 8, 10], [1, 3, 5, 7, 9, 11]] and max(held) <= 64 + 2 * 32


def test_memory_that_a_thread_uses_again_changes_nothing():
    generator = np.random.default_rng(0)
    searches = [
        (generator.normal(size=(Q, 8)), generator.normal(size=(N, 8))) for Q, N in ((1, 3000), (50, 40), (1, 90))
    ]
    with ThreadPoolExecutor(3) as pool:
        several = list(pool.map(lambda given: [nearest(*given, 5) for _ in range(3)], searches * 4))
    for (queries, embeddings), found in zip(searches * 4, several, strict=True):
        distances = np.linalg.norm(queries[:, None] - embeddings[None], axis=2)
        for one in found:
            assert np.array_equal(one.indices, distances.argsort(1)[:, :5])
