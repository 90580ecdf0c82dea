"""Classes: labels, outputs, probabilities, figures and calibration, by hand."""

import math

import numpy as np
import pytest
import torch

from fovea.errors import DataError, UsageError
from fovea.metrics import wilson_interval
from fovea.tasks.classes import Classes, chosen_classes, probabilities
from fovea.tasks.number import Number

PETS = Classes(names=("cat", "dog", "owl"), ids=("n1", "n2", "n3"))
YES = Classes(names=("no", "yes"), loss="binary")


def test_labels_become_indices_into_the_sorted_classes():
    labels, classes = Classes.encode({"train": ["dog", "cat", "dog"], "val": ["dog"]})
    assert classes == ("cat", "dog")
    assert labels["train"].tolist() == [1, 0, 1] and labels["train"].dtype == np.int64
    assert labels["val"].tolist() == [1]


def test_the_classes_are_those_of_all_parts_and_those_named():
    labels, classes = Classes.encode({"train": ["c"], "test": ["b", "a10"]}, classes=["a9"])
    assert classes == ("a9", "a10", "b", "c")
    assert labels["test"].tolist() == [2, 1]


def test_a_single_class_is_a_class():
    labels, classes = Classes.encode({"train": ["a", "a"]})
    assert classes == ("a",) and labels["train"].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("classes", "channels", "expected"),
    [
        ("0123456789", 1, True),
        ("ABCDEFGHIJ", 1, True),
        ("01234", 1, False),  # grades
        ("0123456789", 3, False),  # indices
        ([str(number) for number in range(12)], 1, False),
        ((), 1, False),
    ],
)
def test_ten_single_digits_or_letters_are_characters(classes, channels, expected):
    assert Classes.directional(tuple(classes), channels=channels) is expected


def test_class_weights_are_inverse_to_frequency_with_mean_one_over_the_images():
    labels = torch.tensor([0, 0, 0, 1])
    weights = Classes(names=("a", "b")).class_weights(labels)
    torch.testing.assert_close(weights, torch.tensor([4 / 6, 2.0]))
    assert weights[labels].mean().item() == pytest.approx(1)


def test_class_weights_of_a_class_without_images_are_finite():
    assert torch.isfinite(Classes(names=("a", "b", "c")).class_weights(torch.tensor([0, 0, 2]))).all()


def test_the_chosen_class_is_the_largest_logit_or_the_sign_of_a_single_unit():
    assert chosen_classes(torch.tensor([[1.0, 3.0, 2.0], [5.0, 3.0, 2.0]])).tolist() == [1, 0]
    assert chosen_classes(torch.tensor([[-0.1], [0.0], [0.1]])).tolist() == [0, 0, 1]


def test_probabilities_of_several_outputs_are_the_softmax_at_a_temperature():
    row = probabilities(torch.tensor([[0.0, 2 * math.log(3)]]), temperature=2.0)
    torch.testing.assert_close(row, torch.tensor([[0.25, 0.75]]))


def test_probabilities_of_a_single_unit_are_of_two_classes():
    row = probabilities(torch.tensor([[math.log(4)], [0.0]]))
    torch.testing.assert_close(row, torch.tensor([[0.2, 0.8], [0.5, 0.5]]))


@pytest.mark.parametrize(
    ("loss", "classes", "outputs"), [("cross-entropy", 5, 5), ("binary", 2, 1), ("binary", 3, None)]
)
def test_how_many_outputs_a_loss_needs(loss, classes, outputs):
    assert Classes.outputs_for(loss, classes) == outputs
    assert (PETS.outputs, YES.outputs) == (3, 1)


def test_a_loss_that_does_not_fit_is_refused():
    with pytest.raises(UsageError, match="`loss` \\(=binary\\) needs two classes; `pets` has 3"):
        Classes.fitted(np.zeros(3), classes=PETS.names, loss="binary", data="pets")
    with pytest.raises(UsageError, match="`loss` \\(=mse\\) does not fit the task: mse is for --task number, "):
        Classes.fitted(np.zeros(3), classes=PETS.names, loss="mse", data="pets")


