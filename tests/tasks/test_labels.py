"""Several labels: texts and cells, the masked loss, thresholds, figures and mistakes, by hand."""

import math

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics
from torch.nn import functional as F

from fovea import metrics
from fovea.errors import DataError, UsageError
from fovea.tasks.figures import Measured, Mistake
from fovea.tasks.label_figures import LabelRow
from fovea.tasks.labels import MAP, SeveralLabels
from fovea.tasks.number import Number
from fovea.tasks.prediction import LabelScore, Prediction
from fovea.tasks.score import Score
from fovea.tasks.wording import Wording

NAN = float("nan")
AB = SeveralLabels(names=("a", "b"), thresholds=(0.5, 0.25))


def logits(*rows):
    """Return outputs whose sigmoids are these rows."""
    p = torch.tensor(rows, dtype=torch.float64)
    return p.log() - (1 - p).log()


# labels


def test_separated_texts_become_a_row_of_zeros_and_ones_by_name():
    labels, names = SeveralLabels.encode({"train": ["b; a", "", "c;;b;"], "val": ["a10", "a9"]})
    assert names == ("a", "a9", "a10", "b", "c")
    assert labels["train"].tolist() == [[1, 0, 0, 1, 0], [0] * 5, [0, 0, 0, 1, 1]]
    assert labels["val"].tolist() == [[0, 0, 1, 0, 0], [0, 1, 0, 0, 0]] and labels["val"].dtype == np.float32


def test_the_separator_is_free_and_lists_need_none():
    wording = Wording(separator="|")
    labels, names = SeveralLabels.encode({"train": ["a;b|c", ("c", "x|y"), ()]}, wording=wording)
    assert names == ("a;b", "c", "x|y") and labels["train"].tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 0]]


def test_names_that_a_network_knows_count_where_no_image_has_them():
    labels, names = SeveralLabels.encode({"test": ["b"]}, classes=["c"], wording=Wording(known=("a", "b")))
    assert names == ("a", "b", "c") and labels["test"].tolist() == [[0, 1, 0]]


def test_cells_are_one_zero_or_unknown():
    wording = Wording(columns=("x", "y"))
    rows = [("1", "0"), (" ", "TRUE"), ("1.0", "NaN"), ("false", "0.0")]
    labels, names = SeveralLabels.encode({"train": rows}, wording=wording)
    assert names == ("x", "y")
    np.testing.assert_array_equal(labels["train"], [[1, 0], [NAN, 1], [1, NAN], [0, 0]])


@pytest.mark.parametrize("cell", ["2", "-1", "yes", "0.5"])
def test_another_cell_is_refused(cell):
    with pytest.raises(DataError) as caught:
        SeveralLabels.encode({"train": [("1", cell)]}, wording=Wording(columns=("x", "y")))
    assert str(caught.value) == (
        f"`{cell}` in the column `y` is not a label; expected 1, 0, or an empty cell if unknown."
    )


def test_an_image_with_nothing_known_says_nothing_but_an_empty_text_says_none():
    columns = Wording(columns=("x", "y"))
    assert SeveralLabels.is_missing(("", "nan"), columns) and not SeveralLabels.is_missing(("", "0"), columns)
    assert not SeveralLabels.is_missing("", Wording()) and not SeveralLabels.is_missing((), Wording())


def test_one_list_too_many_is_refused_where_one_label_is_wanted():
    with pytest.raises(DataError) as caught:
        Number.encode({"train": ["1", ("2", "3")]})
    assert str(caught.value) == (
        "An image has the labels 2, 3, but one is needed; use `--task labels` for several labels."
    )


def test_what_is_unknown_or_the_same_everywhere_is_noted():
    train = np.array([[1, 0, 1], [1, 0, NAN]], np.float32)
    assert SeveralLabels.notes({"train": train, "test": np.array([[0.0, 1, 1]])}, ("a", "b", "c")) == (
        "1 of 9 labels are unknown; loss and scores ignore them",
        "no training image has the label `b`, so it cannot be learned",
        "no training image lacks the label `a`, `c`, so it cannot be learned",
    )
    assert SeveralLabels.notes({"train": np.array([[0.0], [1.0]])}, ("a",)) == ()


