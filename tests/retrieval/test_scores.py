import numpy as np
import pytest

from fovea.errors import UsageError
from fovea.retrieval.scores import class_means, retrieval_scores, unit, vote


def on_a_line(*places):
    return np.array([[place, 0.0] for place in places], np.float32)


def test_a_search_by_hand():
    # from 0: distances 1 (b), 2 (a), 3 (b), 4 (a): precision 1/2 at the first a, 2/4 at the second
    gallery = on_a_line(1, 2, 3, 4), np.array([1, 0, 1, 0])
    found = retrieval_scores((on_a_line(0), np.array([0])), gallery, voters=1)
    assert found.mean_average_precision.value == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert {k: measured.value for k, measured in found.recall.items()} == {1: 0, 5: 1, 10: 1}
    assert (found.vote.value, found.class_mean.value) == (0, 0)  # the means are at 3 and 2
    assert (found.searched, found.queries, found.leave_one_out) == (4, 1, False)


def test_an_image_is_not_found_by_itself():
    found = retrieval_scores((on_a_line(0, 1, 10, 11), np.array([0, 0, 1, 1])), voters=1)
    assert found.leave_one_out and found.searched == 3
    assert found.mean_average_precision.value == found.vote.value == found.class_mean.value == 1
    mixed = retrieval_scores((on_a_line(0, 1, 10, 11), np.array([0, 1, 0, 1])), voters=1)
    assert mixed.recall[1].value == mixed.vote.value == 0


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_figures_are_those_of_a_plain_loop_in_double_precision(metric):
    generator = np.random.default_rng(0)
    labels, asked = generator.integers(0, 4, 60), generator.integers(0, 4, 20)
    gallery, queries = (generator.normal(size=(len(of), 5)) + of[:, None] for of in (labels, asked))
    precisions, firsts, votes = [], [], []
    for x, label in zip(queries, asked, strict=True):
        if metric == "l2":
            away = np.linalg.norm(gallery - x, axis=1)
        else:
            away = 1 - gallery @ x / np.linalg.norm(gallery, axis=1) / np.linalg.norm(x)
        ranked = labels[np.argsort(away)]
        hits = ranked == label
        precisions.append((hits.cumsum() / np.arange(1, 61))[hits].mean())
        firsts.append(hits.argmax())
        counts = np.bincount(ranked[:7], minlength=4)
        votes.append(next(of for of in ranked if counts[of] == counts.max()))
    pair = (queries.astype(np.float32), asked), (gallery.astype(np.float32), labels)
    found = retrieval_scores(*pair, metric=metric, voters=7)
    assert found.mean_average_precision.value == pytest.approx(np.mean(precisions), abs=1e-6)
    assert found.recall[5].value == np.mean(np.array(firsts) < 5)
    assert found.vote.value == np.mean(np.array(votes) == asked)


def test_images_as_near_as_each_other_stand_at_the_same_place():
    # four copies of one point: whichever comes first in the file, precision is 2 of 4
    gallery = on_a_line(1, 1, 1, 1), np.array([0, 0, 1, 1])
    for label in (0, 1):
        found = retrieval_scores((on_a_line(0), np.array([label])), gallery)
        assert found.mean_average_precision.value == pytest.approx(1 / 2)


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_leaving_one_out_is_searching_the_others(metric):
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 3, 24)
    x = (generator.normal(size=(24, 4)) + labels[:, None]).astype(np.float32)
    whole = retrieval_scores((x, labels), metric=metric, voters=3)
    parts = [
        retrieval_scores((x[[i]], labels[[i]]), (np.delete(x, i, 0), np.delete(labels, i)), metric=metric, voters=3)
        for i in range(24)
    ]
    for name in ("mean_average_precision", "vote", "class_mean"):
        alone = np.mean([getattr(part, name).value for part in parts])
        assert getattr(whole, name).value == pytest.approx(alone, abs=1e-6), name


def test_blocks_do_not_change_what_is_found(monkeypatch):
    generator = np.random.default_rng(2)
    x, labels = generator.normal(size=(30, 4)).astype(np.float32), generator.integers(0, 3, 30)
    whole = retrieval_scores((x, labels))
    monkeypatch.setattr("fovea.retrieval.scores.BLOCK", 64)
    assert retrieval_scores((x, labels)) == whole


def test_a_class_that_is_not_searched_is_left_out_and_counted():
    found = retrieval_scores((on_a_line(0, 5), np.array([0, 2])), (on_a_line(1, 2), np.array([0, 1])))
    assert (found.queries, found.alone) == (1, 1)
    with pytest.raises(UsageError, match="at least two images"):
        retrieval_scores((on_a_line(0, 1), np.array([0, 1])))


def test_another_metric_is_refused():
    with pytest.raises(UsageError, match="`l2` or `cosine`"):
        retrieval_scores((on_a_line(0, 1), np.array([0, 0])), metric="dot")


def test_of_as_many_votes_those_of_the_nearer_win():
    assert vote(np.array([[7, 3, 3, 7], [3, 7, 7, 3], [3, 7, 7, 7]])).tolist() == [7, 3, 7]


def test_means_of_classes_and_unit_length():
    means, classes, counts = class_means(on_a_line(0, 4, 2), np.array([5, 1, 5]))
    assert (means[:, 0].tolist(), classes.tolist(), counts.tolist()) == ([4, 1], [1, 5], [1, 2])
    assert unit(np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)).tolist() == [pytest.approx([0.6, 0.8]), [0, 0]]


def test_the_json_names_every_figure():
    values = retrieval_scores((on_a_line(0, 1), np.array([0, 0]))).to_dict()
    assert values["recall"]["1"]["value"] == 1 and len(values["vote"]["interval"]) == 2
    assert {"metric", "queries", "searched", "leave_one_out", "mean_average_precision", "class_mean"} <= values.keys()