def test_labels_that_cannot_be_learned_are_refused():
    with pytest.raises(DataError, match="`pets` has only one class, `cat`"):
        Classes.check_trainable(np.zeros(3, int), classes=("cat",), data="pets")
    with pytest.raises(DataError, match="no image of 1 class\\(es\\): `owl`"):
        Classes.check_trainable(np.array([0, 1]), classes=PETS.names, data="pets")
    with pytest.raises(DataError, match="The labels are fractions"):
        Classes.check_raw(np.array([0.5]), "y")


def test_the_card_gives_the_task_back():
    fitted = PETS.at_temperature(1.5)
    card = {"loss": fitted.loss, **fitted.card_fields()}
    assert Classes.from_card(card) == fitted and Classes.fault(card) == ""
    assert Classes.fault({**card, "classes": ["cat", "cat", "owl"]}) == "`classes` must be distinct names."
    assert "as many distinct names" in Classes.fault({**card, "class_ids": ["n1"]})


def test_a_data_set_may_lack_classes_and_use_ids():
    assert PETS.matched(np.array([0, 1, 1]), ("owl", "n1")).tolist() == [2, 0, 0]
    PETS.check_known(("dog", "n3"), data="zoo")
    with pytest.raises(DataError, match="`zoo` has classes that the model does not know: `eel`. It knows `cat`"):
        PETS.check_known(("cat", "eel"), data="zoo")


def test_columns_of_another_network_are_found_by_name():
    assert PETS.columns_of(Classes(names=("owl", "cat", "dog"))) == [1, 2, 0]
    assert PETS.columns_of(YES) is None and PETS.columns_of(Number()) is None


def test_a_prediction_has_the_most_probable_class_first():
    found = PETS.prediction(np.array([0.2, 0.5, 0.3]))
    assert [score.label for score in found.scores] == ["dog", "owl", "cat"]
    assert [score.label for score in PETS.top(found, 1).scores] == ["dog"]
    assert found.to_dict()["predictions"][0] == {"label": "dog", "probability": 0.5}


def test_figures_by_hand():
    logits = torch.tensor([[2.0, 0, 0], [0, 2, 0], [0, 2, 0], [0, 0, 2]])
    found = PETS.figures(logits, np.array([0, 1, 2, 2]))
    assert (found.accuracy, found.interval) == (0.75, wilson_interval(3, 4))
    assert found.confusion == [[1, 0, 0], [0, 1, 0], [0, 1, 1]] and found.top5 is None
    p, q = math.exp(2) / (math.exp(2) + 2), 1 / (math.exp(2) + 2)
    assert found.nll == pytest.approx(-(3 * math.log(p) + math.log(q)) / 4)
    assert found.result("test", images=4, flip=True) == {
        **{"split": "test", "accuracy": 0.75, "interval": list(found.interval), "images": 4, "flip": True}
    }
    assert "75.00 % accuracy on test" in Classes.result_text(found.result("test", images=4, flip=True))


def test_the_temperature_is_fitted_where_something_is_wrong_and_keeps_the_classes():
    logits = torch.tensor([[3.0, 0], [3, 0], [3, 0], [0, 3]])
    task = Classes(names=("a", "b"))
    fitted = task.calibrated(logits, np.array([0, 0, 1, 1]))
    # three of four are right, so the best confidence is 3/4: T = 3 / log 3
    assert fitted.temperature == pytest.approx(3 / math.log(3), rel=1e-3)
    assert fitted.calibration["images"] == 4 and fitted.calibration["ece_after"] < fitted.calibration["ece_before"]
    assert task.calibrated(logits, np.array([0, 0, 0, 1])) == task


def test_mistakes_are_the_surest_wrong_answers():
    logits = torch.tensor([[1.0, 0, 0], [5, 0, 0], [0, 0, 1]])
    first, second = PETS.mistakes(logits, np.array([1, 1, 1]), most=2)
    assert (first.image, first.truth, first.answer) == (1, "dog", "cat") and second.image in (0, 2)
    assert PETS.right(logits, np.array([0, 1, 2])).tolist() == [True, False, True]