def test_labels_are_read_counted_and_split_by_presence():
    label = np.array([1, 0, NAN, 1])
    assert SeveralLabels.text_of(label, tuple("abcd")) == "a, d (unknown: c)"
    assert SeveralLabels.text_of(np.zeros(2), ("a", "b")) == "none"
    labels = np.array([[1, NAN], [1, 0], [0, 1]])
    assert SeveralLabels.counts(labels, ("a", "b")) == {"a": 2, "b": 1}
    assert SeveralLabels.strata(labels).tolist() == [[True, False], [True, False], [False, True]]


def test_without_any_label_there_is_nothing_to_learn():
    SeveralLabels.check_trainable(np.array([[0.0, 1.0]]), classes=("a", "b"), data="x")
    with pytest.raises(DataError) as caught:
        SeveralLabels.check_trainable(np.array([[0, NAN]]), classes=("a", "b"), data="x")
    assert str(caught.value) == "No image of the train split of `x` has a label, so there is nothing to learn."


def test_a_data_set_fixes_names_and_thresholds():
    found = SeveralLabels.fitted(np.zeros((1, 2)), classes=["a", "b"], loss="bce", data="x")
    assert found == SeveralLabels(names=("a", "b"), thresholds=(0.5, 0.5)) and found.outputs == 2
    assert (SeveralLabels.outputs_for("bce", 1), SeveralLabels.outputs_for("bce", 0)) == (1, None)
    with pytest.raises(UsageError, match="cannot be used with --task"):
        SeveralLabels.fitted(np.zeros((1, 2)), classes=["a", "b"], loss="mse", data="x")


def test_facts_are_how_often_labels_occur():
    labels = np.array([[1, 1], [1, 0], [1, NAN], [0, 0]])
    assert AB.facts(labels) == [
        ("labels", "2"),
        ("training images per label", "1 (b) to 3 (a)"),
        ("labels per training image", "1.00"),
    ]


# the card


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({}, ""),
        ({"classes": ["a", "a"]}, "`classes` must be distinct names."),
        *(
            ({"target": target}, "`target` must hold the `thresholds` of the labels, one each, from 0 to 1.")
            for target in (
                None,
                [],
                {},
                {"thresholds": [0.5]},
                {"thresholds": [0.5, 1.5]},
                {"thresholds": [0.5, True]},
                {"thresholds": [0.5, "0.5"]},
            )
        ),
    ],
)
def test_thresholds_on_a_card_are_shares(fields, fault):
    card = {"classes": ["a", "b"], "target": {"thresholds": [0.5, 1]}}
    assert SeveralLabels.fault({**card, **fields}) == fault


def test_a_task_survives_the_card():
    task = SeveralLabels(names=("a", "b"), thresholds=(0.25, 1.0), temperature=2.0, calibration={"split": "val"})
    assert SeveralLabels.from_card({**task.card_fields(), "loss": "bce"}) == task
    plain = AB.uncalibrated_for("no validation part")
    assert SeveralLabels.from_card({**plain.card_fields(), "loss": "bce"}) == plain


# the loss


def test_the_loss_is_the_mean_over_what_is_known():
    outputs = logits([0.75, 0.5], [0.25, 0.9])
    labels = torch.tensor([[1, NAN], [1, 0]])
    expected = -(math.log(0.75) + math.log(0.25) + math.log(0.1)) / 3
    assert AB.criterion()(outputs, labels).item() == pytest.approx(expected)


