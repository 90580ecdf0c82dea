"""Classes: labels, losses' weights, probabilities, figures and mistakes, by hand."""

import math

import numpy as np
import pytest
import torch

from fovea.errors import DataError, UsageError
from fovea.metrics import wilson_interval
from fovea.tasks.class_figures import ClassRow, Confusion
from fovea.tasks.classes import Classes, chosen_classes, probabilities
from fovea.tasks.figures import Measured, Mistake
from fovea.tasks.number import Number
from fovea.tasks.prediction import LabelScore, Prediction
from fovea.tasks.score import ACCURACY, Score
from fovea.training.losses import make_loss
from fovea.training.recipe import Recipe

ABC = Classes(names=("a", "b", "c"))
BINARY = Classes(names=("cat", "dog"), loss="binary")


def logits(*rows):
    """Return outputs whose softmax are these rows."""
    return torch.tensor(rows, dtype=torch.float64).log()


# labels


def test_labels_become_indices_into_the_sorted_classes():
    labels, classes = Classes.encode({"train": ["dog", "cat", "dog"], "val": ["dog"]})
    assert classes == ("cat", "dog")
    assert labels["train"].tolist() == [1, 0, 1] and labels["train"].dtype == np.int64
    assert labels["val"].tolist() == [1]


def test_the_margin_loss_by_hand():
    """Lengths 0.8, 0.3, 0.05: what is there misses 0.9 by 0.1, what is not exceeds 0.1 by 0.2 and by nothing."""
    margin = Classes(names=("a", "b", "c"), loss="margin")
    lengths = torch.tensor([[0.8, 0.3, 0.05], [0.95, 0.1, 0.1]], dtype=torch.float64)
    loss, labels = margin.criterion(), torch.tensor([0, 0])
    torch.testing.assert_close(loss(lengths.logit(), labels).item(), (0.1**2 + 0.5 * 0.2**2 + 0) / 2)
    assert margin.outputs == 3 and Classes.outputs_for("margin", 3) == 3
    weighted = margin.criterion(weights=torch.tensor([1.0, 3.0, 1.0], dtype=torch.float64))
    expected = (1 * (0.1**2 + 0.5 * 0.2**2) + 3 * (0.8**2 + 0.5 * 0.85**2)) / 4
    torch.testing.assert_close(weighted(lengths.logit(), torch.tensor([0, 1])).item(), expected)


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


def test_fractions_are_no_classes():
    Classes.check_raw(np.array([0, 1]), "y")
    with pytest.raises(DataError) as caught:
        Classes.check_raw(np.array([0.5, 1]), "y")
    assert str(caught.value) == (
        "The labels are fractions; convert them with `.astype('int64')`, or give `--task number`."
    )


def test_every_part_has_its_share_of_each_class():
    labels = np.array([0, 2, 1])
    assert Classes.strata(labels) is labels


def test_labels_are_counted_and_read_by_class():
    assert Classes.counts(np.array([2, 0, 2]), ("a", "b", "c")) == {"a": 1, "b": 0, "c": 2}
    assert Classes.text_of(np.int64(1), ("a", "b")) == "b"


def test_two_classes_with_images_can_be_trained_on():
    Classes.check_trainable(np.array([0, 1]), classes=("a", "b"), data="x")


def test_a_single_class_cannot_be_trained_on():
    with pytest.raises(DataError) as caught:
        Classes.check_trainable(np.array([0]), classes=("a",), data="x")
    assert str(caught.value) == (
        "`x` has only one class, `a`, but at least two are needed. If the classes are folders inside it, give that "
        "folder."
    )


@pytest.mark.parametrize(
    ("count", "names"),
    [(3, "2 class(es): `1`, `2`"), (14, "13 class(es): " + ", ".join(f"`{i}`" for i in range(1, 11)) + " ...")],
)
def test_classes_without_images_are_listed_up_to_ten(count, names):
    with pytest.raises(DataError) as caught:
        Classes.check_trainable(np.array([0, 0]), classes=tuple(map(str, range(count))), data="x")
    assert str(caught.value) == (
        f"The train split of `x` has no image of {names}. Add or repair images, or remove the class from all splits."
    )


