"""Numbers: each answer by hand values, and each refusal with its message."""

import math

import numpy as np
import pytest
import torch

from fovea import tasks
from fovea.errors import DataError, UsageError
from fovea.tasks.classes import Classes
from fovea.tasks.number import Number, NumberFigures
from fovea.tasks.score import Score

AGE = Number(mean=30.0, std=5.0)
OUTPUTS = torch.tensor([[0.0], [1.0], [-1.0]])  # 30, 35, 25
LABELS = np.array([30.0, 33.0, 26.0], np.float32)


# labels


def test_numbers_become_float32():
    labels, classes = tasks.kind("number").encode({"train": ["1.5", "-2", "1e3"]})
    assert labels["train"].tolist() == [1.5, -2, 1000] and labels["train"].dtype == np.float32
    assert classes == ()


@pytest.mark.parametrize("text", ["abc", "", "nan", "inf"])
def test_a_label_that_is_no_number_is_refused(text):
    with pytest.raises(DataError, match=f"Label `{text}` is not a number, as `--task number` requires"):
        tasks.kind("number").encode({"train": ["1", text]})


def test_labels_have_no_classes_no_strata_and_no_direction():
    Number.check_raw(LABELS, "y_train")
    Number.check_trainable(LABELS, classes=(), data="ages")
    assert Number.strata(LABELS) is None
    assert Number.directional((), channels=1) is False
    assert Number.counts(LABELS, ()) == {} and AGE.facts(LABELS) == []
    assert Number.text_of(np.float32(2.5), ()) == "2.5"


# what is fixed by a data set or a card


def test_a_data_set_fixes_mean_and_deviation():
    found = Number.fitted(np.array([1.0, 3.0], np.float32), classes=(), loss="mse", data="ages")
    assert found == Number(mean=2.0, std=1.0)
    assert Number.fitted(np.array([4.0, 4.0], np.float32), classes=(), loss="mse", data="ages").std == 1.0


def test_a_loss_of_classes_is_refused():
    with pytest.raises(
        UsageError,
        match=r"^`loss` \(=binary\) does not fit the task: mse is for --task number, the others for classes\.$",
    ):
        Number.fitted(LABELS, classes=(), loss="binary", data="ages")


@pytest.mark.parametrize(
    ("loss", "classes", "outputs"), [("mse", 0, 1), ("mse", 2, None), ("cross-entropy", 0, None), ("binary", 0, None)]
)
def test_a_number_is_a_single_output(loss, classes, outputs):
    assert Number.outputs_for(loss, classes) == outputs


def test_a_task_has_one_output_and_no_classes():
    assert (AGE.outputs, AGE.classes) == (1, ())


@pytest.mark.parametrize("target", [None, 5, {}, {"mean": 1.0}, {"mean": 1.0, "std": "5"}, {"mean": None, "std": 5.0}])
def test_a_card_without_mean_or_deviation_is_at_fault(target):
    assert Number.fault({"target": target}) == "`target` must hold the `mean` and `std` of the numbers to predict."
    assert Number.fault({"target": {"mean": 30, "std": 5.0}}) == ""


def test_a_task_comes_back_from_its_card():
    assert AGE.card_fields() == {"classes": [], "temperature": 1.0, "target": {"mean": 30.0, "std": 5.0}}
    assert Number.from_card({"loss": "mse", **AGE.card_fields()}) == AGE


# learning


def test_labels_are_learned_standardised():
    scaled = AGE.to_network(np.array([30.0, 35.0, 20.0], np.float32))
    assert scaled.dtype == np.float32 and scaled.tolist() == [0, 1, -2]


def test_the_loss_is_the_mean_squared_error():
    loss = AGE.criterion()(torch.tensor([[1.0], [3.0]]), torch.tensor([0.0, 5.0]))
    assert loss.item() == pytest.approx((1 + 4) / 2)