def test_what_is_unknown_has_no_gradient_and_the_rest_that_of_torch():
    outputs = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([[1, 0], [0, 1], [1, 1], [0, 0]], dtype=torch.float64)
    ours = torch.autograd.grad(AB.criterion()(outputs, labels), outputs)[0]
    theirs = torch.autograd.grad(F.binary_cross_entropy_with_logits(outputs, labels), outputs)[0]
    torch.testing.assert_close(ours, theirs)
    labels[0, 0] = NAN
    masked = torch.autograd.grad(AB.criterion()(outputs, labels), outputs)[0]
    assert masked[0, 0] == 0 and torch.isfinite(masked).all()
    assert AB.criterion()(outputs, torch.full((4, 2), NAN)).item() == 0


def test_positive_weights_make_present_and_absent_count_alike():
    labels = torch.tensor([[1, 1], [0, 1], [0, NAN], [0, 0]])
    assert AB.class_weights(labels).tolist() == [3.0, 0.5]
    outputs = logits([0.75, 0.5]).expand(4, 2)
    loss = AB.criterion(weights=AB.class_weights(labels))(outputs, labels).item()
    expected = -(3 * math.log(0.75) + 3 * math.log(0.25) + 2 * 0.5 * math.log(0.5) + math.log(0.5)) / 7
    assert loss == pytest.approx(expected)
    assert torch.isfinite(AB.class_weights(torch.tensor([[1.0, 0.0]]))).all()


def test_images_are_not_drawn_by_their_labels():
    with pytest.raises(UsageError, match="^Balanced sampling needs one class per image; this network predicts several"):
        AB.image_weights(torch.zeros(2, 2))