def test_a_data_set_fixes_names_and_loss():
    labels = np.array([0, 1])
    assert Classes.fitted(labels, classes=["cat", "dog"], loss="binary", data="x") == BINARY
    with pytest.raises(UsageError) as caught:
        Classes.fitted(labels, classes=["a", "b", "c"], loss="binary", data="x")
    assert str(caught.value) == "`loss` (=binary) needs two classes; `x` has 3."
    with pytest.raises(
        UsageError,
        match=(r"^`loss` \(=mse\) cannot be used with --task classes; use cross-entropy"),
    ):
        Classes.fitted(labels, classes=["cat", "dog"], loss="mse", data="x")


def test_how_many_outputs_a_loss_needs():
    assert Classes(names=tuple("abcde")).outputs == 5 and BINARY.outputs == 1
    cases = {("cross-entropy", 5): 5, ("cross-entropy", 2): 2, ("binary", 2): 1, ("binary", 5): None, ("mse", 2): None}
    assert {case: Classes.outputs_for(*case) for case in cases} == cases


def test_facts_are_the_classes_and_the_fewest_and_most_images_of_one():
    labels = np.array([0] * 1200 + [1])
    assert BINARY.facts(labels) == [("classes", "2"), ("training images per class", "1 (dog) to 1,200 (cat)")]


# the card


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({}, ""),
        ({"class_ids": ["n1", "n2"]}, ""),
        ({"classes": ["a", "a"]}, "`classes` must be distinct names."),
        ({"classes": ["a", 1]}, "`classes` must be distinct names."),
        ({"class_ids": ["n1", "n1"]}, "`class_ids` must be as many distinct names as there are `classes`."),
        ({"class_ids": ["n1"]}, "`class_ids` must be as many distinct names as there are `classes`."),
        ({"class_ids": "ab"}, "`class_ids` must be as many distinct names as there are `classes`."),
    ],
)
def test_names_on_a_card_are_distinct(fields, fault):
    assert Classes.fault({"classes": ["a", "b"], **fields}) == fault


def test_a_task_survives_the_card():
    calibration = {"split": "val", "images": 4}
    task = Classes(names=("a", "b"), ids=("n1", "n2"), loss="binary", temperature=1.5, calibration=calibration)
    fields = task.card_fields()
    assert fields == {
        "classes": ["a", "b"],
        "class_ids": ["n1", "n2"],
        "temperature": 1.5,
        "calibration": calibration,
    }
    assert Classes.from_card({"loss": "binary", **fields}) == task
    assert ABC.card_fields() == {"classes": ["a", "b", "c"], "temperature": 1.0}
    assert Classes.from_card({"loss": "cross-entropy", **ABC.card_fields()}) == ABC


def test_the_classes_of_a_data_set_are_found_by_name_or_id():
    task = Classes(names=("b", "a"), ids=("n2", "n1"))
    task.check_known(("n1", "b", "a"), data="x")
    assert task.matched(np.array([0, 1, 1, 2]), ("n1", "b", "n2")).tolist() == [1, 0, 0, 0]


def test_strange_classes_are_refused():
    with pytest.raises(DataError) as caught:
        BINARY.check_known(("dog", "zebra"), data="x")
    assert str(caught.value) == (
        "`x` has classes that the model does not have: `zebra`. Its classes are `cat`, `dog`; rename or remove "
        "the others."
    )


def test_two_networks_for_the_same_classes_have_them_in_any_order():
    assert ABC.columns_of(Classes(names=("c", "a", "b"))) == [1, 2, 0]
    assert ABC.columns_of(Classes(names=("a", "b", "d"))) is None and ABC.columns_of(BINARY) is None
    assert ABC.columns_of(Number()) is None


# training


def test_class_weights_are_inverse_to_frequency_with_mean_one_over_the_images():
    labels = torch.tensor([0, 0, 0, 1])
    weights = Classes(names=("a", "b")).class_weights(labels)
    torch.testing.assert_close(weights, torch.tensor([4 / 6, 2.0]))
    assert weights[labels].mean().item() == pytest.approx(1)


