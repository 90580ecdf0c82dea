"""Masks as a kind of target."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from fovea import tasks
from fovea.data.shapes import from_runs, runs_from_text
from fovea.errors import DataError, UsageError
from fovea.metrics.masks import VOID
from fovea.preprocess import Preprocess
from fovea.tasks import mask_colours
from fovea.tasks.mask_prediction import MaskPrediction
from fovea.tasks.masks import Masks, middle

CLASSES = ("sky", "road", "tree")


@pytest.fixture
def target():
    return Masks(names=CLASSES)


def logits_of(masks, certain=8.0):
    """Return outputs (N, 3, H, W) that answer these masks."""
    return certain * torch.nn.functional.one_hot(masks.long(), 3).permute(0, 3, 1, 2).float()


@pytest.fixture
def truth():
    return torch.from_numpy(np.random.default_rng(0).integers(0, 3, (4, 12, 10)).astype(np.uint8))


def test_a_network_that_knows_every_pixel_has_the_best_score_and_next_to_no_loss(target, truth):
    kept = target.condensed(logits_of(truth, 40.0))
    figures = target.figures(kept, truth.numpy())
    assert figures.miou == figures.dice == figures.pixel_accuracy == figures.boundary_f1 == 1
    assert target.criterion()(logits_of(truth, 40.0), truth).item() < 1e-3


def test_void_pixels_change_neither_loss_nor_score(target, truth):
    outputs = torch.randn(4, 3, 12, 10, generator=torch.Generator().manual_seed(0))
    masked = truth.clone()
    masked[:, :6] = VOID
    other = outputs.clone()
    other[:, :, :6] *= -3
    loss = target.criterion()
    assert torch.allclose(loss(outputs, masked), loss(other, masked))
    first, second = (target.figures(target.condensed(o), masked.numpy()).miou for o in (outputs, other))
    assert first == second


def test_what_is_kept_of_outputs_is_the_answer_and_how_sure_it_is(target, truth):
    kept = target.condensed(logits_of(truth))
    assert kept.dtype == torch.uint8 and (kept[:, 0] == truth).all()
    sure = 1 / (1 + 2 * np.exp(-8.0))
    assert np.allclose(kept[:, 1].numpy() / 255, sure, atol=1 / 255)


def test_maps_of_valid_convolutions_are_compared_with_the_middle(target, truth):
    inner = truth[:, 2:-2, 2:-2]
    assert (middle(truth, inner) == inner).all()
    kept = target.condensed(logits_of(inner))
    assert target.figures(kept, truth.numpy()).miou == 1
    assert target.criterion()(logits_of(inner, 40.0), truth).item() < 1e-3


def test_score_of_all_pixels_is_that_of_the_pooled_counts_by_hand(target):
    truth = torch.tensor([[[0, 0, 1, 1]], [[1, 1, 2, 2]]], dtype=torch.uint8)
    answer = torch.tensor([[[0, 1, 1, 1]], [[1, 1, 1, 2]]], dtype=torch.uint8)
    kept = target.condensed(logits_of(answer))
    found = target.score(kept, truth, lambda *_: torch.tensor(0.5))
    assert found.loss == 0.5
    # sky 1 of 2, road 4 of 6, tree 1 of 2
    assert found.value == pytest.approx((1 / 2 + 4 / 6 + 1 / 2) / 3)


def test_class_weights_are_inverse_to_shares_and_have_mean_one_over_the_pixels(target):
    masks = torch.tensor([[[0, 0, 0, 1]], [[0, 0, 2, VOID]]], dtype=torch.uint8)
    weights = target.class_weights(masks)
    shares = torch.tensor([5, 1, 1]) / 7
    assert torch.allclose((weights * shares).sum(), torch.tensor(1.0))
    assert torch.allclose(weights * shares, torch.full((3,), 1 / 3))


def test_masks_of_data_are_matched_by_the_names_of_classes(target):
    labels = np.array([[[0, 1, VOID]]], np.uint8)
    assert target.matched(labels, ("tree", "sky")).tolist() == [[[2, 0, VOID]]]


def test_a_prediction_is_told_in_the_pixels_of_its_image(target):
    frame = Preprocess(size=(8, 8), channels=1, fit="letterbox", mean=(0.5,), std=(0.5,))
    mask = np.full((8, 8), 1, np.uint8)
    found = target.in_image(MaskPrediction.of(mask, CLASSES), frame, (4, 16))
    assert isinstance(found, MaskPrediction)
    assert found.mask.shape == (4, 16) and (found.mask == 1).all()
    assert found.to_dict() == {"size": [4, 16], "classes": [{"label": "road", "share": 1.0, "pixels": 64}]}


def test_evidence_of_a_class_is_its_mean_logit_where_it_is_answered(target):
    outputs = torch.zeros(1, 3, 2, 2)
    outputs[0, 1, 0] = torch.tensor([4.0, 6.0])
    outputs[0, 0, 1] = 1.0
    assert target.evidence(outputs, torch.tensor([1])).item() == 5
    assert target.evidence(outputs, torch.tensor([2])).item() == 0


def test_the_worst_images_come_first(target, truth):
    answers = truth.clone()
    answers[2] = (answers[2] + 1) % 3
    worst = target.mistakes(target.condensed(logits_of(answers)), truth.numpy(), most=2)
    assert worst[0].image == 2 and worst[0].answer.startswith("IoU 0.0 %")


@pytest.mark.parametrize("loss", Masks.losses)
def test_every_loss_falls_where_the_answer_gets_better(loss, truth):
    found = Masks(names=CLASSES, loss=loss).criterion()
    assert found(logits_of(truth), truth) < found(logits_of((truth + 1) % 3), truth)


def test_labels_in_words_are_refused():
    with pytest.raises(DataError, match="masks"):
        tasks.kind("masks").encode({"train": ["a"]})


def test_a_loss_of_another_kind_is_refused():
    with pytest.raises(UsageError, match="mask"):
        Masks.fitted(np.zeros(1), classes=CLASSES, loss="mse", data="d")


def test_one_class_is_none():
    with pytest.raises(DataError, match="1 pixel classes"):
        Masks.check_trainable(np.zeros(1), classes=("a",), data="d")


def test_a_server_gives_masks_as_pictures_or_as_run_lengths():
    mask = np.array([[0, 1, 1], [0, 0, 1]], np.uint8)
    said = MaskPrediction.of(mask, CLASSES)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(said.attached()["png"])))), mask)
    first, second = said.attached(masks="rle")["rle"]
    assert (first["label"], first["size"]) == (CLASSES[0], [2, 3])
    assert np.array_equal(from_runs(runs_from_text(second["counts"]), (2, 3)), mask == 1)


def test_a_mask_over_an_image_is_mixed_some_rows_at_a_time_with_the_same_result(monkeypatch):
    generator = np.random.default_rng(0)
    image, mask = generator.integers(0, 256, (9, 7, 1), np.uint8), generator.integers(0, 3, (9, 7)).astype(np.uint8)
    mask[0] = VOID
    whole = mask_colours.overlaid(image, mask)
    assert (whole[0] == image[0]).all()
    assert (
        whole[1, 1].tolist() == np.round((image[1, 1] + mask_colours.palette()[mask[1, 1]].astype(float)) / 2).tolist()
    )
    monkeypatch.setattr(mask_colours, "MIXED", 20)
    np.testing.assert_array_equal(mask_colours.overlaid(image, mask), whole)
