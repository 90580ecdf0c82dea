"""Approximate search by faiss: nearly all of the true neighbours, with a recall that was measured, kept and mapped."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from small_indices import an_index

from fovea.errors import MissingDependencyError
from fovea.metrics import wilson_interval
from fovea.retrieval import approximate as module
from fovea.retrieval.approximate import approximate, cells_for
from fovea.retrieval.faiss_file import export_faiss, load_faiss
from fovea.retrieval.index_file import read_index, write_index
from fovea.retrieval.neighbours import nearest


def clustered(N, D=16, seed=0):
    """Return vectors around fifty means, as embeddings of classes are."""
    generator = np.random.default_rng(seed)
    means = 3 * np.random.default_rng(99).normal(size=(50, D))
    return (means[generator.integers(50, size=N)] + generator.normal(size=(N, D))).astype(np.float32)


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def faiss():
    pytest.importorskip("faiss")
    return load_faiss()


@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_recall_is_as_was_measured_and_distances_are_exact(faiss, own_cache, tmp_path, metric, dtype):
    index = an_index(clustered(4000).astype(dtype), metric)
    (tmp_path / "x.fovea-index").write_bytes(b"stands for the file")
    search = approximate(tmp_path / "x.fovea-index", index, metric)
    queries = clustered(200, seed=1)
    found, exact = search.nearest(queries, 10), nearest(queries, index.embeddings, 10, metric=metric)
    near = found.distances <= exact.distances[:, -1:]
    assert search.recall.mean >= 0.99 and near.mean() >= 0.985
    assert search.recall.low < search.recall.mean < search.recall.high or search.recall.mean == 1
    assert search.probes < search.total == cells_for(4000) == 102
    same = found.indices == exact.indices
    np.testing.assert_array_equal(found.distances[same], exact.distances[same])
    assert (np.diff(found.distances, axis=1) >= 0).all()


def test_the_whole_interval_of_the_recall_is_above_what_is_wanted(faiss, own_cache, tmp_path):
    """Of vectors without any order in them, of which cells find few."""
    (tmp_path / "x.fovea-index").write_bytes(b"x")
    index = an_index(np.random.default_rng(0).normal(size=(3000, 12)).astype(np.float32))
    search = approximate(tmp_path / "x.fovea-index", index, "l2")
    assert search.recall.mean >= module.RECALL and 1 < search.probes < search.total
    (sample, *_) = module._samples(index, "l2")
    for probes, reaches in ((search.probes, True), (search.probes - 1, False)):
        found = module._found(search.cells, index, "l2", sample, probes)
        assert (module._recall_of(found).low >= module.RECALL) is reaches


def test_where_others_show_less_recall_more_cells_are_looked_through(monkeypatch):
    shares = {"first": {1: 0.5, 2: 1.0, 3: 1.0}, "second": {2: 0.9, 3: 1.0}, "third": {3: 1.0}}
    monkeypatch.setattr(module, "_samples", lambda *_: iter(shares))
    monkeypatch.setattr(
        module, "_found", lambda cells, index, metric, sample, probes: np.full(1000, shares[sample][probes])
    )
    cells = SimpleNamespace(nlist=9)
    probes, recall = module._chosen(cells, None, "l2", lambda *_: None)
    assert probes == 3 and recall.mean == 1


def test_neighbours_that_are_found_or_missed_together_count_for_less():
    alone, together = np.repeat([0.9, 1.0], 500), np.repeat([0.0, 1.0], [50, 950])
    assert alone.mean() == pytest.approx(together.mean()) == 0.95
    narrow, wide = module._recall_of(alone), module._recall_of(together)
    assert (wide.low, wide.high) == pytest.approx(wilson_interval(950, 1000))
    assert (narrow.low, narrow.high) == pytest.approx(wilson_interval(9500, 10_000))


def test_cells_are_made_once_for_a_file_and_again_for_another(faiss, own_cache, tmp_path, monkeypatch):
    path = tmp_path / "x.fovea-index"
    path.write_bytes(b"x")
    told = []
    first = approximate(path, an_index(clustered(500)), "l2", told=lambda *given: told.append(given[0]))
    assert list(dict.fromkeys(told)) == ["learning cells", "filling cells", "choosing"]
    with monkeypatch.context() as patch:
        patch.setattr(module, "_build", None)
        again = approximate(path, an_index(clustered(500)), "l2")
    assert (again.probes, again.recall) == (first.probes, first.recall)
    path.write_bytes(b"xy")
    built = []
    monkeypatch.setattr(module, "_learned", lambda *given: built.append(given) or before(*given))
    approximate(path, an_index(clustered(500)), "l2")
    assert len(built) == 1


before = module._learned


@pytest.mark.parametrize("N", [1, 2, 30])
def test_few_embeddings_are_found_exactly(faiss, own_cache, tmp_path, N):
    (tmp_path / "x.fovea-index").write_bytes(b"x")
    index = an_index(clustered(N))
    search = approximate(tmp_path / "x.fovea-index", index, "l2")
    found, exact = search.nearest(clustered(3, seed=2), 5), nearest(clustered(3, seed=2), index.embeddings, 5)
    np.testing.assert_array_equal(found.indices, exact.indices)


def test_where_cells_hold_too_few_the_exact_search_answers(faiss, own_cache, tmp_path):
    (tmp_path / "x.fovea-index").write_bytes(b"x")
    index = an_index(clustered(1000))
    search = replace(approximate(tmp_path / "x.fovea-index", index, "l2"), probes=1)
    queries = clustered(4, seed=3)
    found, exact = search.nearest(queries, 900), nearest(queries, index.embeddings, 900)
    np.testing.assert_array_equal(found.indices, exact.indices)


@pytest.mark.parametrize(("dtype", "metric"), [(np.float32, "l2"), (np.float16, "l2"), (np.float32, "cosine")])
def test_an_exported_index_finds_the_same_in_faiss_itself(faiss, tmp_path, dtype, metric):
    index = an_index(clustered(300).astype(dtype), metric)
    write_index(tmp_path / "x.fovea-index", index)
    file, table = export_faiss(read_index(tmp_path / "x.fovea-index"), tmp_path / "x.fovea-index")
    queries = clustered(5, seed=4)
    asked = queries / np.linalg.norm(queries, axis=1, keepdims=True) if metric == "cosine" else queries
    distances, rows = faiss.read_index(str(file)).search(asked, 3)
    found = nearest(queries, index.embeddings, 3, metric=metric)
    np.testing.assert_array_equal(rows, found.indices)
    np.testing.assert_allclose(1 - distances if metric == "cosine" else distances**0.5, found.distances, rtol=1e-3)
    lines = table.read_text().splitlines()
    assert lines[0] == "row,part,path,label" and lines[1] == "0,train,0.png,'=a" and len(lines) == 301


def test_without_the_library_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(
        MissingDependencyError, match=r'`pip install "fovea-cnn\[search\]"`. Exact search works without'
    ):
        approximate(tmp_path / "x.fovea-index", an_index(clustered(5)), "l2")