def test_a_training_follows_the_loss_alone():
    outputs, labels = torch.tensor([[1.0], [2.0]]), torch.tensor([1.0, 4.0])
    assert AGE.per_image(outputs, labels) is None and not AGE.follows
    assert AGE.score(outputs, labels, AGE.criterion()) == Score(2.0, None)


def test_there_are_no_class_weights():
    with pytest.raises(UsageError, match=r"^Class weights need classes; this network predicts a number\.$"):
        AGE.class_weights(torch.zeros(3))


def test_a_last_layer_is_fitted_to_a_column():
    assert AGE.probe_targets(torch.tensor([1.0, 2.0])).tolist() == [[1], [2]]


# what outputs mean


def test_outputs_are_decoded_into_the_unit_of_the_labels():
    rows = AGE.decode(OUTPUTS)
    assert rows.dtype == np.float64 and rows.tolist() == [[30], [35], [25]]


def test_a_prediction_is_the_number():
    prediction = AGE.prediction(np.array([40.25]))
    assert (prediction.value, prediction.scores, prediction.label, prediction.text) == (40.25, (), "40.25", "40.25")
    assert math.isnan(prediction.probability)
    assert prediction.ranked == [("40.25", "")] and prediction.to_dict() == {"value": 40.25}
    assert AGE.top(prediction, 1) is prediction


def test_another_network_for_numbers_has_the_same_column():
    assert AGE.columns_of(Number(mean=1.0)) == [0]
    assert AGE.columns_of(Classes(names=("a", "b"))) is None


def test_any_data_with_numbers_will_do():
    AGE.check_known([], data="ages")
    assert AGE.matched(LABELS, ()) is LABELS


# what outputs are worth


def test_figures_by_hand():
    found = AGE.figures(OUTPUTS, LABELS)  # errors 0, 2 and 1
    spread = np.square(LABELS.astype(float) - LABELS.astype(float).mean()).sum()
    assert found == NumberFigures(
        mae=pytest.approx(1.0), rmse=pytest.approx(math.sqrt(5 / 3)), r2=pytest.approx(1 - 5 / spread)
    )
    assert found.result("test", images=3, flip=False) == {"split": "test", "images": 3, **found.to_dict()}
    assert found.lines("test of ages") == [
        f"mean absolute error 1, root mean squared error 1.291, R2 {1 - 5 / spread:.4f} (test of ages)"
    ]
    assert [tile[:2] for tile in found.tiles] == [
        ("mean absolute error", "1"),
        ("root mean squared error", "1.291"),
        ("R²", f"{1 - 5 / spread:.4f}"),
    ]
    assert found.interval_text == ""


def test_one_image_has_no_r2():
    found = AGE.figures(OUTPUTS[:1], LABELS[:1])
    assert found.r2 is None and "r2" not in found.to_dict()
    assert found.lines("x") == ["mean absolute error 0, root mean squared error 0 (x)"]
    assert found.result("test", images=1, flip=False)["r2"] is None
    assert len(found.tiles) == 2


def test_a_result_for_a_person():
    text = Number.result_text({"split": "test", "images": 6000, "mae": 1.25})
    assert text == "mean absolute error 1.25 on test (6,000 images)"
    assert Number.difference_interval({"mae": 1.0}, {"mae": 2.0}) is None
    assert not Number.metric.higher_is_better


def test_the_numbers_that_are_furthest_off_come_first():
    first, second = AGE.mistakes(OUTPUTS, LABELS, most=2)
    assert first == (1, "33", "35", None, None)
    assert (second.image, second.truth, second.answer) == (2, "26", "25")


def test_an_answer_is_not_right_or_wrong_and_cannot_be_calibrated():
    with pytest.raises(UsageError, match=r"^This model predicts a number, which is not simply right or wrong\.$"):
        AGE.right(OUTPUTS, LABELS)
    assert AGE.calibrated(OUTPUTS, LABELS) is AGE
