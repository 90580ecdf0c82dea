"""Pages hold what they promise, and nothing in them runs or comes from elsewhere, whatever the names."""

import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from fovea.inputs.views import Protocol
from fovea.report.evaluation import evaluation_page
from fovea.report.training import curves, training_page, verdict
from fovea.training.diagnosis import Look

CHROMIUM = shutil.which("chromium")
ACT = 'document.title = "run"'
HOSTILE = f"""</title></style></svg>"'><script>{ACT}</script><img src=x onerror='{ACT}'>{{{{ 7 * 7 }}}}"""
HEADINGS = ["How the training went", "Classes", "Confusion", "Worst mistakes", "Calibration",
            "Inside the network while it trained", "First-layer filters", "Network", "Data it was trained on",
            "Recipe and versions"]  # fmt: skip


class Elements(HTMLParser):
    """The tags and attributes of a page, and its text."""

    def __init__(self, page):
        super().__init__()
        self.found, self.words = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def headings(page):
    return re.findall(r"<h2>(.*?)</h2>", page)


def hostile_pages(make_story, make_outcome, page_card):
    """Return pages whose every name is hostile."""
    outcome = make_outcome(
        tuple(f"{HOSTILE}{n}" for n in range(3)), tuple(f"{HOSTILE}{n}" for n in range(6)), data=HOSTILE
    )
    looks = [replace(look, gradients={HOSTILE + n: 1.0 for n in "abcdefg"}) for look in make_story().looks]
    card, facts = page_card(HOSTILE), [(HOSTILE, HOSTILE)]
    story = make_story(card=card, outcomes=[outcome], looks=looks, layer=HOSTILE, data=facts, ended=HOSTILE)
    return [training_page(story), evaluation_page(outcome, card, notes=[HOSTILE]),
            evaluation_page(replace(outcome, picture=None), {HOSTILE: HOSTILE, "temperature": HOSTILE})]  # fmt: skip


def test_a_training_page_holds_all_that_is_known(make_story):
    page = training_page(make_story())
    text = Elements(page).text
    assert headings(page) == HEADINGS
    assert "Accuracy 66.67 % on test (95 % interval" in text and "2 epochs in 12 s, 0.001 PFLOP" in text
    assert re.findall(r"<h3>(.*?)</h3>", page)[:3] == ["Loss", "Accuracy, %", "Learning rate"]
    assert "Worst recall: owl 50.0 %" in text and "Best recall: cat 100.0 %" in text
    assert "dog predicted as cat: 1" in text and "truth dog 4." in text
    assert "15th percentile 50th percentile 85th percentile" in text and "Inputs of relu" in text
    assert "fitted on val (40 images)" in text and "augmentations flip" in text and "python 3.12.1" in text


def test_an_evaluation_page_holds_what_is_known_of_the_network(make_outcome, page_card):
    page = evaluation_page(
        make_outcome(protocol=Protocol(flip=True)),
        page_card(),
        filters=torch.randn(5, 3, 3, 3).numpy(),
        notes=["mind this"],
    )
    assert headings(page) == [name for name in HEADINGS if name not in (HEADINGS[0], HEADINGS[5])]
    text = Elements(page).text
    assert "6 images, logits averaged over 2 views: each image and its mirror image" in text and "mind this" in text


def test_calibration_stands_before_and_after_scaling(make_outcome, page_card):
    scaled = Elements(evaluation_page(make_outcome(temperature=2.0), page_card())).text
    assert "before temperature scaling" in scaled and "after, at temperature 2.000" in scaled
    plain = Elements(evaluation_page(make_outcome(), {"temperature": 1.0})).text
    assert "without temperature scaling" in plain and "No temperature was fitted" in plain


def test_pictures_are_inside_or_left_out(make_outcome, page_card):
    card = page_card()
    with_pictures = Elements(evaluation_page(make_outcome(), card)).found
    assert sum(tag == "img" for tag, _ in with_pictures) == 2
    without = evaluation_page(make_outcome(picture=None), card)
    assert "<img" not in without and "truth" in without


def test_numbers_have_a_page_too(make_outcome, page_card):
    outcome = make_outcome((), outputs=torch.arange(6.0, dtype=torch.float64)[:, None], labels=np.arange(6) + 0.5)
    page = evaluation_page(outcome, page_card())
    assert headings(page)[:2] == ["Predictions", "Largest errors"]
    assert page.count('class="scatter"') == 6 and "mean absolute error 0.5" in Elements(page).text


