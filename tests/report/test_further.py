"""Slices and robustness in the page of an evaluation, and the curves of a comparison."""

import re
from dataclasses import replace

import numpy as np
import pytest

from fovea.evaluation.robustness import Curve, Point, Robustness
from fovea.evaluation.slices import Slice, Slices
from fovea.report.compare import costs, curves
from fovea.report.evaluation import evaluation_page
from fovea.report.further import further_values, robustness_charts
from fovea.tasks.grade import Grade
from fovea.tasks.labels import SeveralLabels
from fovea.tasks.number import Number
from fovea.tasks.score import ACCURACY

HOSTILE = "<script>document.title = 1</script>"
LABELS = SeveralLabels(names=("a", "b"), thresholds=(0.5, 0.5))


def slices(metric=ACCURACY, column="camera", **scores):
    """Return slices of one image each."""
    within = {"images": 1, "metric": metric}
    values = (
        Slice(value=name, score=score, interval=None if score is None else (score / 2, 2 * score), **within)
        for name, score in scores.items()
    )
    return Slices(column=column, values=tuple(values))


def robustness(metric=ACCURACY, scores=(0.9, 0.5), name="shift"):
    """Return robustness of 2,000 images under one disturbance, a level per score."""
    points = (
        Point(level=float(level), metric=metric, score=score, interval=(score - 0.1, score + 0.1))
        for level, score in enumerate(scores)
    )
    curve = Curve(disturbance=name, unit="pixels", points=tuple(points))
    return Robustness(images=2000, metric=metric, score=scores[0], curves=(curve,))


def test_names_of_slices_and_disturbances_are_text(make_outcome, page_card):
    page = evaluation_page(
        make_outcome(),
        page_card(),
        slices=slices(column=HOSTILE, **{HOSTILE: 0.4}),
        robustness=robustness(name=HOSTILE),
    )
    assert "<script" not in page and page.count("&lt;script&gt;") >= 4
    assert "20.0 % to 80.0 %" in page and "Accuracy on 2,000 images of the split; 90.0 % on the undisturbed" in page
    assert "The lower, the better" not in page


def test_the_lowest_slice_comes_first(make_outcome, page_card):
    page = evaluation_page(make_outcome(), page_card(), slices=slices(ajax=0.9, zeus=0.1))
    assert page.index("zeus") < page.index("ajax") and "<h2>Accuracy by camera</h2>" in page
    assert "<h2>Disturbed images</h2>" not in page


def test_of_errors_the_largest_comes_first_with_the_longest_bar(make_outcome, page_card):
    outcome = replace(make_outcome((), outputs=np.zeros((6, 1))), outputs=make_outcome().outputs[:, :1])
    found = further_values(outcome.target, slices=slices(Number.metric, ajax=1.5, zeus=6.0), robustness=None)
    assert [(row.value, row.score, row.bar, row.interval) for row in found.rows] == [
        ("zeus", "6", 1.0, "3 to 12"),
        ("ajax", "1.5", 0.25, "0.75 to 3"),
    ]
    page = evaluation_page(outcome, page_card(), slices=slices(Number.metric, ajax=1.5, zeus=6.0))
    assert "<h2>Mean absolute error by camera</h2>" in page
    assert "In the unit of the labels. The lower, the better." in page


def test_errors_of_grades_are_in_grades_and_in_no_other_unit():
    found = further_values(Grade(names=("s", "m")), slices=slices(Grade.metric, old=0.5), robustness=None)
    assert found.metric.title == "mean absolute error in grades" and found.note == "The lower, the better."


def test_a_slice_without_a_score_comes_last_and_has_no_bar(make_outcome, page_card):
    found = further_values(LABELS, slices=slices(LABELS.metric, ajax=None, zeus=0.5), robustness=None)
    assert [(row.value, row.score, row.bar, row.interval) for row in found.rows] == [
        ("zeus", "50.0 %", 0.5, "25.0 % to 100.0 %"),
        ("ajax", "-", None, "-"),
    ]
    page = evaluation_page(make_outcome(), page_card(), slices=slices(LABELS.metric, ajax=None))
    row = re.search(r'<td class="name">ajax</td>.*?</tr>', page, re.S).group()
    assert "bar" not in row and row.count(">-<") == 2


def test_only_shares_have_an_axis_to_100_percent():
    (chart,) = robustness_charts(robustness())
    assert (chart.title, chart.y.low, chart.y.high) == ("Shift: accuracy, %", 0.0, 100.0)
    assert chart.lines[0].points == [(0.0, 90.0), (1.0, 50.0)]
    assert chart.lines[0].notes[1] == "shift 1: 50.00 % (95 % interval 40.00 % to 60.00 %)"
    (chart,) = robustness_charts(robustness(Number.metric, (3.0, 12.0)))
    assert (chart.title, chart.y.low, chart.y.high) == ("Shift: mean absolute error", 0.0, 12.1)
    assert chart.lines[0].points == [(0.0, 3.0), (1.0, 12.0)]
    assert chart.lines[0].notes[1] == "shift 1: 12 (95 % interval 11.9 to 12.1)"
    assert chart.lines[0].spread[1] == pytest.approx((11.9, 12.1)) and chart.drawn[0].band.endswith("Z")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (Number(), "Mean absolute error on 2,000 images of the split; 0.9 on the undisturbed"),
        (
            Grade(names=("s", "m")),
            "Mean absolute error in grades on 2,000 images of the split; 0.9 on the undisturbed",
        ),
        (LABELS, "Mean average precision on 2,000 images of the split; 90.0 % on the undisturbed"),
    ],
    ids=("number", "grade", "labels"),
)
def test_the_page_says_what_is_measured(target, said, make_outcome, page_card):
    columns = target.outputs
    labels = np.eye(6, columns, dtype=np.float32) if target.several else np.zeros(6, int)
    outcome = make_outcome(target=target, outputs=make_outcome().outputs[:, :columns], labels=labels)
    assert said in evaluation_page(outcome, page_card(), robustness=robustness(target.metric))


def history(*losses, val=None):
    return [{"epoch": n, "loss": loss, "accuracy": None, "val": val} for n, loss in enumerate(losses)]


def test_a_curve_is_the_mean_over_the_epochs_that_all_runs_have():
    (chart,) = curves(["a", "b"], [[history(3.0, 2.0, 1.0), history(5.0, 4.0)], [history(1.0)]])
    assert chart.title == "Training loss"
    assert [(line.name, line.points) for line in chart.lines] == [("a", [(1, 4), (2, 3)]), ("b", [(1, 1)])]
    _, loss, accuracy = curves(["a"], [[history(1.0, val={"loss": 2.0, "accuracy": 0.5})]])
    assert (loss.title, accuracy.title) == ("Validation loss", "Validation accuracy, %")
    assert accuracy.lines[0].points == [(1, 50)]


def test_results_are_drawn_over_arithmetic_where_that_differs():
    def group(name, pflop, **results):
        means = {split: {"mean": mean} for split, mean in results.items()}
        return {"name": name, "metric": "accuracy", "pflop": {"mean": pflop}, "results": means}

    (chart,) = costs([group("a", 0.1, val=0.7), group("b", 1.0, val=0.8, test=0.9)])
    assert chart.title == "Accuracy, %, on val, over arithmetic"
    assert [line.points for line in chart.lines] == [[(0.1, 70)], [(1.0, 80)]]
    assert costs([group("a", 0.1, val=0.7)]) == costs([group("a", 1.0, test=0.7), group("b", 1.0, test=0.8)]) == []
