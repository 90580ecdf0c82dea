"""The forms in which networks answer boxes, each with answers that are written by hand."""

import numpy as np
import pytest
import torch

from fovea import registry
from fovea.errors import UsageError
from fovea.tasks import kind
from fovea.tasks.box_forms import BOX_FORMS, BOX_LOSSES
from fovea.tasks.boxes import Boxes
from fovea.tasks.criteria.anchors import anchor_matches, deltas_of

SIZE = (64, 96)
BOXES = [[1, 20, 12, 44, 40, 0], [0, 60, 30, 84, 58, 0]]
"""Class, x0, y0, x1, y1, no crowd; in different columns and cells of every form."""


def form_of(name):
    return BOX_FORMS[name](classes=2, size=SIZE, priors=((0.5, 0.5), (0.75, 0.9), (1.0, 1.0), (1.5, 1.5), (2.0, 1.0)))


def truth(*boxes):
    return torch.tensor([list(boxes)], dtype=torch.float32)


def mirrored(boxes):
    found = boxes.clone()
    found[..., 1], found[..., 3] = SIZE[1] - boxes[..., 3], SIZE[1] - boxes[..., 1]
    return found


def cells_of(boxes, stride):
    """Yield class, column, row, the middle in cells, and the sides in pixels of each box."""
    for index, x0, y0, x1, y1, _ in boxes.tolist():
        x, y = (x0 + x1) / 2 / stride, (y0 + y1) / 2 / stride
        yield int(index), int(x), int(y), (x, y), (x1 - x0, y1 - y0)