def test_a_training_follows_the_mean_average_precision_of_validation():
    outputs, labels = logits([0.9, 0.2], [0.1, 0.8]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    found = AB.score(outputs, labels, AB.criterion())
    assert found == Score(found.loss, 1.0, MAP) and found.loss == pytest.approx(AB.criterion()(outputs, labels).item())
    assert AB.per_image(outputs, labels) is None
    assert AB.score(outputs, torch.zeros(2, 2), AB.criterion()).value is None


# answers


def test_a_prediction_has_all_labels_above_their_thresholds():
    rows = AB.decode(logits([0.4, 0.3]))
    prediction = AB.prediction(rows[0])
    a, b = LabelScore("a", pytest.approx(0.4)), LabelScore("b", pytest.approx(0.3))
    assert prediction == Prediction(scores=(a, b), present=(b,))
    assert (prediction.label, prediction.text) == ("b", "b 30.0 %") and math.isnan(prediction.probability)
    assert prediction.to_dict() == {"predictions": [b._asdict()], "scores": {"a": a.probability, "b": b.probability}}


def test_no_label_is_an_answer_too():
    prediction = AB.prediction(np.array([0.4, 0.1]))
    assert (prediction.label, prediction.text, prediction.ranked) == ("none", "none", ())
    assert prediction.to_dict()["predictions"] == []


def test_probabilities_are_at_the_temperature():
    assert AB.at_temperature(2.0).decode(torch.tensor([[2 * math.log(3), 0.0]])).tolist() == [
        [pytest.approx(0.75), 0.5]
    ]


def test_labels_of_other_data_are_matched_by_name_and_unknown_where_they_are_missing():
    three = SeveralLabels(names=("a", "b", "c"), thresholds=(0.5,) * 3)
    np.testing.assert_array_equal(three.matched(np.array([[1, 0]]), ("c", "a")), [[0, NAN, 1]])
    assert three.columns_of(SeveralLabels(names=("c", "a", "b"), thresholds=(0.5,) * 3)) == [1, 2, 0]
    assert three.columns_of(AB) is None and AB.columns_of(Number()) is None
    with pytest.raises(DataError, match="^`x` has classes that the model does not have: `d`"):
        three.check_known(["a", "d"], data="x")


# figures

ROWS = logits([0.9, 0.3], [0.8, 0.2], [0.4, 0.6], [0.3, 0.1])
TRUTH = np.array([[1, 1], [0, 0], [1, NAN], [0, 0]], np.float32)


def test_figures_by_hand():
    # a ranks 1, 0, 1, 0: average precision (1 + 2/3) / 2; b ranks 1, 0, 0 where it is known: 1
    found = AB.figures(ROWS, TRUTH)
    assert found.map == pytest.approx((5 / 6 + 1) / 2)
    # answered: a of the first two, b of the first and the third (unknown there)
    assert found.f1_micro == pytest.approx(2 * 2 / (3 + 3)) and found.f1_macro == pytest.approx((0.5 + 1) / 2)
    given = [0.9, 0.2, 0.4, 0.7, 0.3, 0.8, 0.9]
    assert found.nll == pytest.approx(-sum(map(math.log, given)) / 7)
    a, b = found.per_label["a"], found.per_label["b"]
    assert {key: a[key] for key in ("precision", "recall", "f1")} == dict.fromkeys(("precision", "recall", "f1"), 0.5)
    assert (b["support"], b["known"], b["threshold"], b["ap"]) == (1, 3, 0.25, 1.0)
    assert a["ece"] == pytest.approx((0.1 + 0.8 + 0.6 + 0.3) / 4)
    low, high = found.interval
    assert low <= found.map <= high == 1.0
    assert set(found.to_dict()) == set(SeveralLabels.figure_names) - {"temperature", "ece_unscaled", "uncalibrated"}


def test_figures_agree_with_scikit_learn():
    generator = np.random.default_rng(0)
    truth = (generator.random((300, 4)) < 0.3).astype(np.float32)
    outputs = torch.tensor(truth + generator.normal(size=truth.shape))
    task = SeveralLabels(names=tuple("abcd"), thresholds=(0.6, 0.5, 0.7, 0.65))
    found, rows = task.figures(outputs, truth), task.decode(outputs)
    present = rows > np.array(task.thresholds)
    assert found.map == pytest.approx(sklearn_metrics.average_precision_score(truth, rows, average="macro"))
    assert found.f1_micro == pytest.approx(sklearn_metrics.f1_score(truth, present, average="micro"))
    assert found.f1_macro == pytest.approx(sklearn_metrics.f1_score(truth, present, average="macro"))
    assert found.nll == pytest.approx(sklearn_metrics.log_loss(truth.ravel(), rows.ravel()))
    assert task.measured(outputs, truth) == Measured(found.map, found.interval)


def test_a_label_that_no_image_has_does_not_count():
    found = AB.figures(ROWS, np.array([[1, 0], [0, 0], [1, 0], [0, 0]]))
    assert found.map == pytest.approx(5 / 6) and found.f1_macro == 0.5 and found.per_label["b"]["ap"] is None
    assert [row.name for row in found.rows] == ["a"]


def test_without_any_label_there_is_no_precision():
    found = AB.figures(ROWS, np.zeros((4, 2)))
    assert (found.map, found.interval, found.f1_macro, found.f1_micro) == (None, None, None, 0.0)
    assert found.lines("x")[0] == "mean average precision undefined: no image has any of the labels (x)"
    assert found.tiles[0][1:] == ("-", "no image has any of the labels") and found.rows == []


def test_one_image_has_no_interval():
    found = AB.figures(ROWS[:1], TRUTH[:1])
    assert (found.map, found.interval, found.interval_text) == (1.0, None, "one image, so no interval")
    assert found.lines("x")[0] == "mean average precision 100.00 % (x)"


def test_figures_are_read_line_by_line():
    found = AB.figures(ROWS, TRUTH)
    low, high = found.interval
    calibration = found.per_label["b"]["ece"]
    assert found.lines("test of x") == [
        f"mean average precision 91.67 %, 95 % interval {100 * low:.2f} to {100 * high:.2f} % (test of x)",
        f"F1 micro 66.67 %, macro 75.00 %, negative log-likelihood {found.nll:.4f}, "
        f"calibration error {100 * found.ece:.2f} %",
        "",
        "lowest AP       AP   recall  precision       F1  threshold  calibration  images",
        "a           83.3 %   50.0 %     50.0 %   50.0 %       0.50       45.0 %       2",
        f"b          100.0 %  100.0 %    100.0 %  100.0 %       0.25  {100 * calibration:9.1f} %       1",
    ]
    assert isinstance(found.rows[0], LabelRow)


def test_a_result_has_the_scores_over_all_labels():
    result = AB.figures(ROWS, TRUTH).result("test", images=4, flip=True)
    assert result.keys() == {"split", "map", "interval", "f1_micro", "f1_macro", "images", "flip"}
    low, high = result["interval"]
    assert SeveralLabels.result_text(result) == (
        f"mean average precision 91.67 %, 95 % interval {100 * low:.2f} to {100 * high:.2f} %, "
        "F1 micro 66.67 % on test (4 images, averaged with mirrored copies)"
    )


def test_two_results_differ_within_their_intervals():
    first, second = {"map": 0.5, "interval": [0.4, 0.6]}, {"map": 0.75, "interval": [0.7, 0.8]}
    half = math.hypot(0.1, 0.05)
    assert SeveralLabels.difference_interval(first, second) == pytest.approx((0.25 - half, 0.25 + half))
    assert SeveralLabels.difference_interval(first, {"map": None, "interval": None}) is None


def test_images_with_the_most_wrong_labels_come_first():
    outputs = logits([0.9, 0.1], [0.1, 0.6], [0.95, 0.1], [0.9, 0.9])
    truth = np.array([[1, 0], [1, 0], [0, NAN], [1, 1]])
    assert AB.mistakes(outputs, truth, most=9) == [Mistake(1, "a", "b"), Mistake(2, "none (unknown: b)", "a")]
    assert AB.mistakes(outputs, truth, most=1) == [Mistake(1, "a", "b")]


# calibration


def test_thresholds_are_those_of_the_highest_f1_and_one_half_where_nothing_is_known():
    three = SeveralLabels(names=tuple("abc"), thresholds=(0.1,) * 3)
    outputs = torch.tensor([[-2.0, 1.0, 0.0], [-3.0, 0.5, 1.0], [-4.0, 2.0, 0.0]])
    truth = np.array([[1, 0, 0], [1, NAN, 0], [0, 1, NAN]])
    found = three.calibrated(outputs, truth)
    rows = found.decode(outputs)
    assert found.thresholds == (pytest.approx(rows[1:, 0].mean()), pytest.approx(rows[[0, 2], 1].mean()), 0.5)
    assert [SeveralLabels.text_of(row.astype(float), three.names) for row in found.present(rows)][0] == "a"
    assert found.calibration["images"] == 3 and found.calibration["temperature"] == found.temperature


def test_a_flawless_validation_part_has_a_finite_temperature():
    # one label, n images with a margin of 2: the probability of the truth becomes 1 - 1 / (n + 2)
    one = SeveralLabels(names=("a",), thresholds=(0.5,))
    outputs, truth = torch.tensor([[2.0], [-2.0]]).repeat(9, 1), np.array([[1.0], [0.0]] * 9)
    found = one.calibrated(outputs, truth)
    assert found.decode(outputs)[0, 0] == pytest.approx(1 - 1 / 20, abs=1e-4) and found.thresholds == (0.5,)


def test_too_sure_probabilities_become_frequencies():
    generator = torch.Generator().manual_seed(0)
    honest = torch.randn(2000, 3, generator=generator) * 2
    truth = torch.bernoulli(honest.sigmoid(), generator=generator).numpy()
    task = SeveralLabels(names=tuple("abc"), thresholds=(0.5,) * 3)
    found = task.calibrated(honest * 3, truth)
    assert found.temperature == pytest.approx(3, rel=0.1)
    assert found.calibration["ece_before"] > 0.1 and found.calibration["ece_after"] < 0.03
    assert found.figures(honest * 3, truth).ece == pytest.approx(found.calibration["ece_after"])
    assert metrics.presence_bins(found.decode(honest * 3), truth).images.sum() == 6000