def test_class_weights_of_a_class_without_images_are_finite():
    assert torch.isfinite(ABC.class_weights(torch.tensor([0, 0, 2]))).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_criterion_of_worked_probabilities(smoothing):
    outputs, labels = logits([0.75, 0.25], [0.25, 0.75]), torch.tensor([0, 0])
    right, wrong = -math.log(0.75), -math.log(0.25)
    kept, moved = 1 - smoothing / 2, smoothing / 2
    expected = (kept * right + moved * wrong + kept * wrong + moved * right) / 2
    two = Classes(names=("a", "b")).criterion(label_smoothing=smoothing)
    assert two(outputs, labels).item() == pytest.approx(expected)
    unit = outputs[:, 1:] - outputs[:, :1]
    assert BINARY.criterion(label_smoothing=smoothing)(unit, labels).item() == pytest.approx(expected)


@pytest.mark.parametrize("task", [Classes(names=("a", "b")), BINARY])
def test_the_criterion_counts_a_class_by_its_weight(task):
    outputs, labels = logits([0.75, 0.25], [0.75, 0.25]), torch.tensor([0, 1])
    if task is BINARY:
        outputs = outputs[:, 1:] - outputs[:, :1]
    loss = task.criterion(weights=torch.tensor([1.0, 3.0], dtype=torch.float64))(outputs, labels)
    total = -math.log(0.75) - 3 * math.log(0.25)
    # PyTorch divides cross-entropy by the sum of the weights, binary cross-entropy by the number of images
    assert loss.item() == pytest.approx(total / (2 if task is BINARY else 4))


def test_score_of_classes_has_accuracy_and_loss():
    outputs = torch.tensor([[math.log(3), 0.0], [math.log(3), 0.0]])
    target = Classes(names=("a", "b"))
    result = target.score(outputs, torch.tensor([0, 1]), make_loss(target, Recipe()))
    assert result.value == 0.5 and result.metric == ACCURACY
    assert result.loss == pytest.approx(-(math.log(0.75) + math.log(0.25)) / 2)
    assert result == Score(result.loss, 0.5)


def test_each_image_is_right_or_wrong():
    outputs, labels = logits([0.5, 0.3, 0.2], [0.5, 0.3, 0.2]), torch.tensor([0, 1])
    assert ABC.per_image(outputs, labels).tolist() == [True, False]
    assert ABC.right(outputs, labels.numpy()).tolist() == [True, False]
    assert BINARY.right(torch.tensor([[0.1], [-0.1]]), np.array([1, 1])).tolist() == [True, False]


def test_a_last_layer_is_fitted_to_one_hot_rows():
    assert ABC.probe_targets(torch.tensor([2, 0])).tolist() == [[0, 0, 1], [1, 0, 0]]


# answers


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
    ("task", "outputs"),
    [(Classes(names=("a", "b")), [[0.0, 2 * math.log(4)]]), (BINARY, [[2 * math.log(4)]])],
)
def test_outputs_are_decoded_at_the_temperature(task, outputs):
    rows = task.at_temperature(2.0).decode(torch.tensor(outputs))
    assert rows.dtype == np.float64 and rows.tolist() == [pytest.approx([0.2, 0.8])]


def test_another_temperature_has_no_origin():
    task = Classes(names=("a", "b"), temperature=2.0, calibration={"split": "val"})
    assert task.at_temperature(3.0) == Classes(names=("a", "b"), temperature=3.0)


def test_a_prediction_lists_the_classes_by_probability_and_of_equals_the_first():
    prediction = ABC.prediction(np.array([0.25, 0.5, 0.25]))
    assert prediction == Prediction(scores=(LabelScore("b", 0.5), LabelScore("a", 0.25), LabelScore("c", 0.25)))
    assert ABC.top(prediction, 2).scores == prediction.scores[:2]
    assert prediction.to_dict()["predictions"][0] == {"label": "b", "probability": 0.5}


# figures

ROWS = logits([0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5])
TRUTH = np.array([0, 0, 1, 2])


