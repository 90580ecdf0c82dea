"""What a network says is proposed as a label of the kind that is asked for."""

import numpy as np
import pytest

from fovea.data.annotating.covered import mask_of
from fovea.data.annotating.proposals import proposed
from fovea.tasks.box_prediction import BoxPrediction
from fovea.tasks.mask_prediction import MaskPrediction
from fovea.tasks.point_prediction import PointPrediction
from fovea.tasks.prediction import LabelScore, Prediction

SIZE = (12, 20)
SURE = (LabelScore("cat", 0.7), LabelScore("dog", 0.3))


@pytest.mark.parametrize(
    ("kind", "prediction", "classes", "label"),
    [
        ("classes", Prediction(scores=SURE), ("dog", "cat"), "cat"),
        ("classes", Prediction(scores=SURE), ("dog",), None),
        ("labels", Prediction(scores=SURE, present=SURE[:1]), ("dog", "cat"), ["cat"]),
        ("labels", Prediction(scores=SURE), ("dog", "cat"), None),
        ("number", Prediction(value=2.5), (), "2.5"),
    ],
)
def test_answers_for_whole_images(kind, prediction, classes, label):
    assert proposed(kind, prediction, classes, SIZE) == label


def test_boxes_are_cut_at_the_image_and_other_classes_left_out():
    found = np.array([[0, 2, 3, 9, 30, 0.9], [1, 0, 0, 5, 5, 0.8]])
    said = BoxPrediction.of(found, ("cell", "dirt"))
    assert proposed("boxes", said, ("cell",), SIZE) == [{"label": "cell", "box": [2, 3, 9, 12]}]


def test_a_mask_is_proposed_as_pixels_and_as_polygons():
    mask = np.zeros(SIZE, np.uint8)
    mask[2:8, 3:9] = 1
    mask[0, 15] = 1  # too small for a polygon
    said = MaskPrediction.of(mask, ("background", "cell"))
    covered = mask_of(proposed("brush", said, ("cell",), SIZE), ("cell",), SIZE)
    assert ((covered == 0) == (mask == 1)).all()
    assert proposed("polygons", said, ("cell",), SIZE) == [{"label": "cell", "rings": [[3, 2, 9, 2, 9, 8, 3, 8]]}]


def test_points_are_found_by_their_names():
    said = PointPrediction.of(np.array([[3.0, 4.0, 0.9], [5.0, 99.0, 0.1]]), ("left", "right"))
    assert proposed("points", said, ("right", "nose", "left"), SIZE) == [[5, 12, 2], [0, 0, 0], [3, 4, 2]]
