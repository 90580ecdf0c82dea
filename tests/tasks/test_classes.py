"""Classes: each answer by hand values, and each refusal with its message."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from fovea import tasks
from fovea.errors import DataError, UsageError
from fovea.metrics import unpaired_interval, wilson_interval
from fovea.tasks.classes import Classes, chosen_classes, probabilities
from fovea.tasks.number import Number
from fovea.tasks.prediction import LabelScore
from fovea.tasks.score import ACCURACY, Score

PETS = Classes(names=("cat", "dog", "owl"))
PAIR = Classes(names=("no", "yes"), loss="binary")
LOGITS = torch.tensor([[4.0, 0, 0], [3, 0, 0], [0, 2, 0], [0, 1, 0], [0, 0, 5], [1, 0, 0]])
LABELS = np.array([0, 1, 1, 1, 2, 2])  # the second is a dog taken for a cat, the last an owl taken for a cat
CARD = {"loss": "cross-entropy", "classes": ["cat", "dog", "owl"], "temperature": 1.0}


# labels


def test_labels_become_indices_into_the_sorted_classes():
    labels, classes = tasks.kind("classes").encode({"train": ["dog", "cat", "dog"], "val": ["dog"]})
    assert classes == ("cat", "dog")
    assert labels["train"].tolist() == [1, 0, 1] and labels["train"].dtype == np.int64
    assert labels["val"].tolist() == [1]


def test_the_classes_are_those_of_all_parts_and_those_named():
    labels, classes = tasks.kind("classes").encode({"train": ["c"], "test": ["b", "a10"]}, classes=["a9"])
    assert classes == ("a9", "a10", "b", "c")
    assert labels["test"].tolist() == [2, 1]


def test_a_single_class_is_a_class():
    labels, classes = tasks.kind("classes").encode({"train": ["a", "a"]})
    assert classes == ("a",) and labels["train"].tolist() == [0, 0]


def test_fractions_are_no_class_indices():
    Classes.check_raw(np.array([0, 1]), "y_train")
    with pytest.raises(DataError, match=r"^The labels are fractions; convert them with `\.astype\('int64'\)`, or give"):
        Classes.check_raw(np.array([0.0, 1.0]), "y_train")


def test_every_part_has_its_share_of_each_class():
    assert Classes.strata(LABELS) is LABELS


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


def test_one_class_alone_or_a_class_without_images_cannot_be_learned():
    Classes.check_trainable(LABELS, classes=PETS.names, data="pets")
    with pytest.raises(DataError, match=r"^`pets` has only one class, `cat`, where two at least are needed\. If the"):
        Classes.check_trainable(np.zeros(3, np.int64), classes=("cat",), data="pets")
    with pytest.raises(DataError, match=r"^The train part of `pets` has no image of 2 class\(es\): `cat`, `owl`\. Add"):
        Classes.check_trainable(np.array([1, 1]), classes=PETS.names, data="pets")


def test_a_label_reads_as_its_name_and_is_counted_under_it():
    assert Classes.text_of(np.int64(1), PETS.names) == "dog"
    assert Classes.counts(LABELS, PETS.names) == {"cat": 1, "dog": 3, "owl": 2}
    assert Classes.counts(np.array([0]), PETS.names) == {"cat": 1, "dog": 0, "owl": 0}


def test_facts_name_the_rarest_and_the_most_frequent_class():
    assert PETS.facts(LABELS) == [("classes", "3"), ("training images per class", "1 (cat) to 3 (dog)")]


# what is fixed by a data set or a card


def test_a_data_set_fixes_names_and_loss():
    assert Classes.fitted(LABELS, classes=PETS.names, loss="cross-entropy", data="pets") == PETS
    assert Classes.fitted(LABELS, classes=PAIR.names, loss="binary", data="pets") == PAIR


def test_a_loss_that_does_not_fit_is_refused():
    with pytest.raises(UsageError, match=r"^`loss` \(=binary\) needs two classes; `pets` has 3\.$"):
        Classes.fitted(LABELS, classes=PETS.names, loss="binary", data="pets")
    with pytest.raises(
        UsageError,
        match=r"^`loss` \(=mse\) does not fit the task: mse is for --task number, the others for classes\.$",
    ):
        Classes.fitted(LABELS, classes=PETS.names, loss="mse", data="pets")


@pytest.mark.parametrize(
    ("loss", "classes", "outputs"),
    [("cross-entropy", 5, 5), ("binary", 2, 1), ("binary", 3, None), ("mse", 5, None), ("none", 2, None)],
)
def test_how_many_outputs_a_loss_needs(loss, classes, outputs):
    assert Classes.outputs_for(loss, classes) == outputs


def test_a_task_knows_its_outputs_and_its_classes():
    assert (PETS.outputs, PAIR.outputs) == (3, 1)
    assert PETS.classes == PETS.names == ("cat", "dog", "owl")
    assert PETS.index == {"cat": 0, "dog": 1, "owl": 2}


def test_ids_stand_for_their_classes_too_and_a_name_goes_before_an_id():
    assert replace(PETS, ids=("n1", "n2", "n3")).index == {"n1": 0, "n2": 1, "n3": 2, **PETS.index}
    assert replace(PETS, ids=("dog", "n2", "n3")).index["dog"] == 1


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, ""),
        ({"class_ids": ["a", "b", "c"]}, ""),
        ({"classes": ["a", "a"]}, "`classes` must be distinct names."),
        ({"classes": ["a", 1]}, "`classes` must be distinct names."),
        ({"class_ids": ["a", "b"]}, "`class_ids` must be as many distinct names as there are `classes`."),
        ({"class_ids": ["a", "b", "a"]}, "`class_ids` must be as many distinct names as there are `classes`."),
        ({"class_ids": "abc"}, "`class_ids` must be as many distinct names as there are `classes`."),
    ],
)
def test_names_in_a_card_are_distinct(changes, fault):
    assert Classes.fault({**CARD, **changes}) == fault


@pytest.mark.parametrize(
    "task",
    [
        PETS,
        PAIR,
        replace(PETS, ids=("n1", "n2", "n3"), temperature=1.5, calibration={"split": "val", "images": 40}),
    ],
)
def test_a_task_comes_back_from_its_card(task):
    assert Classes.from_card({"loss": task.loss, **task.card_fields()}) == task


def test_a_card_holds_what_there_is():
    assert PETS.card_fields() == {"classes": ["cat", "dog", "owl"], "temperature": 1.0}
    whole = replace(PETS, ids=("n1", "n2", "n3"), temperature=2.0, calibration={"images": 40})
    assert list(whole.card_fields()) == ["classes", "class_ids", "temperature", "calibration"]


# learning


def test_labels_are_learned_as_they_are():
    assert PETS.to_network(LABELS) is LABELS


def test_the_losses_by_hand():
    logits = torch.tensor([[math.log(3), 0.0], [math.log(3), 0.0]])
    labels = torch.tensor([0, 1])
    two = Classes(names=("a", "b"))
    loss = two.criterion()(logits, labels)
    assert loss.item() == pytest.approx(-(math.log(0.75) + math.log(0.25)) / 2)
    weighed = two.criterion(weights=torch.tensor([1.0, 3.0]))(logits, labels)
    assert weighed.item() == pytest.approx(-(math.log(0.75) + 3 * math.log(0.25)) / 4)
    binary = PAIR.criterion()(torch.tensor([[math.log(3)], [math.log(3)]]), labels)
    assert binary.item() == pytest.approx(-(math.log(0.25) + math.log(0.75)) / 2)
    smooth = PAIR.criterion(label_smoothing=0.2)(torch.tensor([[math.log(3)]]), torch.tensor([1]))
    assert smooth.item() == pytest.approx(-(0.9 * math.log(0.75) + 0.1 * math.log(0.25)))


def test_class_weights_are_inverse_to_frequency_with_mean_one_over_the_images():
    labels = torch.tensor([0, 0, 0, 1])
    weights = Classes(names=("a", "b")).class_weights(labels)
    torch.testing.assert_close(weights, torch.tensor([4 / 6, 2.0]))
    assert weights[labels].mean().item() == pytest.approx(1)


def test_class_weights_of_a_class_without_images_are_finite():
    assert torch.isfinite(PETS.class_weights(torch.tensor([0, 0, 2]))).all()


def test_score_of_classes_has_accuracy_and_loss():
    task, outputs = Classes(names=("a", "b")), torch.tensor([[math.log(3), 0.0], [math.log(3), 0.0]])
    result = task.score(outputs, torch.tensor([0, 1]), task.criterion())
    assert result.value == 0.5
    assert result.loss == pytest.approx(-(math.log(0.75) + math.log(0.25)) / 2)


def test_a_training_follows_the_accuracy():
    labels = torch.from_numpy(LABELS)
    assert PETS.per_image(LOGITS, labels).tolist() == [True, False, True, True, True, False]
    assert PETS.follows and PETS.followed == ACCURACY
    score = PETS.score(LOGITS, labels, lambda outputs, labels: torch.tensor(0.5))
    assert score == Score(0.5, pytest.approx(4 / 6), ACCURACY)


def test_a_last_layer_is_fitted_to_one_hot_rows():
    assert PETS.probe_targets(torch.tensor([2, 0])).tolist() == [[0, 0, 1], [1, 0, 0]]


# what outputs mean


def test_the_chosen_class_is_the_largest_logit_or_the_sign_of_a_single_unit():
    assert chosen_classes(torch.tensor([[1.0, 3.0, 2.0], [5.0, 3.0, 2.0]])).tolist() == [1, 0]
    assert chosen_classes(torch.tensor([[-0.1], [0.0], [0.1]])).tolist() == [0, 0, 1]


def test_probabilities_of_several_outputs_are_the_softmax_at_a_temperature():
    row = probabilities(torch.tensor([[0.0, 2 * math.log(3)]]), temperature=2.0)
    torch.testing.assert_close(row, torch.tensor([[0.25, 0.75]]))


def test_probabilities_of_a_single_unit_are_of_two_classes():
    row = probabilities(torch.tensor([[math.log(4)], [0.0]]))
    torch.testing.assert_close(row, torch.tensor([[0.2, 0.8], [0.5, 0.5]]))


def test_outputs_are_decoded_at_the_temperature_in_float64():
    logits = torch.tensor([[0.0, 2 * math.log(3)]])
    rows = Classes(names=("a", "b"), temperature=2.0).decode(logits)
    assert rows.dtype == np.float64 and rows.tolist() == [pytest.approx([0.25, 0.75])]
    assert PAIR.decode(torch.tensor([[math.log(4)]])).tolist() == [pytest.approx([0.2, 0.8])]


def test_another_temperature_forgets_where_the_first_was_fitted():
    fitted = replace(PETS, temperature=2.0, calibration={"images": 40})
    assert fitted.at_temperature(1.0) == PETS


def test_a_prediction_names_all_classes_the_most_probable_first():
    prediction = PETS.prediction(np.array([0.2, 0.2, 0.6]))
    assert prediction.scores == (LabelScore("owl", 0.6), LabelScore("cat", 0.2), LabelScore("dog", 0.2))
    assert PETS.top(prediction, 1).scores == (LabelScore("owl", 0.6),)
    assert (prediction.label, prediction.probability, prediction.value) == ("owl", 0.6, None)
    assert prediction.text == "owl 60.0%  cat 20.0%  dog 20.0%"
    assert prediction.ranked == prediction.scores
    assert PETS.top(prediction, 1).to_dict() == {"predictions": [{"label": "owl", "probability": 0.6}]}


# another network, another data set


def test_columns_of_a_network_that_orders_the_classes_differently():
    assert PETS.columns_of(Classes(names=("owl", "cat", "dog"))) == [1, 2, 0]
    assert PETS.columns_of(Classes(names=("owl", "cat"))) is None
    assert PETS.columns_of(Number()) is None


def test_data_has_known_classes_by_name_or_by_id():
    known = replace(PETS, ids=("n1", "n2", "n3"))
    known.check_known(["owl", "n1"], data="pets")
    assert known.matched(np.array([0, 1, 1]), ["owl", "n1"]).tolist() == [2, 0, 0]
    with pytest.raises(
        DataError,
        match="^`pets` has classes that the model does not know: `eel`. It knows `cat`, `dog`, `owl`; rename or leave",
    ):
        PETS.check_known(["cat", "eel"], data="pets")


# what outputs are worth


def test_figures_by_hand():
    found = PETS.figures(LOGITS, LABELS)
    rows = PETS.decode(LOGITS)
    assert found.accuracy == pytest.approx(4 / 6)
    assert found.interval == wilson_interval(4, 6)
    assert found.nll == pytest.approx(-np.log(rows[np.arange(6), LABELS]).mean())
    assert (found.top5, found.temperature, found.ece_unscaled) == (None, None, None)
    assert found.per_class["cat"] == {"precision": pytest.approx(1 / 3), "recall": 1.0, "f1": 0.5, "support": 1}
    assert found.confusion == [[1, 0, 0], [1, 2, 0], [1, 0, 1]]
    assert list(found.to_dict()) == ["accuracy", "interval", "nll", "ece", "per_class", "confusion"]


def test_figures_at_a_temperature_tell_of_both():
    cool, warm = PETS.figures(LOGITS, LABELS), replace(PETS, temperature=3.0).figures(LOGITS, LABELS)
    assert (warm.temperature, warm.ece_unscaled) == (3.0, cool.ece)
    assert warm.accuracy == cool.accuracy and warm.nll != cool.nll


def test_top_5_counts_from_six_classes():
    task = Classes(names=tuple("abcdef"))
    outputs = torch.arange(6.0).expand(2, 6)
    assert task.figures(outputs, np.array([0, 1])).top5 == 0.5


def test_worst_classes_and_confusions():
    found = PETS.figures(LOGITS, LABELS)
    assert [row.name for row in found.rows] == ["owl", "dog", "cat"]  # recall 1/2, 2/3, 1
    assert found.confusions(5) == [(1, "dog", "cat"), (1, "owl", "cat")]
    assert found.confusions(1) == [(1, "dog", "cat")]


def test_a_result_for_a_card_and_for_a_person():
    result = PETS.figures(LOGITS, LABELS).result("test", images=6, flip=True)
    low, high = wilson_interval(4, 6)
    assert result == {"split": "test", "accuracy": 4 / 6, "interval": [low, high], "images": 6, "flip": True}
    assert Classes.result_text({**result, "images": 6000}) == (
        f"66.67 % accuracy on test, 95 % interval {100 * low:.2f} to {100 * high:.2f} % "
        "(6,000 images, mirrored copies averaged)"
    )
    assert Classes.result_text({**result, "flip": False}).endswith("(6 images)")


def test_two_results_differ_within_the_unpaired_interval():
    ours, theirs = {"accuracy": 48 / 80, "images": 80}, {"accuracy": 56 / 70, "images": 70}
    assert Classes.difference_interval(ours, theirs) == unpaired_interval((48, 80), (56, 70))


def test_lines_for_a_person():
    lines = PETS.figures(LOGITS, LABELS).lines("test of pets")
    assert lines[0] == "accuracy 66.67%, 95 % interval 30.00% to 90.32% (test of pets)"
    assert lines[1].startswith("negative log-likelihood 0.") and "calibration error" in lines[1]
    assert lines[3:7] == [
        "lowest recall  recall  precision      F1  images",
        "owl             50.0%     100.0%   66.7%       2",
        "dog             66.7%     100.0%   80.0%       3",
        "cat            100.0%      33.3%   50.0%       1",
    ]
    assert lines[7:] == ["1 x dog taken for cat", "1 x owl taken for cat"]


def test_tiles_of_a_page():
    found = PETS.figures(LOGITS, LABELS)
    assert [tile[0] for tile in found.tiles] == ["accuracy", "negative log-likelihood", "calibration error"]
    assert found.tiles[0] == ("accuracy", "66.67 %", found.interval_text)
    assert found.interval_text == "95 % interval 30.00 to 90.32 %"
    assert replace(found, top5=0.5).tiles[1][:2] == ("top-5 accuracy", "50.00 %")


def test_the_surest_mistake_comes_first_with_both_probabilities():
    first, second = PETS.mistakes(LOGITS, LABELS, most=5)
    assert (first.image, first.truth, first.answer) == (1, "dog", "cat")
    assert first.answer_probability == pytest.approx(np.exp(3) / (np.exp(3) + 2))
    assert first.truth_probability == pytest.approx(1 / (np.exp(3) + 2))
    assert (second.image, second.truth, second.answer) == (5, "owl", "cat")
    assert PETS.mistakes(LOGITS, LABELS, most=1) == [first]
    assert PETS.right(LOGITS, LABELS).tolist() == [True, False, True, True, True, False]


# calibration


def test_a_temperature_is_fitted_and_says_where():
    # three of four are right at a margin of 2: the likelihood is largest where sigmoid(2 / T) = 3/4, T = 2 / log 3
    two = Classes(names=("a", "b"), temperature=7.0)
    found = two.calibrated(torch.tensor([[2.0, 0.0]]).expand(4, 2), np.array([0, 0, 0, 1]))
    assert found.temperature == pytest.approx(2 / math.log(3), rel=1e-4)
    sure = 1 / (1 + math.exp(-2))
    assert found.calibration == {
        "split": "val",
        "images": 4,
        "temperature": found.temperature,
        "ece_before": pytest.approx(sure - 0.75),
        "ece_after": pytest.approx(0, abs=1e-4),
    }


def test_no_mistake_no_temperature():
    two = Classes(names=("a", "b"), temperature=7.0, calibration={"images": 1})
    assert two.calibrated(torch.tensor([[2.0, 0.0]]), np.array([0])) == Classes(names=("a", "b"))
