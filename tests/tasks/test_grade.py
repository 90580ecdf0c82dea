"""Grades: their order, the conditional loss, consistent ranks, error and agreement, by hand."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import cohen_kappa_score
from torch.nn import functional as F

from fovea.errors import DataError, UsageError
from fovea.tasks.classes import Classes
from fovea.tasks.figures import Measured, Mistake
from fovea.tasks.grade import ERROR, Grade, medians
from fovea.tasks.grade_figures import GradeFigures
from fovea.tasks.score import Score
from fovea.tasks.wording import Wording

SML = Grade(names=("small", "medium", "large"))


def logits(*rows):
    """Return outputs whose sigmoids are these rows."""
    p = torch.tensor(rows, dtype=torch.float64)
    return p.log() - (1 - p).log()


# labels


def test_grades_that_are_numbers_are_in_their_order():
    labels, names = Grade.encode({"train": ["10", "-1", "2"], "val": ["1.5"]})
    assert names == ("-1", "1.5", "2", "10")
    assert labels["train"].tolist() == [3, 0, 2] and labels["val"].tolist() == [1]


def test_other_grades_are_in_the_order_that_is_said():
    labels, names = Grade.encode({"train": ["large", "small"]}, wording=Wording(order=("small", "medium", "large")))
    assert names == ("small", "medium", "large") and labels["train"].tolist() == [2, 0]


def test_a_network_knows_the_order_of_its_grades():
    labels, names = Grade.encode({"test": ["large", "small"]}, wording=Wording(known=SML.names))
    assert names == SML.names and labels["test"].tolist() == [2, 0]
    _, names = Grade.encode({"test": ["huge", "small"]}, wording=Wording(known=SML.names))
    assert names == (*SML.names, "huge")
    with pytest.raises(DataError, match="has classes that the model does not have: `huge`"):
        SML.check_known(names, data="x")


@pytest.mark.parametrize(
    ("texts", "order", "message"),
    [
        (["s", "m"], (), "The grades `m`, `s` are not numbers; give their order, lowest first: --order A,B,C."),
        (["1", "nan"], (), "The grades `1`, `nan` are not numbers; give their order, lowest first: --order A,B,C."),
        (["1", "1.0"], (), "Two of the grades `1`, `1.0` are the same number; write each grade in one way."),
        (["s", "x", "y"], ("s", "m"), "`--order s,m` lacks the grades `x`, `y`; list all grades."),
        ([("1", "2")], (), "An image has the labels 1, 2, but one is needed; use `--task labels` for several labels."),
    ],
)
def test_grades_without_an_order_are_refused(texts, order, message):
    with pytest.raises(DataError) as caught:
        Grade.encode({"train": texts}, wording=Wording(order=order))
    assert str(caught.value) == message


def test_grades_are_classes_that_may_be_mirrored():
    assert not Grade.directional(tuple("0123456789"), channels=1)
    labels = np.array([0, 2, 1])
    assert Grade.strata(labels) is labels and Grade.text_of(2, SML.names) == "large"


def test_a_data_set_fixes_names_and_outputs():
    assert Grade.fitted(np.array([0]), classes=SML.names, loss="corn", data="x") == SML and SML.outputs == 2
    assert [Grade.outputs_for("corn", count) for count in (1, 2, 5)] == [None, 1, 4]
    with pytest.raises(UsageError, match="cannot be used with --task"):
        Grade.fitted(np.array([0]), classes=SML.names, loss="cross-entropy", data="x")


def test_facts_begin_with_the_order():
    assert SML.facts(np.array([0, 0, 2]))[0] == ("order of the grades", "small < medium < large")


def test_a_task_survives_the_card():
    task = Grade(names=SML.names, temperature=2.0, calibration={"split": "val"})
    assert Grade.from_card({**task.card_fields(), "loss": "corn"}) == task
    assert Grade.card_format == 2 and Classes.card_format == 1


# the loss


def test_each_output_learns_from_the_images_that_reach_its_grade():
    # of grades 0, 1, 2: output 0 is asked of all, output 1 of the last two
    outputs = logits([0.2, 0.9], [0.7, 0.4], [0.6, 0.8])
    loss = SML.criterion()(outputs, torch.tensor([0, 1, 2]))
    given = [0.8, 0.7, 0.6, 0.6, 0.8]  # not above 0; above 0, not above 1; above 0, above 1
    assert loss.item() == pytest.approx(-sum(map(math.log, given)) / 5)


def test_two_grades_are_one_sigmoid_unit():
    outputs = torch.randn(6, 1, dtype=torch.float64)
    labels = torch.tensor([0, 1, 1, 0, 1, 0])
    ours = Grade(names=("0", "1")).criterion()(outputs, labels)
    assert ours.item() == pytest.approx(F.binary_cross_entropy_with_logits(outputs[:, 0], labels.double()).item())


def test_the_loss_of_a_grade_counts_by_its_weight():
    outputs, labels = logits([0.2, 0.9], [0.7, 0.4]), torch.tensor([0, 1])
    loss = SML.criterion(weights=torch.tensor([3.0, 1.0, 1.0], dtype=torch.float64))(outputs, labels)
    assert loss.item() == pytest.approx(-(3 * math.log(0.8) + math.log(0.7) + math.log(0.6)) / 3)


def test_the_loss_is_the_likelihood_of_the_grades():
    # times the conditional questions over the images: the chain rule
    outputs, labels = torch.randn(50, 2, dtype=torch.float64), torch.arange(50) % 3
    asked = (labels + 1).clamp(max=2).sum()
    likelihood = -SML.log_probabilities(outputs)[torch.arange(50), labels].sum()
    assert SML.criterion()(outputs, labels).item() == pytest.approx((likelihood / asked).item())


def test_the_error_chooses_the_epoch():
    outputs, labels = logits([0.2, 0.9], [0.9, 0.9]), torch.tensor([2, 2])
    assert SML.per_image(outputs, labels).tolist() == [2.0, 0.0]
    found = SML.score(outputs, labels, SML.criterion())
    assert found == Score(found.loss, 1.0, ERROR)
    assert Score(9.0, 0.5, ERROR).better_than(found)


# answers


def test_probabilities_by_hand():
    rows = SML.decode(logits([0.8, 0.25]))
    assert rows.tolist() == [pytest.approx([0.2, 0.6, 0.2])]


def test_whatever_the_outputs_are_a_higher_grade_is_never_likelier_reached():
    generator = torch.Generator().manual_seed(0)
    six = Grade(names=tuple("012345"), temperature=0.3)
    for scale in (0.1, 1.0, 100.0):
        rows = six.decode(torch.randn(500, 5, generator=generator) * scale)
        assert rows.min() >= 0 and rows.sum(axis=1) == pytest.approx(1)
        above = 1 - rows.cumsum(axis=1)
        assert (np.diff(above, axis=1) <= 1e-12).all()
        # the answer is the number of grades exceeded: no gaps
        exceeded = above[:, :-1] > 0.5
        assert (medians(rows) == exceeded.sum(axis=1)).all() and (np.diff(exceeded.astype(int), axis=1) <= 0).all()


def test_the_answer_has_the_least_expected_error():
    # the most probable grade is 0, but 1 is nearer to all that it may be
    row = np.array([[0.4, 0.25, 0.35]])
    errors = [(row[0] * np.abs(np.arange(3) - grade)).sum() for grade in range(3)]
    assert medians(row).tolist() == [1] == [int(np.argmin(errors))]
    prediction = SML.prediction(row[0])
    assert [score.label for score in prediction.scores] == ["medium", "small", "large"]
    assert (prediction.label, prediction.probability) == ("medium", 0.25)
    assert SML.top(prediction, 1).scores == prediction.scores[:1]


def test_grades_in_another_order_are_not_the_same():
    assert SML.columns_of(Grade(names=SML.names)) == [0, 1, 2]
    assert SML.columns_of(Grade(names=("medium", "small", "large"))) is None
    assert SML.columns_of(Classes(names=SML.names)) is None


def test_training_and_evaluation_answer_alike():
    outputs, labels = torch.randn(200, 2), torch.arange(200) % 3
    errors = SML.errors(outputs, labels.numpy())
    assert SML.per_image(outputs, labels).tolist() == errors.tolist()


# figures

OUTPUTS = logits([0.1, 0.5], [0.9, 0.1], [0.9, 0.9], [0.1, 0.5])
TRUTH = np.array([0, 1, 2, 2])


def test_figures_by_hand():
    found = SML.figures(OUTPUTS, TRUTH)
    assert isinstance(found, GradeFigures)
    assert (found.mae, found.accuracy, found.top5) == (0.5, 0.75, None)
    assert found.confusion == [[1, 0, 0], [0, 1, 0], [1, 0, 1]]
    assert found.kappa == pytest.approx(cohen_kappa_score(TRUTH, [0, 1, 2, 0], weights="quadratic"))
    assert found.kappa_interval[0] < found.kappa < found.kappa_interval[1]
    # errors 0, 0, 0, 2: standard deviation 1, Student's t with three degrees 3.1824
    assert found.mae_interval == pytest.approx((0, 0.5 + 3.1824 / 2), abs=1e-4)
    assert SML.measured(OUTPUTS, TRUTH) == Measured(0.5, found.mae_interval)
    json = set(found.to_dict())
    assert json == set(Grade.figure_names) - {"top5", "temperature", "ece_unscaled", "uncalibrated"}
    assert {"mae", "kappa"} <= json


def test_one_and_the_same_grade_has_no_kappa():
    found = SML.figures(OUTPUTS[:1], TRUTH[:1])
    assert (found.kappa, found.kappa_interval, found.mae) == (None, None, 0.0)
    assert found.lines("x")[1] == "quadratic weighted kappa undefined: all labels and predictions are the same grade"
    assert found.tiles[1][1] == "-" and found.tiles[0][2] == "one image, so no interval"
    assert found.lines("x")[0] == "mean absolute error 0.000 grades (x)"
    assert Grade.result_text(found.result("test", images=1, flip=False)) == (
        "mean absolute error 0.000 grades on test (1 images)"
    )


def test_figures_are_read_line_by_line():
    found = SML.figures(OUTPUTS, TRUTH)
    low, high = found.kappa_interval
    lines = found.lines("test of x")
    assert lines[:3] == [
        "mean absolute error 0.500 grades, 95 % interval 0.000 to 2.091 (test of x)",
        f"quadratic weighted kappa {found.kappa:.3f}, 95 % interval {low:.3f} to {high:.3f}",
        "accuracy 75.00 %, 95 % interval 30.06 to 95.44 % (exactly the grade)",
    ]
    assert lines[-1] == "1 x large predicted as small"
    assert [tile[0] for tile in found.tiles][:3] == ["mean absolute error", "quadratic weighted kappa", "accuracy"]


def test_a_result_has_error_and_agreement():
    result = SML.figures(OUTPUTS, TRUTH).result("test", images=4, flip=False)
    assert result.keys() == {"split", "mae", "interval", "kappa", "kappa_interval", "accuracy", "images", "flip"}
    assert Grade.result_text(result) == (
        f"mean absolute error 0.500 grades, 95 % interval 0.000 to 2.091, quadratic weighted kappa "
        f"{result['kappa']:.3f} on test (4 images)"
    )


def test_two_results_differ_within_their_intervals():
    first, second = {"mae": 0.5, "interval": [0.4, 0.6]}, {"mae": 0.3, "interval": [0.2, 0.4]}
    half = math.hypot(0.1, 0.1)
    assert Grade.difference_interval(first, second) == pytest.approx((-0.2 - half, -0.2 + half))


def test_the_mistakes_that_are_most_grades_off_come_first():
    outputs = logits([0.9, 0.1], [0.1, 0.5], [0.1, 0.5])
    near = pytest.approx
    assert SML.mistakes(outputs, np.array([0, 2, 0]), most=9) == [
        Mistake(1, "large", "small", near(0.9), near(0.05)),
        Mistake(0, "small", "medium", near(0.81), near(0.1)),
    ]


# calibration


def test_a_flawless_validation_part_has_a_finite_temperature():
    outputs = torch.tensor([[-2.0, -2.0], [2.0, -2.0], [2.0, 2.0]]).repeat(20, 1)
    truth = np.tile([0, 1, 2], 20)
    found = SML.calibrated(outputs, truth)
    assert 0 < found.temperature < math.inf
    likelihood = found.figures(outputs, truth).nll
    assert 0 < likelihood < 0.1 and found.calibration["images"] == 60


def test_too_sure_probabilities_become_frequencies():
    generator = torch.Generator().manual_seed(0)
    honest = torch.randn(3000, 2, generator=generator) * 1.5
    truth = torch.multinomial(SML.log_probabilities(honest).exp(), 1, generator=generator)[:, 0].numpy()
    found = SML.calibrated(honest * 3, truth)
    assert found.temperature == pytest.approx(3, rel=0.1)
    assert found.calibration["ece_before"] > 0.1 and found.calibration["ece_after"] < 0.03


def test_an_order_is_compared_in_one_unicode_form():
    names = ("tre\u0301s", "plus")
    assert Grade(names=names).columns_of(Grade(names=("tr\u00e9s", "plus"))) == [0, 1]


def test_of_the_best_grades_the_answer_is_the_first_though_another_is_more_probable():
    target = Grade(names=("0", "1", "2"), loss="corn")
    row = np.array([0.4, 0.25, 0.35])
    assert [score.label for score in target.best(row, 2).scores] == ["1", "0"]
