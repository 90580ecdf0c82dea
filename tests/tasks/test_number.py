"""Numbers: labels, outputs and errors, by hand."""

import numpy as np
import pytest
import torch

from fovea.errors import DataError, UsageError
from fovea.tasks.classes import Classes
from fovea.tasks.number import Number


def test_numbers_become_float32():
    labels, classes = Number.encode({"train": ["1.5", "-2", "1e3"]})
    assert labels["train"].tolist() == [1.5, -2, 1000] and labels["train"].dtype == np.float32
    assert classes == ()


@pytest.mark.parametrize("text", ["abc", "", "nan", "inf"])
def test_a_label_that_is_no_number_is_refused(text):
    with pytest.raises(DataError, match=f"Label `{text}` is not a number, as `--task number` requires"):
        Number.encode({"train": ["1", text]})


def test_the_network_learns_standardised_numbers():
    task = Number.fitted(np.array([1.0, 3.0], np.float32), classes=(), loss="mse", data="ages")
    assert (task.mean, task.std) == (2.0, 1.0)
    scaled = Number(mean=10, std=4).to_network(np.array([6.0, 14.0]))
    assert scaled.tolist() == [-1, 1] and scaled.dtype == np.float32
    assert Number(mean=10, std=4).decode(torch.tensor([[-1.0], [1.0]])).tolist() == [[6.0], [14.0]]
    assert Number.fitted(np.array([5.0, 5.0]), classes=(), loss="mse", data="ages").std == 1.0


def test_errors_by_hand():
    found = Number().figures(torch.tensor([[1.0], [2.0], [6.0]]), np.array([1.0, 4.0, 5.0]))
    assert (found.mae, found.rmse) == (pytest.approx(1.0), pytest.approx((5 / 3) ** 0.5))
    assert found.r2 == pytest.approx(1 - 5 / (26 / 3))
    assert found.result("val", images=3, flip=True).keys() == {"split", "images", "mae", "rmse", "r2"}
    assert Number.result_text(found.result("val", images=3, flip=False)) == "mean absolute error 1 on val (3 images)"
    [worst] = Number().mistakes(torch.tensor([[1.0], [2.0]]), np.array([1.5, 4.0]), most=1)
    assert (worst.image, worst.truth, worst.answer, worst.answer_probability) == (1, "4", "2", None)


def test_a_prediction_is_the_number():
    found = Number().prediction(np.array([2.5]))
    assert (found.value, found.label, found.text, found.to_dict()) == (2.5, "2.5", "2.5", {"value": 2.5})


def test_the_card_gives_the_task_back():
    task = Number(mean=2.0, std=0.5)
    card = {"loss": "mse", **task.card_fields()}
    assert Number.from_card(card) == task and Number.fault(card) == ""
    assert (
        Number.fault({**card, "target": {"mean": 1.0}})
        == "`target` must hold the `mean` and `std` of the numbers to predict."
    )
    assert Number.outputs_for("mse", 0) == 1 and Number.outputs_for("mse", 2) is None


def test_what_only_classes_have_is_refused():
    with pytest.raises(UsageError, match="Class weights need classes; this network predicts a number"):
        Number().class_weights(torch.zeros(2))
    with pytest.raises(UsageError, match="This model predicts a number, which is not simply right or wrong"):
        Number().right(torch.zeros(2, 1), np.zeros(2))
    with pytest.raises(UsageError, match="`loss` \\(=cross-entropy\\) does not fit the task"):
        Number.fitted(np.zeros(2), classes=(), loss="cross-entropy", data="ages")
    assert Number().columns_of(Classes(names=("a", "b"))) is None and Number().columns_of(Number(mean=3)) == [0]
