"""Points as a kind of target."""

import numpy as np
import pytest
import torch

from fovea import tasks
from fovea.errors import DataError
from fovea.preprocess import Preprocess
from fovea.tasks.criteria.points import heat_maps
from fovea.tasks.point_prediction import PointPrediction
from fovea.tasks.points import Points

NAMES = ("nose", "left_eye", "right_eye")
FACE = np.array([[[32.0, 36, 2], [22, 20, 2], [42, 20, 2]]], np.float32)


@pytest.fixture
def target():
    return Points.fitted(FACE, classes=NAMES, loss="heat-maps", data="d")


@pytest.fixture
def frame():
    return Preprocess(size=(64, 64), channels=1, fit="letterbox", mean=(0.5,), std=(0.5,))


def maps_of(points):
    return heat_maps(torch.from_numpy(points), size=(16, 16), stride=4)


def test_points_that_are_found_where_they_are_have_little_error(target):
    figures = target.figures(target.condensed(maps_of(FACE)), FACE)
    assert figures.nme < 0.06 and figures.pck == 1  # a cell is a fifth of the face
    assert target.criterion()(maps_of(FACE), torch.from_numpy(FACE)).item() == 0


def test_opposites_follow_from_the_names_and_stand_on_the_card(target):
    assert target.opposites == (0, 2, 1)
    card = {**target.card_fields(), "loss": "heat-maps", "outputs": 3}
    assert Points.from_card(card) == target
    assert Points.fault({**card, "opposites": [0, 0, 1]})


def test_mirrored_maps_exchange_the_eyes(target):
    mirrored = FACE.copy()
    mirrored[..., 0] = 64 - mirrored[..., 0]
    # in the mirror image the left eye of the network's answer is where the right one was
    mirrored = mirrored[:, list(target.opposites)]
    found = target.condensed(target.unmirrored(maps_of(mirrored)))
    assert np.abs(found.numpy()[..., :2] - FACE[..., :2]).max() < 4


def test_points_are_laid_on_the_input_and_told_in_the_image(target, frame):
    laid = target.laid(FACE * np.float32([2, 2, 1]), [(128, 128)], frame)
    assert np.allclose(laid, FACE)
    found = target.in_image(PointPrediction.of(FACE[0].astype(float), NAMES), frame, (128, 128))
    assert found.to_dict()["points"][0] == {"label": "nose", "x": 64.0, "y": 72.0, "score": 2.0}


def test_a_point_outside_of_the_input_is_not_labelled(target):
    crop = Preprocess(size=(64, 64), channels=1, fit="crop", mean=(0.5,), std=(0.5,))
    laid = target.laid(FACE, [(64, 128)], crop)
    assert laid[0, :, 2].tolist() == [2, 0, 2]


def test_points_that_are_not_labelled_count_nowhere(target):
    truth = FACE.copy()
    truth[0, 0, 2] = 0
    wrong = FACE.copy()
    wrong[0, 0, :2] = 2
    assert target.criterion()(maps_of(wrong), torch.from_numpy(truth)).item() == 0
    figures = target.figures(target.condensed(maps_of(wrong)), truth)
    assert set(figures.per_point) == {"left_eye", "right_eye"}


def test_points_of_data_are_matched_by_name(target):
    matched = target.matched(FACE[:, 1:2], ("right_eye",))
    assert matched[0, :, 2].tolist() == [0, 0, 2] and matched[0, 2, 0] == 22


def test_the_worst_image_comes_first(target):
    truth = np.concatenate([FACE, FACE])
    found = truth.copy()
    found[1, :, :2] += 6
    worst = target.mistakes(target.condensed(maps_of(found)), truth, most=1)
    assert worst[0].image == 1


def test_data_without_a_labelled_point_cannot_be_learned():
    with pytest.raises(DataError, match="no labelled points"):
        Points.check_trainable(FACE * np.float32([1, 1, 0]), classes=NAMES, data="d")


def test_labels_in_words_are_refused():
    with pytest.raises(DataError, match="keypoints"):
        tasks.kind("points").encode({"train": ["a"]})
