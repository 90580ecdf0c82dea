"""Numbers: labels, scale, errors and mistakes, by hand."""

import math

import numpy as np
import pytest
import torch

from fovea.errors import DataError, UsageError
from fovea.tasks.classes import Classes
from fovea.tasks.figures import Mistake
from fovea.tasks.number import Number, number_of
from fovea.tasks.prediction import Prediction
from fovea.tasks.score import Score
from fovea.training.losses import make_loss
from fovea.training.recipe import Recipe

TENS = Number(mean=10.0, std=2.0)
OUTPUTS, TRUTH = torch.tensor([[0.0], [1.5], [-1.0]]), np.array([10, 12, 11], np.float32)
"""The numbers 10, 13 and 8, and what is true."""


# labels


def test_numbers_become_float32():
    labels, classes = Number.encode({"train": ["1.5", "-2", "1e3"]})
    assert labels["train"].tolist() == [1.5, -2, 1000] and labels["train"].dtype == np.float32
    assert classes == ()


@pytest.mark.parametrize("text", ["abc", "", "nan", "inf"])
def test_a_label_that_is_no_number_is_refused(text):
    with pytest.raises(DataError) as caught:
        Number.encode({"train": ["1", text]})
    assert str(caught.value) == (
        f"Label `{text}` is not a number, which `--task number` requires; correct it, or use `--task classes`."
    )


def test_the_refusal_names_the_kind_that_wants_a_number():
    with pytest.raises(DataError, match="^Label `x` is not a number, which `--task angle` requires"):
        number_of("x", task="angle")
    assert number_of(" 2.5 ", task="angle") == 2.5


def test_numbers_have_no_classes_and_are_neither_grouped_nor_directional():
    labels = np.array([0.5, 2], np.float32)
    Number.check_raw(labels, "y")
    Number.check_trainable(labels, classes=(), data="x")
    TENS.check_known((), data="x")
    assert Number.strata(labels) is None and Number.counts(labels, ()) == {} and TENS.classes == ()
    assert not Number.directional((), channels=1) and TENS.facts(labels) == []
    assert TENS.matched(labels, ()) is labels and Number.text_of(np.float32(2.5), ()) == "2.5"


def test_a_data_set_fixes_mean_and_deviation():
    labels = np.array([1, 3], np.float32)
    assert Number.fitted(labels, classes=(), loss="mse", data="x") == Number(mean=2.0, std=1.0)
    same = Number.fitted(np.array([4, 4], np.float32), classes=(), loss="mse", data="x")
    assert same == Number(mean=4.0, std=1.0)


def test_a_loss_of_classes_is_refused():
    with pytest.raises(UsageError) as caught:
        Number.fitted(np.array([1.0]), classes=(), loss="cross-entropy", data="x")
    assert str(caught.value) == "`loss` (=cross-entropy) cannot be used with --task number; use mse."


def test_a_network_has_one_output():
    assert TENS.outputs == 1
    cases = {("mse", 0): 1, ("mse", 2): None, ("cross-entropy", 0): None}
    assert {case: Number.outputs_for(*case) for case in cases} == cases


# the card


@pytest.mark.parametrize(
    "target",
    [
        *(
            None,
            [],
            {},
            {"mean": 1.0},
            {"mean": 1.0, "std": "2"},
            {"mean": True, "std": 1},
            {"mean": 1, "std": 10**400},
        ),
        *({"mean": 1.0, "std": value} for value in (float("nan"), float("inf"))),
    ],
)
def test_a_card_without_mean_and_deviation_is_at_fault(target):
    assert Number.fault({"target": target}) == "`target` must hold the `mean` and `std` of the numbers to predict."
    assert Number.fault({}) and Number.fault({"target": {"mean": 1, "std": 2.5}}) == ""


def test_whole_numbers_beyond_those_of_tensors_are_computed_with():
    task = Number.from_card({"loss": "mse", "target": {"mean": 2**70, "std": 2**66}})
    assert task.decode(torch.tensor([[16.0]])).tolist() == [[2.0**71]]


def test_a_task_survives_the_card():
    fields = TENS.card_fields()
    assert fields == {"classes": [], "temperature": 1.0, "target": {"mean": 10.0, "std": 2.0}}
    assert Number.from_card({"loss": "mse", **fields}) == TENS


def test_every_number_stands_in_the_same_column():
    assert TENS.columns_of(Number()) == [0] and TENS.columns_of(Classes(names=("a", "b"))) is None


# training


def test_labels_are_learned_standardised():
    found = TENS.to_network(TRUTH)
    assert found.dtype == np.float32 and found.tolist() == [0.0, 1.0, 0.5]


def test_score_of_numbers_has_a_loss_alone():
    target = Number()
    outputs, labels = torch.tensor([[1.0], [2.0]]), torch.tensor([1.0, 4.0])
    assert target.score(outputs, labels, make_loss(target, Recipe(loss="mse"))) == Score(2.0, None)
    assert target.per_image(outputs, labels) is None and not Number.follows