def answers(name, boxes):
    """Return answers of this form, (1, ...) float32, that say nothing but true boxes (1, M, 6)."""
    H, W = SIZE
    boxes = boxes[0]
    if name == "centres":
        out = torch.full((1, 6, H // 4, W // 4), -9.0)
        for (index, column, row, _, _), box in zip(cells_of(boxes, 4), boxes, strict=True):
            out[0, index, row, column] = 9.0
            at = torch.tensor([column + 0.5, row + 0.5]) * 4
            out[0, 2:, row, column] = (torch.cat([at - box[1:3], box[3:5] - at]) / 4).log()
    elif name == "anchors":
        anchors = torch.from_numpy(form_of(name).anchors)
        out = torch.zeros(1, len(anchors), 6)
        out[..., :2] = -9
        matches = anchor_matches(anchors, boxes)
        for own in (matches >= 0).nonzero()[:, 0].tolist():
            box = boxes[matches[own]]
            out[0, own, int(box[0])] = 9.0
            out[0, own, 2:] = deltas_of(box[None, 1:5], anchors[own : own + 1])[0]
    elif name == "yolo":
        out = torch.zeros(1, 12, 2, 3)
        for index, column, row, (x, y), (w, h) in cells_of(boxes, 32):
            out[0, :5, row, column] = torch.tensor([x - column, y - row, (w / W) ** 0.5, (h / H) ** 0.5, 1.0])
            out[0, 10 + index, row, column] = 1.0
    elif name == "yolo2":
        out = torch.full((1, 35, 2, 3), -9.0)
        for index, column, row, (x, y), (w, h) in cells_of(boxes, 32):
            place = torch.logit(torch.tensor([x - column, y - row]))
            shape = torch.tensor([w / 32 / 0.75, h / 32 / 0.9]).log()
            out[0, 7:12, row, column] = torch.tensor([*place, *shape, 9.0])
            out[0, 12 + index, row, column] = 9.0
    else:
        out = torch.zeros(1, 6)
        out[0, int(boxes[0, 0])] = 9.0
        out[0, 2:] = boxes[0, 1:5] / torch.tensor([W, H, W, H])
    return out


def seen(name):
    """Return the boxes that a form can tell of, (1, M, 6)."""
    return truth(*BOXES[: 1 if name == "one" else 2])


def found(name, out):
    """Return classes and boxes of all that is answered with a score above one half, ordered by place."""
    (rows,) = form_of(name).decoder.decoded(out.numpy())
    rows = rows[rows[:, 5] > 0.5]
    return rows[np.argsort(rows[:, 1])][:, :5]


def expected(boxes):
    rows = boxes[0].numpy()
    return rows[np.argsort(rows[:, 1])][:, :5]


forms = pytest.mark.parametrize("name", BOX_FORMS)


def test_the_forms_are_those_of_the_registry_and_each_has_a_loss_of_its_own():
    assert set(BOX_FORMS) == set(registry.FORMS["boxes"]) == set(BOX_LOSSES)
    assert kind("boxes").losses == tuple(BOX_LOSSES.values())


@forms
def test_what_is_answered_is_decoded(name):
    assert np.allclose(found(name, answers(name, seen(name))), expected(seen(name)), atol=1e-3)


@forms
def test_answers_for_a_mirror_image_are_those_for_the_image(name):
    boxes = seen(name)
    back = form_of(name).unmirrored(answers(name, mirrored(boxes)))
    assert np.allclose(found(name, back), expected(boxes), atol=1e-3)
    given = torch.randn_like(back)
    assert torch.allclose(form_of(name).unmirrored(form_of(name).unmirrored(given)), given, atol=1e-4)


@forms
def test_the_loss_is_least_where_answers_are_true(name):
    form, boxes = form_of(name), seen(name)
    right = answers(name, boxes)
    true = form.loss(right, boxes)
    assert form.loss(answers(name, mirrored(boxes)), boxes) > 2 * true
    assert form.loss(torch.zeros_like(right), boxes) > 2 * true


@forms
def test_the_shape_is_that_of_the_answers(name):
    given = answers(name, seen(name)).shape[1:]
    assert all(length in (None, known) for length, known in zip(form_of(name).output_shape, given, strict=True))


@forms
def test_what_speaks_for_a_class_is_highest_where_it_is(name):
    task = Boxes(names=("a", "b"), loss=BOX_LOSSES[name], priors=form_of(name).priors).for_input(SIZE)
    out = answers(name, truth(BOXES[0])).requires_grad_()
    of_a, of_b = (task.evidence(out, torch.tensor([index])) for index in (0, 1))
    assert of_b > of_a
    of_b.sum().backward()
    assert out.grad.abs().sum() > 0


def labels_of(*images):
    """Return labels (N, M, 7) of images of boxes (class, x0, y0, x1, y1)."""
    labels = np.zeros((len(images), 3, 7), np.float32)
    labels[..., 0] = -1
    for rows, boxes in zip(labels, images, strict=True):
        rows[: len(boxes), :5] = boxes
    return labels


def test_one_box_for_an_image_needs_one_object_in_it():
    single, double = [(0, 1, 1, 9, 9)], [(0, 1, 1, 9, 9), (0, 20, 20, 30, 30)]
    words = {"classes": ("a",), "loss": "one-box", "data": "photos"}
    assert Boxes.fitted(labels_of(single, single), **words).loss == "one-box"
    with pytest.raises(UsageError, match="`photos`: 1 of 2 images have several objects"):
        Boxes.fitted(labels_of(single, double), **words)


def test_priors_are_clusters_of_the_training_boxes_and_stay_on_the_card():
    rows = [[(0, 0, 0, 32 * side, 16 * side), (0, 0, 0, 33 * side, 16 * side)] for side in (1, 2, 3, 4, 5)]
    task = Boxes.fitted(labels_of(*rows), classes=("a",), loss="yolo2", data="photos")
    assert np.allclose(task.priors, [(1.0156 * side, 0.5 * side) for side in (1, 2, 3, 4, 5)], atol=1e-3)
    card = {"classes": ["a"], "temperature": 1.0, "loss": "yolo2", **task.card_fields()}
    assert Boxes.fault(card) == ""
    assert Boxes.from_card(card).priors == task.priors


def test_priors_of_few_boxes_are_the_published_ones():
    task = Boxes.fitted(labels_of([(0, 1, 1, 9, 9)]), classes=("a",), loss="yolo2", data="photos")
    assert task.priors == Boxes(names=("a",)).priors


@pytest.mark.parametrize("priors", [[[1, 1]] * 4, [[1, 0]] * 5, [[1, "a"]] * 5, 7, [[1, 1, 1]] * 5, [[1, 1e9]] * 5])
def test_priors_that_are_none_are_a_fault_of_the_card(priors):
    card = {"classes": ["a"], "temperature": 1.0, "loss": "yolo2", "priors": priors}
    assert "priors" in Boxes.fault(card)


def test_a_loss_that_is_not_that_of_the_form_is_refused():
    with pytest.raises(UsageError, match="cannot be used"):
        Boxes.fitted(labels_of([(0, 1, 1, 9, 9)]), classes=("a",), loss="heat-maps", data="photos")
