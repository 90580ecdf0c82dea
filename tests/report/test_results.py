"""The sections of a page, for each kind of target that has them."""

import re

import numpy as np
import pytest
import torch

from fovea.evaluation.outcome import Outcome
from fovea.report.evaluation import evaluation_page
from fovea.report.results import calibration_chart, result_values
from fovea.tasks.grade import Grade
from fovea.tasks.labels import SeveralLabels

CARD = {"temperature": 1.0}


def labels_outcome(count=2, *, images=4, unknown=None, **task):
    """Return an outcome of which the first label is there in every other image, and ranked first but for one image."""
    labels = np.zeros((images, count), np.float32)
    labels[::2] = 1
    if unknown is not None:
        labels[unknown] = np.nan
    outputs = torch.full((images, count), -1.0)
    outputs[::2] = 1.0
    outputs[1] = 2.0
    given = {"names": tuple(f"l{i}" for i in range(count)), "thresholds": (0.25,) * count, **task}
    return Outcome(
        data="d",
        split="test",
        target=SeveralLabels(**given),
        outputs=outputs,
        labels=labels,
        names=tuple(f"{i}.png" for i in range(images)),
        picture=lambda index: np.zeros((4, 4, 1), np.uint8),
    )


def rows_of(page):
    found = re.findall(r"<tr><td class=\"name\">(.*?)</tr>", page.split("<h2>Worst mistakes</h2>")[0], re.S)
    return [re.sub(r"<[^>]*>|\s+", " ", row).split() for row in found]


def test_a_table_has_all_that_is_known_of_a_label():
    outcome = labels_outcome()
    page = evaluation_page(outcome, CARD)
    assert "<h2>Labels</h2>" in page and "<h2>Classes</h2>" not in page and "<h2>Confusion</h2>" not in page
    # images 1, 0 and 2, 3 by rank: precision 1/2 at one that has the label, 2/3 at the other, which scores the same
    name, ap, recall, precision, f1, threshold, ece, images = [cell for cell in rows_of(page)[0] if cell != "%"]
    assert (name, ap, recall, precision, f1, threshold) == ("l0", "66.7", "100.0", "50.0", "66.7", "0.250")
    assert float(ece) == pytest.approx(100 * outcome.figures.per_label["l0"]["ece"], abs=0.06) and images == "2"


def test_labels_that_are_not_known_or_that_no_image_has_are_said():
    outcome = labels_outcome(unknown=(3, 0))
    outcome.labels[:, 1] = 0
    page = evaluation_page(outcome, CARD)
    (row,) = rows_of(page)
    assert row[-3:] == ["2", "of", "3"]
    assert "Labels that no image has (1) are left out." in page


def test_where_no_image_has_a_label_the_page_says_so():
    outcome = labels_outcome()
    outcome.labels[:] = 0
    page = evaluation_page(outcome, CARD)
    assert "No image has any of the labels, so there is nothing to be found." in page and not rows_of(page)


def test_the_worst_label_comes_first_and_both_ends_are_named():
    outcome = labels_outcome(4)
    outcome.outputs[:, 2] = torch.tensor([3.0, -1.0, 3.0, -1.0])
    values = result_values(outcome)
    assert [row.name for row in values["rows"]] == ["l0", "l1", "l3", "l2"]
    assert ([row.name for row in values["worst"]], [row.name for row in values["best"]]) == (["l0", "l1"], ["l2", "l3"])
    page = evaluation_page(outcome, CARD)
    assert 'Worst average precision:</span> <b>l0</b> <span class="together">66.7 %' in " ".join(page.split())


def test_many_labels_show_the_ten_worst_and_the_ten_best():
    page = evaluation_page(labels_outcome(31), CARD)
    assert "The ten worst" in page and "The ten best" in page and "All 31 labels" in page
    assert len(rows_of(page)) == 10 + 10 + 31
    page = evaluation_page(labels_outcome(30), CARD)
    assert "The ten worst" not in page and len(rows_of(page)) == 30


def test_mistakes_of_labels_have_no_probabilities_and_long_ones_are_cut():
    page = evaluation_page(labels_outcome(), CARD)
    assert '<b class="bad">l0, l1</b>' in page and '<b class="good">none</b>' in page
    page = evaluation_page(labels_outcome(60), CARD)
    cut = re.search(r'<b class="bad" title="(.*?)">(.*?)</b>', page)
    assert cut[1] == ", ".join(f"l{i}" for i in range(60)) and len(cut[2]) == 120 and cut[2].endswith("…")


def test_labels_are_calibrated_by_probability_and_frequency():
    outcome = labels_outcome(1, temperature=2.0)
    chart = calibration_chart(outcome)
    assert (chart.title, chart.x.label, chart.y.label) == (
        "Frequency over probability, %",
        "probability, %",
        "frequency; share of labels",
    )
    assert [line.name for line in chart.lines] == ["at temperature 1", "at temperature 2"]
    low, middle, high = chart.lines[0].points  # at -1, 1 twice, and 2
    assert [round(c, 4) for c, _ in (low, middle, high)] == [26.8941, 73.1059, 88.0797]
    assert [a for _, a in (low, middle, high)] == [0, 100, 0]
    assert chart.lines[0].notes[1] == "at temperature 1: of 2 labels at probability 73.11 %, 100.00 % are present"
    assert sorted(height for *_, height in chart.bars) == [25, 25, 50]
    page = evaluation_page(outcome, CARD)
    assert "Are labels present as often as their probabilities say?" in page and "probability equals frequency" in page
    assert "probability against frequency" in page


def test_labels_that_are_not_known_count_in_no_bin():
    chart = calibration_chart(labels_outcome(1, unknown=(slice(2), 0)))
    assert sum(height for *_, height in chart.bars) == pytest.approx(100)
    assert chart.lines[0].notes[0].startswith("at temperature 1: of 1 labels")


def test_classes_are_calibrated_by_confidence_and_accuracy(make_outcome):
    chart = calibration_chart(make_outcome())
    assert chart.title == "Accuracy over confidence, %" and len(chart.lines) == 1
    assert chart.lines[0].notes[-1] == "at temperature 1: of 2 images at confidence 97.57 %, 100.00 % are correct"
    assert "Is the network correct as often as its confidence says?" in evaluation_page(make_outcome(), CARD)


def test_a_network_that_is_not_calibrated_says_why_in_plain_sight():
    reason = "no validation split, which the temperature needs"
    task = {"uncalibrated": reason}
    page = evaluation_page(labels_outcome(**task), {"temperature": 1.0, **task})
    assert f'<p class="warn">Its confidence is not calibrated: {reason}.' in page
    assert f"not calibrated: {reason}</span>" in page
    assert 'class="warn"' not in evaluation_page(labels_outcome(), CARD)


def test_grades_have_the_sections_of_classes_and_their_own_figures():
    outcome = Outcome(
        data="d",
        split="test",
        target=Grade(names=("s", "m", "l"), temperature=2.0),
        outputs=torch.tensor([[-9.0, -9], [9, -9], [9, 9], [9, 9]]),
        labels=np.array([0, 1, 2, 0]),
        names=tuple("abcd"),
    )
    page = evaluation_page(outcome, CARD)
    assert re.findall(r"<h2>(.*?)</h2>", page)[:4] == ["Grades", "Confusion", "Worst mistakes", "Calibration"]
    assert "quadratic weighted kappa" in page and "s predicted as l: 1" in page and "largest errors, in grades" in page
    assert [line.name for line in calibration_chart(outcome).lines] == ["at temperature 1", "at temperature 2"]
