"""Objects that are found: by hand, with those of the data and with those that are told apart."""

import numpy as np
import pytest
import torch
from PIL import Image

from fovea.data.dataset import Dataset, Part
from fovea.data.masks import DrawnMask, MaskFile, ObjectFile, Table
from fovea.data.shapes import Shape
from fovea.decoding.runs import to_runs
from fovea.evaluation.instances import DATA, WATERSHED, has_instances, measure_instances, singling_of
from fovea.evaluation.outcome import Outcome
from fovea.preprocess import VOID, Preprocess
from fovea.tasks.mask_objects import Singling
from fovea.tasks.masks import Masks

CLASSES = ("background", "cell", "rod")
SIZE = (16, 24)
FRAME = Preprocess(size=(24, 24), fit="letterbox", channels=1, mean=(0.0,), std=(1.0,))


def region(top, left, bottom, right):
    mask = np.zeros(SIZE, bool)
    mask[top:bottom, left:right] = True
    return mask


def shape(index, *corners, **more):
    return Shape(index, runs=to_runs(region(*corners)), **more)


TOUCHING = (shape(1, 2, 2, 10, 10), shape(1, 2, 10, 10, 18), shape(2, 12, 2, 14, 20))
"""Two cells side by side, and a rod."""


def data(*drawings):
    labels = np.empty(len(drawings), object)
    labels[:] = [DrawnMask(SIZE, tuple(shapes)) for shapes in drawings]
    names = tuple(f"{index}.png" for index in range(len(drawings)))
    part = Part(labels=labels, names=names, pixels=np.zeros((len(drawings), *SIZE, 1), np.uint8))
    return Dataset(name="cells", parts={"test": part}, classes=CLASSES, channels=1, task="masks")


def outcome(answers, labels):
    sure = np.full(np.shape(answers), 204, np.uint8)
    return Outcome(
        data="cells",
        split="test",
        target=Masks(names=CLASSES),
        outputs=torch.from_numpy(np.stack([answers, sure], axis=1)),
        labels=np.asarray(labels),
        names=tuple(f"{index}.png" for index in range(len(labels))),
    )


def laid(dataset):
    return np.stack([FRAME.mask_in_input(label.read(SIZE)) for label in dataset.parts["test"].labels])


def measured(dataset, answers, labels=None, *, way="connected", given=True):
    found = outcome(answers, laid(dataset) if labels is None else labels)
    return measure_instances(
        found, FRAME, Singling(way=way), **({"found": dataset, "decoded": dataset} if given else {})
    )


def test_objects_of_the_data_that_touch_are_two():
    """What holds both overlaps each by one half: found for COCO, and not for panoptic quality, which asks for more."""
    dataset = data(TOUCHING)
    assert has_instances(dataset)
    scores = measured(dataset, laid(dataset))
    assert (scores.truth, scores.objects, scores.found) == (DATA, 3, 2)
    assert scores.per_class["cell"]["pq"] == 0 and scores.per_class["rod"]["pq"] == 1
    assert (scores.pq, scores.rq) == (0.5, 0.5)
    assert scores.per_class["cell"]["ap50"] == pytest.approx(51 / 101)
    assert scores.per_class["cell"]["objects"] == 2


def test_told_apart_in_the_true_masks_everything_is_found_that_is_answered():
    dataset = data(TOUCHING)
    scores = measured(dataset, laid(dataset), given=False)
    assert (scores.truth, scores.objects, scores.pq, scores.ap) == (WATERSHED, 2, 1, pytest.approx(1))
    assert scores.pq_interval == (1, 1) and scores.ap_interval == pytest.approx((1, 1))


