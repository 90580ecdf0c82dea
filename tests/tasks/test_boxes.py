"""Boxes as a kind of target."""

import numpy as np
import pytest
import torch

from fovea import tasks
from fovea.errors import DataError
from fovea.preprocess import Preprocess
from fovea.tasks.box_prediction import BoxPrediction
from fovea.tasks.boxes import CLASS, SCALE, Boxes, missed_and_wrong

CLASSES = ("cell", "plate")


@pytest.fixture
def target():
    return Boxes(names=CLASSES)


@pytest.fixture
def frame():
    return Preprocess(size=(64, 64), channels=1, fit="letterbox", mean=(0.5,), std=(0.5,))


def labels_of(*boxes, most=3):
    """Return labels (1, most, 6) of boxes (class, x0, y0, x1, y1)."""
    labels = np.zeros((1, most, 6), np.float32)
    labels[..., CLASS] = -1
    for row, box in zip(labels[0], boxes, strict=False):
        row[:5] = box
    return labels


def outputs_for(labels, certain=8.0):
    """Return outputs (N, 6, 16, 16) in which each box (M, 7) has its centre and its four sides."""
    outputs = torch.zeros(len(labels), 6, 16, 16)
    outputs[:, :2] = -certain
    for maps, boxes in zip(outputs, labels, strict=True):
        for index, x0, y0, x1, y1 in boxes[boxes[:, CLASS] >= 0][:, :5].tolist():
            column, row = int((x0 + x1) / 8), int((y0 + y1) / 8)
            maps[int(index), row, column] = certain
            at_x, at_y = (column + 0.5) * 4, (row + 0.5) * 4
            sides = torch.tensor([at_x - x0, at_y - y0, x1 - at_x, y1 - at_y]) / 4
            maps[2:, row, column] = sides.log()
    return outputs


def test_boxes_that_are_found_where_they_are_have_the_best_score(target, frame):
    labels = target.laid(labels_of((0, 8, 8, 24, 28), (1, 40, 36, 58, 60)), [(64, 64)], frame)
    figures = target.figures(target.condensed(outputs_for(labels)), labels)
    assert figures.ap == figures.ap50 == figures.ap75 == 1
    assert (
        target.score(
            target.condensed(outputs_for(labels)), torch.from_numpy(labels), lambda *_: torch.tensor(0.5)
        ).value
        == 1
    )


def test_sizes_are_those_of_the_image_and_not_of_the_input(target, frame):
    # 16 x 20 pixels of the input are 128 x 160 of an image eight times as large
    labels = target.laid(labels_of((0, 64, 64, 192, 224)), [(512, 512)], frame)
    assert labels[0, 0, 1:5].tolist() == [8, 8, 24, 28] and labels[0, 0, SCALE] == pytest.approx(64)
    figures = target.figures(target.condensed(outputs_for(labels)), labels)
    assert figures.ap_large == 1 and figures.ap_small is None and figures.ap_medium is None


def test_a_box_that_the_crop_leaves_out_is_none(target):
    crop = Preprocess(size=(64, 64), channels=1, fit="crop", mean=(0.5,), std=(0.5,))
    labels = target.laid(labels_of((0, 0, 8, 16, 24), (1, 60, 8, 80, 24)), [(64, 128)], crop)
    assert labels[0, :, CLASS].tolist() == [-1, 1, -1]
    assert labels[0, 1, 1:5].tolist() == [28, 8, 48, 24]


def test_laying_twice_is_laying_once(target, frame):
    once = target.laid(labels_of((0, 64, 64, 192, 224)), [(512, 512)], frame)
    assert np.allclose(target.laid(once, [(64, 64)], frame), once)


def test_mirrored_outputs_are_those_of_the_image(target, frame):
    labels = target.laid(labels_of((0, 8, 8, 24, 28)), [(64, 64)], frame)
    mirrored = labels.copy()
    mirrored[0, 0, [1, 3]] = 64 - labels[0, 0, [3, 1]]
    found = target.condensed(target.unmirrored(outputs_for(mirrored)))
    assert torch.allclose(found[0, 0, 1:5], torch.from_numpy(labels[0, 0, 1:5]), atol=1e-3)


def test_a_prediction_is_told_in_the_pixels_of_its_image(target, frame):
    found = BoxPrediction.of(np.array([[1, 0.0, 16, 32, 48, 0.9]]), CLASSES)
    told = target.in_image(found, frame, (64, 128))
    assert told.to_dict() == {"boxes": [{"label": "plate", "score": 0.9, "box": [0.0, 0.0, 64.0, 64.0]}]}
    assert told.label == "1 x plate"


def test_the_loss_is_less_where_boxes_are_where_they_should_be(target, frame):
    labels = target.laid(labels_of((0, 8, 8, 24, 28)), [(64, 64)], frame)
    other = labels.copy()
    other[0, 0, 1:5] += 16
    loss = target.criterion()
    assert loss(outputs_for(labels), torch.from_numpy(labels)) < loss(outputs_for(other), torch.from_numpy(labels))


def test_missed_and_wrong_are_counted_once_each():
    truth = np.array([[0, 0, 0, 10, 10, 0], [0, 20, 20, 30, 30, 0]], float)
    found = np.array([[0, 0, 0, 10, 9, 0.9], [0, 0, 0, 10, 10, 0.8], [1, 20, 20, 30, 30, 0.7]], float)
    assert missed_and_wrong(found, truth) == (1, 2)
    assert missed_and_wrong(found[:0], truth) == (2, 0)


def test_objects_are_told_from_the_score_of_the_highest_f1_on(target, frame):
    labels = target.laid(np.concatenate([labels_of((0, 8, 8, 24, 28))] * 3), [(64, 64)] * 3, frame)
    found = target.condensed(outputs_for(labels)).clone()
    found[:, 0, 5] = torch.tensor([0.9, 0.6, 0.2])
    for image, score in enumerate((0.5, 0.4, 0.1)):  # and beside each one that is none
        found[image, 1] = torch.tensor([0, 40, 40, 60, 60, score])
    told = target.calibrated(found, labels)
    assert told.least == pytest.approx(0.6)
    assert Boxes.from_card({**told.card_fields(), "loss": "centres", "outputs": 2}) == told
    assert target.at_least(0.15).prediction(found[2].numpy()).label == "1 x cell"
    assert Boxes.fault({"classes": ["a"], "least_score": 2})


def test_classes_of_data_are_matched_by_name(target, frame):
    labels = labels_of((0, 8, 8, 24, 28))
    assert target.matched(labels, ("plate",))[0, :, CLASS].tolist() == [1, -1, -1]


def test_data_without_a_box_cannot_be_learned():
    with pytest.raises(DataError, match="no box"):
        Boxes.check_trainable(labels_of(), classes=CLASSES, data="d")


def test_labels_in_words_are_refused():
    with pytest.raises(DataError, match="COCO JSON"):
        tasks.kind("boxes").encode({"train": ["a"]})