def test_many_classes_have_a_picture_and_the_extremes(make_outcome, page_card):
    names = tuple(f"class {n}" for n in range(200))
    labels = np.arange(400) % 200
    logits = torch.eye(200)[(labels + (labels < 20)) % 200]
    page = evaluation_page(make_outcome(names, ("x",) * 400, outputs=logits, labels=labels, picture=None), page_card())
    assert "The ten worst" in page and "All 200 classes" in page and 'class="matrix"' not in page
    assert len(page) < 300_000


def test_a_training_that_ended_early_has_a_page_without_results(make_story):
    page = training_page(make_story(outcomes=[], history=[], looks=[], ended="The loss became nan."))
    assert headings(page)[0] == HEADINGS[0] and "Classes" not in headings(page)
    assert "The loss became nan." in page


def test_fewer_than_three_looks_make_neither_charts_nor_a_verdict(make_story):
    looks = make_story().looks
    assert "neither vanishes nor explodes" in training_page(make_story())
    for few in (looks[:2], [looks[0]] * 5, []):
        page = training_page(make_story(looks=few))
        assert "Inside the network" not in page and "vanishes" not in page and "Inputs of relu" not in page


def test_the_learning_rate_is_that_of_the_metrics(make_story):
    (rates,) = (chart for chart in curves(make_story()) if chart.title == "Learning rate")
    assert rates.lines[0].points == [(1.0, 0.002), (2.0, 0.001)]


def test_a_single_epoch_has_figures_and_no_curves(make_story):
    page = training_page(make_story(history=make_story().history[:1]))
    text = Elements(page).text
    assert "The run has one epoch" in text and "training loss 1.5" in text and "validation accuracy 50.0 %" in text
    assert "<h3>Loss</h3>" not in page


def test_a_head_fitted_in_closed_form_has_no_epochs(make_story):
    text = Elements(training_page(make_story(history=[], looks=[]))).text
    assert "in closed form" in text and "there were no epochs" in text
    assert "0 epochs" not in text and "Training figures are means" not in text
    assert "0 epochs" in Elements(training_page(make_story(history=[], looks=[], ended="The loss is not finite."))).text


def test_pictures_are_described_by_file_truth_and_answer(make_outcome, page_card):
    page = evaluation_page(make_outcome(names=("a.png", "b.png", "3", "4", "5", "6")), page_card())
    assert 'alt="file b.png: truth dog, predicted cat"' in page and 'alt="index 6: truth owl, predicted cat"' in page


def test_gradients_that_vanish_or_explode_are_called_so():
    def looks(first, last):
        return [Look(0, 0.0, 0.0, 0.1, (0.0, 0.0, 0.0), {"a": first, "b": 1.0, "c": last})] * 3

    assert "it vanishes" in verdict(looks(1e-5, 1.0)) and "1e-05 times" in verdict(looks(1e-5, 1.0))
    assert "it explodes" in verdict(looks(5e3, 1.0))
    assert "neither" in verdict(looks(0.5, 1.0))
    assert verdict(looks(None, 1.0)) == ""


@pytest.mark.parametrize("which", [0, 1, 2], ids=("training", "evaluation", "foreign card"))
def test_nothing_in_a_page_runs_or_comes_from_elsewhere(which, make_story, make_outcome, page_card):
    page = Elements(hostile_pages(make_story, make_outcome, page_card)[which])
    assert "script" not in {tag for tag, _ in page.found}
    attributes = [(name, value or "") for _, given in page.found for name, value in given.items()]
    assert [name for name, _ in attributes if name.startswith("on")] == []
    assert [value for name, value in attributes if name in ("src", "href") and not value.startswith("data:")] == []
    assert ACT in page.text and "{{ 7 * 7 }}" in page.text


def title_in_chromium(page, folder):
    """Return the title that a page has once a browser has opened it and run what it runs."""
    (folder / "page.html").write_text(page)
    switches = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    done = subprocess.run(
        [CHROMIUM, *switches, "--dump-dom", (folder / "page.html").as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return re.search(r"<title>(.*?)</title>", done.stdout, re.S).group(1)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium to open pages in")
def test_a_browser_runs_nothing_of_hostile_names(tmp_path, make_story, make_outcome, page_card):
    for page in hostile_pages(make_story, make_outcome, page_card)[:2]:
        bare = re.sub(r"<meta http-equiv.*?>", "", page)  # escaping alone must do
        assert bare != page and title_in_chromium(bare, tmp_path) != "run"
    unescaped = bare.replace("<main>", f"<main>{HOSTILE}", 1)
    assert title_in_chromium(unescaped, tmp_path) == "run"