def test_there_are_no_class_weights():
    with pytest.raises(UsageError) as caught:
        TENS.class_weights(torch.tensor([1.0]))
    assert str(caught.value) == "Class weights need classes; this network predicts a number."


def test_a_last_layer_is_fitted_to_the_column_of_numbers():
    assert TENS.probe_targets(torch.tensor([2.0, 0.5])).tolist() == [[2.0], [0.5]]


# answers


def test_outputs_are_decoded_in_the_unit_of_the_labels():
    rows = TENS.decode(OUTPUTS)
    assert rows.dtype == np.float64 and rows.tolist() == [[10], [13], [8]]
    assert TENS.prediction(rows[1]) == Prediction(value=13.0)
    found = TENS.prediction(np.array([2.5]))
    assert (found.value, found.label, found.text, found.to_dict()) == (2.5, "2.5", "2.5", {"value": 2.5})
    assert TENS.top(Prediction(value=13.0), 1) == Prediction(value=13.0)


def test_figures_of_three_numbers():
    # errors 0, 1 and -3; the true ones deviate from their mean by -1, 1 and 0
    found = TENS.figures(OUTPUTS, TRUTH)
    assert found.to_dict() == pytest.approx({"mae": 4 / 3, "rmse": math.sqrt(10 / 3), "r2": -4.0})
    assert Number.figure_names == ("mae", "rmse", "r2") and found.interval_text == ""
    assert found.lines("test part of x") == [
        "mean absolute error 1.333, root mean squared error 1.826, R2 -4.0000 (test part of x)"
    ]
    assert [tile[:2] for tile in found.tiles] == [
        ("mean absolute error", "1.333"),
        ("root mean squared error", "1.826"),
        ("R²", "-4.0000"),
    ]


def test_one_image_has_no_r2():
    found = TENS.figures(OUTPUTS[1:2], TRUTH[1:2])
    assert found.to_dict() == {"mae": 1.0, "rmse": 1.0} and len(found.tiles) == 2
    assert found.lines("x") == ["mean absolute error 1, root mean squared error 1 (x)"]


def test_a_result_is_the_errors():
    result = TENS.figures(OUTPUTS, TRUTH).result("test", images=3, flip=True)
    expected = {"mae": 4 / 3, "rmse": math.sqrt(10 / 3), "r2": -4.0}
    assert result == {"split": "test", "images": 3, **{name: pytest.approx(value) for name, value in expected.items()}}
    assert Number.result_text(result) == "mean absolute error 1.333 on test (3 images)"
    assert Number.difference_interval(result, result) is None


def test_the_numbers_furthest_off_come_first():
    found = TENS.mistakes(OUTPUTS, TRUTH, most=2)
    assert found == [Mistake(2, "11", "8"), Mistake(1, "12", "13")]


def test_a_number_has_no_probabilities():
    with pytest.raises(UsageError) as caught:
        TENS.reliability(OUTPUTS, TRUTH)
    assert str(caught.value) == "This model predicts a number, not probabilities."
    assert TENS.calibrated(OUTPUTS, TRUTH) is TENS and TENS.uncalibrated_for("x") is TENS
    assert TENS.at_temperature(2.0) is TENS


def test_images_of_numbers_are_not_drawn_by_class():
    with pytest.raises(UsageError) as caught:
        TENS.image_weights(torch.tensor(TRUTH))
    assert str(caught.value) == "Balanced sampling needs one class per image; this network predicts a number."


def test_some_images_have_an_error_with_its_interval():
    # errors 0, 1, 3: mean 4/3, standard error sqrt(7/3) / sqrt(3), Student's t with two degrees 4.3027
    value, interval = TENS.measured(OUTPUTS, TRUTH)
    half = 4.3027 * math.sqrt(7 / 9)
    assert value == pytest.approx(4 / 3) and interval == pytest.approx((0, 4 / 3 + half), rel=1e-4)


@pytest.mark.parametrize("text", ["1e39", "-3.5e38", "9" * 60])
def test_what_is_beyond_float32_is_refused(text):
    with pytest.raises(DataError, match="is outside the supported range, up to 3.4e38; use a larger unit"):
        Number.encode({"train": ["1", text]})


def test_numbers_whose_squares_are_beyond_float32_are_standardised():
    labels = np.array([3e38, -3e38, 3e38, -3e38], np.float32)
    task = Number.fitted(labels, classes=(), loss="mse", data="x")
    assert task.mean == 0 and task.std == pytest.approx(3e38)
    assert task.to_network(labels).tolist() == pytest.approx([1, -1, 1, -1])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True])
def test_a_card_with_no_numbers_is_at_fault(value):
    assert Number.fault({"target": {"mean": value, "std": 1.0}})