def test_the_figures_are_those_of_the_overlap():
    """The answer has 6 of the 8 columns of a cell: an overlap of 3/4, which is found up to thresholds of 0.75."""
    dataset = data((shape(1, 2, 2, 10, 10),), ())
    answers = laid(data((shape(1, 2, 2, 10, 8),), ()))
    scores = measured(dataset, answers)
    assert (scores.pq, scores.sq, scores.rq) == (0.75, 0.75, 1)
    assert (scores.ap50, scores.ap) == (pytest.approx(1), pytest.approx(0.6))
    assert [shown.image for shown in scores.worst] == [0]
    assert (scores.worst[0].truth > 0).sum() == 64


def test_what_lies_in_a_group_or_in_void_is_not_counted():
    group = shape(VOID, 2, 2, 10, 12, group=1)
    dataset = data((group, shape(1, 2, 14, 10, 20)))
    answers = laid(data((shape(1, 3, 3, 6, 6), shape(1, 2, 14, 10, 20))))
    answers[0, :2] = 2  # beside the image, where a letterbox is void
    scores = measured(dataset, answers)
    assert (scores.objects, scores.pq, scores.ap) == (1, 1, pytest.approx(1))


def test_without_any_object_there_is_no_figure():
    dataset = data((), ())
    scores = measured(dataset, laid(dataset))
    assert scores.pq is None and scores.ap is None and scores.ap_interval is None and not scores.per_class
    assert scores.to_dict()["objects"] == 0 and len(scores.summary()) == 2


def test_images_that_could_not_be_read_are_passed_over():
    dataset = data((), TOUCHING)
    labels = laid(dataset)[1:]
    part = dataset.parts["test"]
    read = Part(labels=labels, names=part.names[1:], pixels=part.pixels[1:])
    decoded = Dataset(name="cells", parts={"test": read}, classes=CLASSES, channels=1, task="masks")
    scores = measure_instances(outcome(labels, labels), FRAME, Singling(), found=dataset, decoded=decoded)
    assert scores.objects == 3


def test_objects_in_a_file_beside_the_mask_are_scored_as_drawn_ones(tmp_path):
    """Two cells that touch, and a crowd, of which nothing counts; rods are no class with objects there."""
    mask, numbers = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint16)
    mask[2:10, 2:18], mask[12:14, 2:20] = 1, 2
    numbers[2:10, 2:10], numbers[2:10, 10:16], numbers[2:10, 16:18], numbers[12:14, 2:20] = 1001, 1002, 1, 2001
    Image.fromarray(mask).save(tmp_path / "mask.png")
    Image.fromarray(numbers).save(tmp_path / "numbers.png")
    objects = ObjectFile(tmp_path / "numbers.png", by_id=True, counted=(1,))
    labels = np.empty(1, object)
    labels[0] = MaskFile(tmp_path / "mask.png", Table((0, 1, 2), (0, 1, 2)), objects)
    part = Part(labels=labels, names=("a.png",), pixels=np.zeros((1, *SIZE, 1), np.uint8))
    dataset = Dataset(name="m", parts={"test": part}, classes=CLASSES, channels=1, task="masks")
    assert has_instances(dataset)
    singling = singling_of(dataset, Singling(way="connected"))
    assert singling.classes == ("cell",)
    answers = laid(dataset)
    answers[0, :, 10] = 0  # parts the cells; 8 x 5 of the second one's 8 x 6 are found, with 8 x 2 of the crowd
    scores = measure_instances(outcome(answers, laid(dataset)), FRAME, singling, found=dataset, decoded=dataset)
    assert (scores.truth, scores.objects, scores.found) == (DATA, 2, 2)
    assert scores.per_class["cell"]["sq"] == pytest.approx((1 + 40 / 64) / 2)
    assert scores.rq == 1


def test_masks_that_are_files_have_no_objects_of_their_own():
    labels = np.empty(1, object)
    part = Part(labels=labels, names=("a.png",), pixels=np.zeros((1, *SIZE, 1), np.uint8))
    assert not has_instances(Dataset(name="m", parts={"test": part}, classes=CLASSES, channels=1, task="masks"))
