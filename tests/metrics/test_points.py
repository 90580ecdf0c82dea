"""Scores of points: by hand, and to the last digits as COCO's own code has them."""

import coco_oracle
import numpy as np
import pytest

from fovea.metrics.points import (
    COCO_DEVIATIONS,
    box_sizes,
    compared_points,
    correct_points,
    normalised_errors,
    object_keypoint_similarity,
    pair_sizes,
    point_distances,
    point_scores,
)

TRUTH = np.array([[[0, 0, 2], [30, 40, 1], [9, 9, 0]], [[5, 5, 2], [0, 0, 0], [0, 0, 0]]], np.float32)
FOUND = np.array([[[3, 4], [30, 40], [0, 0]], [[5, 7], [1, 1], [1, 1]]], float)


def test_distances_and_sizes_by_hand():
    distances = point_distances(TRUTH, FOUND)
    assert distances[0, :2].tolist() == [5, 0] and distances[1, 0] == 2
    assert np.isnan(distances[[0, 1, 1], [2, 1, 2]]).all()
    assert box_sizes(TRUTH)[0] == 40 and np.isnan(box_sizes(TRUTH)[1])  # one point has no size
    assert pair_sizes(TRUTH, 0, 1)[0] == 50 and np.isnan(pair_sizes(TRUTH, 0, 2)).all()


def test_errors_and_correct_points_by_hand():
    distances, sizes = point_distances(TRUTH, FOUND), np.array([40.0, 20.0])
    assert normalised_errors(distances, sizes).tolist() == [5 / 2 / 40, 2 / 20]
    assert correct_points(distances, sizes).tolist() == [0.5, 1]  # 5 of at most 4; 2 of at most 2
    assert correct_points(distances, sizes, share=0.125).tolist() == [1, 1]


def test_an_image_without_a_size_or_a_point_has_no_figure():
    distances = point_distances(TRUTH, FOUND)
    assert np.isnan(normalised_errors(distances, np.array([np.nan, 1]))[0])
    assert np.isnan(correct_points(distances, np.array([np.nan, 1]))[0])
    assert np.isnan(normalised_errors(np.full((1, 3), np.nan), np.ones(1)))[0]


def test_similarity_by_hand():
    """One point right, one at a distance of 2 deviations times the root of the area: e^(-4 / 8) = e^(-1/2)."""
    truth = np.array([[[0, 0, 2], [0, 0, 1]]], float)
    found = np.array([[[0, 0], [2 * 0.1 * 10, 0]]])
    similarity = object_keypoint_similarity(truth, np.array([100.0]), found, deviations=np.array([0.1, 0.1]))
    assert similarity[0, 0] == pytest.approx((1 + np.exp(-1 / 2)) / 2)


def random_people(generator):
    """Return persons (G, 17, 3), their boxes, and what was found of them with noise, doubled or anywhere."""
    count = generator.integers(1, 5)
    corners, sides = generator.integers(0, 200, (count, 2)), generator.integers(20, 200, (count, 2))
    points = corners[:, None] + generator.random((count, 17, 2)) * sides[:, None]
    visible = generator.integers(0, 3, (count, 17))
    visible[generator.random(count) < 0.2] = 0
    drawn = generator.integers(0, count, generator.integers(1, 8))
    noise = generator.normal(size=(len(drawn), 17, 2)) * generator.choice([1, 5, 20], (len(drawn), 1, 1))
    truth = np.concatenate([points, visible[..., None]], axis=2)
    return truth, np.hstack([corners, corners + sides]), points[drawn] + noise, generator.random(len(drawn))


@pytest.mark.parametrize("seed", range(2))
def test_they_are_those_of_pycocotools(seed):
    generator = np.random.default_rng(seed)
    people = [random_people(generator) for _ in range(15)]
    annotations, results, images = [], [], []
    for truth, boxes, found, scores in people:
        sides = boxes[:, 2:] - boxes[:, :2]
        areas = sides.prod(axis=1) * 0.6
        images.append(compared_points(truth, areas, found, scores, deviations=COCO_DEVIATIONS, boxes=boxes))
        annotations.append(
            [
                {
                    "category_id": 1,
                    "keypoints": points.ravel().tolist(),
                    "num_keypoints": int((points[:, 2] > 0).sum()),
                    "bbox": [*box[:2].tolist(), *side.tolist()],
                    "area": float(area),
                    "iscrowd": 0,
                }
                for points, box, side, area in zip(truth, boxes, sides, areas, strict=True)
            ]
        )
        rows = np.concatenate([found, np.ones((len(found), 17, 1))], axis=2)
        results.append(
            [
                {"category_id": 1, "keypoints": row.ravel().tolist(), "score": float(score)}
                for row, score in zip(rows, scores, strict=True)
            ]
        )
    expected = coco_oracle.figures(annotations, results, kind="keypoints")
    figures, _ = point_scores(images)
    np.testing.assert_allclose(figures, expected, rtol=0, atol=1e-9)