def test_figures_of_three_right_of_four():
    found = ABC.figures(ROWS, TRUTH)
    assert (found.accuracy, found.top5, found.temperature, found.ece_unscaled) == (0.75, None, None, None)
    assert found.interval == wilson_interval(3, 4) == pytest.approx((0.3006, 0.9544), abs=1e-4)
    assert found.nll == pytest.approx(1.25 * math.log(2))
    assert found.ece == pytest.approx(0.25)
    assert found.per_class == {
        "a": {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2},
        "b": {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "support": 1},
        "c": {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1},
    }
    assert found.confusion == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert set(found.to_dict()) == set(Classes.figure_names) - {"top5", "temperature", "ece_unscaled", "uncalibrated"}


def test_figures_at_a_temperature_have_the_calibration_without_it():
    # at temperature 1/2 the probabilities are squared: 1/4 of 3/8 is 2/3
    found, plain = ABC.at_temperature(0.5).figures(ROWS, TRUTH), ABC.figures(ROWS, TRUTH)
    assert (found.temperature, found.accuracy) == (0.5, 0.75)
    assert found.ece == pytest.approx(0.75 - 2 / 3) and found.ece_unscaled == pytest.approx(0.25)
    assert (found.per_class, found.confusion) == (plain.per_class, plain.confusion)


def test_six_classes_have_a_top_5_accuracy():
    six = Classes(names=tuple("abcdef"))
    outputs = torch.arange(6.0).expand(2, 6)
    assert six.figures(outputs, np.array([0, 1])).top5 == 0.5


def test_figures_are_read_line_by_line():
    assert ABC.figures(ROWS, TRUTH).lines("test part of x") == [
        "accuracy 75.00 %, 95 % interval 30.06 to 95.44 % (test part of x)",
        "negative log-likelihood 0.8664, calibration error 25.00 %",
        "",
        "lowest recall   recall  precision       F1  images",
        "a               50.0 %    100.0 %   66.7 %       2",
        "b              100.0 %     50.0 %   66.7 %       1",
        "c              100.0 %    100.0 %  100.0 %       1",
        "1 x a predicted as b",
    ]
    second = ABC.at_temperature(0.5).figures(ROWS, TRUTH).lines("x")[1]
    assert second.endswith("calibration error 8.33 % (25.00 % without temperature scaling)")


def test_the_worst_classes_come_first_and_those_without_images_not_at_all():
    found = Classes(names=("a", "b", "c", "d")).figures(torch.cat([ROWS, ROWS[:, :1] - 9], 1), TRUTH)
    assert found.rows == [
        ClassRow("a", 1.0, 0.5, pytest.approx(2 / 3), 2),
        ClassRow("b", 0.5, 1.0, pytest.approx(2 / 3), 1),
        ClassRow("c", 1.0, 1.0, 1.0, 1),
    ]


def test_the_most_frequent_confusions_come_first():
    found = ABC.figures(logits(*[[0.2, 0.6, 0.2]] * 3), np.array([0, 2, 2]))
    assert found.confusions(5) == [Confusion(2, "c", "b"), Confusion(1, "a", "b")]
    assert found.confusions(1) == [Confusion(2, "c", "b")]


def test_a_result_is_accuracy_and_interval():
    result = ABC.figures(ROWS, TRUTH).result("test", images=4, flip=False)
    assert result == {
        "split": "test",
        "accuracy": 0.75,
        "interval": list(wilson_interval(3, 4)),
        "images": 4,
        "flip": False,
    }
    text = "75.00 % accuracy on test, 95 % interval 30.06 to 95.44 %"
    assert Classes.result_text(result) == f"{text} (4 images)"
    assert Classes.result_text({**result, "flip": True}) == f"{text} (4 images, averaged with mirrored copies)"


def test_tiles_hold_what_applies():
    names = ["accuracy", "negative log-likelihood", "calibration error"]
    found = ABC.figures(ROWS, TRUTH)
    assert [tile[0] for tile in found.tiles] == names
    assert found.tiles[0] == ("accuracy", "75.00 %", "95 % interval 30.06 to 95.44 %")
    six = Classes(names=tuple("abcdef")).figures(torch.arange(6.0).expand(2, 6), np.array([0, 1]))
    assert six.tiles[1][:2] == ("top-5 accuracy", "50.00 %")


