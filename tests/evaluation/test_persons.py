"""Objects that are found by their points, in their true boxes, as COCO scores them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fovea.data.dataset import Dataset, Part
from fovea.evaluation.outcome import Outcome
from fovea.evaluation.persons import ALIKE, COCO_POINTS, OF_COCO, measure_persons
from fovea.metrics.points import COCO_DEVIATIONS
from fovea.preprocess import Preprocess
from fovea.tasks.points import Points

FRAME = Preprocess(size=(32, 32), fit="letterbox", channels=1, mean=(0.0,), std=(1.0,))
REGIONS = np.array([(10, 20, 74, 84), (0, 0, 64, 64), (30, 0, 94, 64)])
"""Of 64 pixels, which the network sees at half their size."""
AREA = 2500.0


def data(tmp_path, names):
    """Return three objects in two images, their points on a diagonal."""
    points = np.stack([np.column_stack([np.linspace(8, 56, len(names))] * 2 + [np.full(len(names), 2)])] * 3)
    part = Part(
        labels=points.astype(np.float32),
        names=("a.png #1", "a.png #2", "b.png"),
        files=(tmp_path / "a.png", tmp_path / "a.png", tmp_path / "b.png"),
        regions=REGIONS,
        areas=np.full(3, AREA),
    )
    return Dataset(name="people", parts={"test": part}, classes=names, channels=1, task="points")


def measured(dataset, off=(0.0, 0.0, 0.0), *, names=None, kept=(0, 1, 2)):
    """Return the scores of answers that are `off` to the right, in pixels of the input."""
    part = dataset.parts["test"]
    answers = part.labels * [0.5, 0.5, 1]
    answers[:, :, 0] += np.array(off)[:, None]
    answers[:, :, 2] = np.array([0.9, 0.8, 0.7])[:, None]
    rows = list(kept)
    chosen = tuple(part.names[row] for row in rows)
    read = replace(part, labels=part.labels[rows], names=chosen, files=None, pixels=np.zeros((len(rows), 32, 32, 1)))
    outcome = Outcome(
        data="people",
        split="test",
        target=Points(names=names or dataset.classes),
        outputs=torch.from_numpy(answers[rows].astype(np.float32)),
        labels=part.labels[rows],
        names=chosen,
    )
    return measure_persons(outcome, dataset, replace(dataset, parts={"test": read}), FRAME)


def test_answers_that_are_right_in_their_boxes_are_right_in_the_images(tmp_path):
    scores = measured(data(tmp_path, COCO_POINTS))
    assert (scores.persons, scores.images, scores.deviations) == (3, 2, OF_COCO)
    assert (scores.scores.ap, scores.scores.ar) == (pytest.approx(1), 1)
    assert scores.interval == pytest.approx((1, 1))
    assert np.isnan(scores.scores.ap_large) and scores.to_dict()["ap_large"] is None
    assert "OKS-AP 100.00 %" in scores.summary()[2] and "large -" in scores.summary()[2]


def test_the_similarity_is_that_of_distances_in_the_image(tmp_path):
    """Points d pixels off in the image have exp(-d^2 / (8 area deviation^2)); here 0.6, found at 0.5 and 0.55."""
    deviation = COCO_DEVIATIONS.mean()
    away = np.sqrt(-np.log(0.6001) * 8 * AREA) * deviation
    scores = measured(data(tmp_path, ("left", "right")), (away / 2,) * 3)
    assert scores.deviations == ALIKE
    assert (scores.scores.ap50, scores.scores.ap75) == (pytest.approx(1), 0)
    assert scores.scores.ap == pytest.approx(0.3)  # at 0.5, 0.55 and 0.6 of ten
    assert scores.scores.ar == pytest.approx(0.3)


def test_one_of_three_that_is_wrong_is_neither_found_nor_right(tmp_path):
    """The surest is wrong: at recalls of 1/3 and 2/3 precision is 1/2 and 2/3, and 2/3 is the best from there on."""
    scores = measured(data(tmp_path, ("a", "b")), (16.0, 0.0, 0.0))
    assert scores.scores.ap50 == pytest.approx(2 / 3 * 67 / 101)
    assert scores.scores.ar == pytest.approx(2 / 3)


def test_samples_that_could_not_be_read_and_points_in_another_order_are_matched(tmp_path):
    dataset = data(tmp_path, ("left", "right"))
    assert measured(dataset, kept=(0, 2)).persons == 2
    assert measured(dataset, (0, 0, 0), names=("right", "left")).scores.ap50 == 0


def test_without_the_areas_of_objects_there_is_no_figure(tmp_path):
    dataset = data(tmp_path, ("a",))
    part = replace(dataset.parts["test"], areas=None)
    assert measured(replace(dataset, parts={"test": part})) is None