def test_two_results_differ_within_the_interval_of_newcombe():
    first, second = {"accuracy": 48 / 80, "images": 80}, {"accuracy": 56 / 70, "images": 70}
    assert Classes.difference_interval(first, second) == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_the_surest_mistakes_come_first():
    outputs = logits([0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.1, 0.8, 0.1])
    found = ABC.mistakes(outputs, np.array([1, 0, 1]), most=5)
    near = pytest.approx
    assert found == [Mistake(1, "a", "b", near(0.8), near(0.1)), Mistake(0, "b", "a", near(0.7), near(0.2))]
    assert ABC.mistakes(outputs, np.array([1, 0, 1]), most=1) == found[:1]


def test_calibration_keeps_the_temperature_and_what_it_changed():
    # three of four are right at a margin of 2. Smoothed by e = 1/6 the mean target of the answer is
    # (3 (1 - e) + e) / 4 = 2/3, so T = 2 / log 2
    task = Classes(names=("a", "b"), temperature=9.0)
    found = task.calibrated(torch.tensor([[2.0, 0.0]]).expand(4, 2), np.array([0, 0, 0, 1]))
    assert found.temperature == pytest.approx(2 / math.log(2), rel=1e-4)
    assert found.calibration == {
        "split": "val",
        "images": 4,
        "temperature": found.temperature,
        "ece_before": pytest.approx(1 / (1 + math.exp(-2)) - 0.75),
        "ece_after": pytest.approx(0.75 - 2 / 3, abs=1e-4),
    }


@pytest.mark.parametrize("count", [1, 10, 1000])
def test_without_a_mistake_no_more_is_claimed_than_the_images_show(count):
    # all right: the answer has a probability of 1 - 1 / (n + 2), however large the margin
    task = Classes(names=("a", "b"), temperature=9.0)
    for margin in (1e-3, 2.0, 1e4):
        found = task.calibrated(torch.tensor([[margin, 0.0]]).expand(count, 2), np.zeros(count, int))
        sure = found.decode(torch.tensor([[margin, 0.0]]))[0, 0]
        assert sure == pytest.approx(1 - 1 / (count + 2), abs=1e-3)


def test_what_is_not_calibrated_says_why():
    task = Classes(names=("a", "b"), temperature=9.0).at_temperature(1.0).uncalibrated_for("no validation part")
    assert task.card_fields()["uncalibrated"] == "no validation part"
    assert Classes.from_card({**task.card_fields(), "loss": "cross-entropy"}) == task
    found = task.figures(torch.tensor([[2.0, 0.0]]), np.array([0]))
    assert found.lines("x")[1].endswith("(not calibrated: no validation part)")
    assert found.tiles[-1][2] == "not calibrated: no validation part"
    assert task.at_temperature(2.0).uncalibrated == ""


def test_images_are_drawn_by_the_weights_of_their_classes():
    labels = torch.tensor([0, 0, 0, 1])
    assert BINARY.image_weights(labels).tolist() == pytest.approx([4 / 6, 4 / 6, 4 / 6, 2.0])


def test_some_images_have_an_accuracy():
    assert ABC.measured(ROWS, TRUTH) == Measured(0.75, wilson_interval(3, 4))


def test_names_are_compared_in_one_unicode_form():
    task, other = (Classes(names=(name, "the")) for name in ("cafe\u0301", "caf\u00e9"))
    task.check_known(("caf\u00e9",), data="x")
    assert task.matched(np.array([1, 0]), ("the", "caf\u00e9")).tolist() == [0, 1]
    assert task.columns_of(other) == [0, 1]


def test_a_name_that_differs_in_case_only_is_said():
    with pytest.raises(DataError, match="rename or remove the others. `Cat` differs from `cat` only in case"):
        Classes(names=("cat", "dog")).check_known(("Cat", "dog"), data="x")


def test_whole_numbers_stored_as_fractions_are_classes():
    Classes.check_raw(np.array([0.0, 1.0]), "y")


@pytest.mark.parametrize("count", [1, 2, 3, 5, 40])
def test_the_best_classes_are_the_first_of_all_also_where_some_are_equal(count):
    target = Classes(names=tuple(f"c{index}" for index in range(40)), loss="cross-entropy")
    generator = np.random.default_rng(0)
    for row in (generator.random(40), generator.integers(0, 3, 40) / 10, np.full(40, 0.025)):
        assert target.best(row, count) == target.top(target.prediction(row), count)
