"""Every page in a real browser: for every eye and every window, by the keyboard, in the light and in the dark."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from browsers import chromium
from seeded_bundles import seeded_bundle

from fovea import serving
from fovea.evaluation.instances import measure_instances
from fovea.evaluation.outcome import Outcome
from fovea.explanation.attribution.methods import METHODS
from fovea.explanation.attribution.registry import Attribution
from fovea.explanation.explained import Explanation, Place
from fovea.exporting.targets.web.page import Page
from fovea.exporting.targets.web.runtime_files import runtime_files
from fovea.preprocess import Preprocess
from fovea.report.compare import Table, compare_page
from fovea.report.evaluation import evaluation_page
from fovea.report.explanation import explanation_page
from fovea.report.page import picture, render
from fovea.report.sheet import MOST_ROWS, Drawn, Group, Sheet
from fovea.report.sheet import Table as SheetTable
from fovea.report.training import training_page
from fovea.report.trust import trust_page
from fovea.tasks.boxes import Boxes
from fovea.tasks.classes import Classes
from fovea.tasks.mask_objects import Singling
from fovea.tasks.masks import Masks
from fovea.tasks.points import Points
from fovea.tasks.prediction import LabelScore, Prediction
from tests.exporting.targets.test_web import archive
from tests.report.test_check_page import doubted, group, page_of, report
from tests.report.test_further import robustness, slices
from tests.report.test_measurement_page import page as measured_page
from tests.report.test_trust_page import PICTURES, verdicts
from tests.support.accessibility import AXE, CUT, RUN_AXE

pytestmark = pytest.mark.slow

PHONE = {"width": 375, "height": 700}
CELLS = """() => {
  const paper = getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).map(Number);
  const parts = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const light = (rgb) => rgb.map((v) => v / 255).map((v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  return [...document.querySelectorAll('.matrix rect + text')].map((text) => {
    const cell = getComputedStyle(text.previousElementSibling), share = Number(cell.fillOpacity);
    const under = parts(cell.fill).map((v, i) => share * v + (1 - share) * paper[i]);
    const [a, b] = [light(under), light(parts(getComputedStyle(text).fill))].sort();
    return (b + .05) / (a + .05);
  });
}"""
UNNAMED = """() => [...document.querySelectorAll('th:not([scope]), th:empty, img:not([alt]), img[alt=""]')]
  .filter((e) => !e.closest('.laid, .ends')).map((e) => e.outerHTML.slice(0, 120))"""


def classes_page(make_outcome, page_card, count=10):
    names = ("airplane", "a name of forty letters, two words or so", *(f"class {n}" for n in range(count - 2)))
    labels = np.arange(12 * count) % count
    logits = 4 * torch.eye(count)[(labels + (np.arange(12 * count) % 5 == 0)) % count]
    pixels = np.arange(3 * 4 * 4, dtype=np.uint8).reshape(4, 4, 3)
    files = tuple(f"test/folder_of_class/a_long_name_of_a_file_{n:04d}.jpg" for n in range(12 * count))
    outcome = Outcome(
        data="pets", split="test", target=Classes(names=names, loss="cross-entropy", temperature=1.5),
        outputs=logits, labels=labels, names=files, picture=lambda index: pixels,
    )  # fmt: skip
    return evaluation_page(
        outcome, page_card(), filters=torch.randn(5, 3, 3, 3).numpy(), robustness=robustness(),
        slices=slices(night=0.3, day=0.4),
    )  # fmt: skip


def boxes_page(page_card):
    names, pixels = ("red cell", "platelet"), np.full((32, 32, 3), 200, np.uint8)
    true = np.array([[[0, 2, 2, 12, 12, 0, 1], [1, 20, 20, 30, 30, 0, 1]]] * 2, np.float32)
    found = torch.tensor([[[0.0, 2, 2, 12, 12, 0.9], [0, 18, 18, 30, 30, 0.6]]] * 2)
    target = Boxes(names=names, size=(32, 32))
    outcome = Outcome(
        data="blood", split="test", target=target, outputs=found, labels=true, names=("a.png", "b.png"),
        picture=lambda index: pixels,
    )  # fmt: skip
    return evaluation_page(outcome, page_card())


def masks_page(page_card):
    labels = np.zeros((2, 16, 16), np.uint8)
    labels[:, 3:9, 3:9] = 1
    answers = np.roll(labels, 1, axis=2)
    sure, pixels = np.full(labels.shape, 204, np.uint8), np.full((16, 16, 1), 90, np.uint8)
    outcome = Outcome(
        data="cells", split="test", target=Masks(names=("background", "cell")),
        outputs=torch.from_numpy(np.stack([answers, sure], axis=1)), labels=labels, names=("a.png", "b.png"),
        picture=lambda index: pixels,
    )  # fmt: skip
    frame = Preprocess(size=(16, 16), fit="squash", channels=1, mean=(0.0,), std=(1.0,))
    return evaluation_page(outcome, page_card(), instances=measure_instances(outcome, frame, Singling(way="connected")))


def points_page(page_card):
    true = np.array([[[4, 4, 2], [20, 20, 2]]] * 2, np.float32)
    found, pixels = torch.tensor([[[5.0, 4, 0.9], [12, 20, 0.5]]] * 2), np.full((32, 32, 3), 200, np.uint8)
    outcome = Outcome(
        data="faces", split="test", target=Points(names=("left eye", "right eye")), outputs=found, labels=true,
        names=("0", "1"), picture=lambda index: pixels,
    )  # fmt: skip
    return evaluation_page(outcome, page_card())


def explanation():
    places = tuple(
        Place(METHODS[name], "cat", "", Attribution(values=torch.ones(1, 4, 4), layer="stage2"), 0.1)
        for name in ("gradcam", "gradient_x_input")
    )
    return Explanation(
        image="folder/cat.png", prediction=Prediction(scores=(LabelScore("cat", 0.7), LabelScore("dog", 0.2))),
        truth="owl", truth_probability=0.1, pixels=np.full((16, 16, 3), 120, np.uint8),
        described="image, 16 x 16 pixels", laid=lambda found: np.ones((16, 16), np.float32), places=places,
    )  # fmt: skip


def explained_pages():
    said, pixels = explanation(), np.full((16, 16, 4), 120, np.uint8)
    shown = [(picture(pixels), pixels)] * len(said.places)
    album = {"explanation": said, "page": "0.html", "shown": [address for address, _ in shown]}
    return {
        "explanation": explanation_page(said, shown),
        "gallery": render("gallery.html", images=[album] * 3, widest=2),
    }


def sheet_page():
    tile = np.full((20, 20, 3), 80, np.uint8)
    drawn = [Drawn(tile, f"{n}. cat", f"distance 0.{n}, train/cat/a_file_{n}.png") for n in range(4)]
    table = SheetTable(("layer", "score"), [("stage1", "0.5"), ("stage2", "0.6")])
    sheet = Sheet(title="Search", lead="Nearest images", groups=[Group("query.png", "note", drawn), Group(table=table)])
    return render("sheet.html", sheet=sheet, most=MOST_ROWS)


def comparison():
    groups = [
        {"name": f"recipe {n}", "runs": [f"run{n}"], "results": {"val": {"mean": 0.9 + n / 99}}, "pflop": {"mean": n}}
        for n in (1, 2)
    ]
    history = [{"epoch": e, "loss": 1 / (e + 1), "accuracy": 0.5, "val": {"loss": 1.0, "accuracy": 0.9 + e / 99}}
               for e in range(4)]  # fmt: skip
    tables = [Table(("run", "val"), (("recipe 1", "91 %"),)), Table(("field", "recipe 1"), (("lr", "0.1"),))]
    return compare_page(
        {"groups": groups, "notes": ["Two recipes."]}, tables=tables, sentences=["recipe 2 is better."],
        histories=[[history], [history]], kind=Classes,
    )  # fmt: skip


def checks():
    long = "English_setter_with_a_long_name"
    copies = [
        group(("train", f"train/{long}/img_000_n01491361.jpg", long), ("test", "test/cat/leak.jpg", "cat")),
        group(("train", "train/cat/a.jpg", "cat"), ("train", "train/cat/b.jpg", "cat"), exact=True),
    ]
    findings = [
        {"what": what, "found": found, "example": "", "fault": fault}
        for what, found, fault in (("label conflicts", 1, True), ("blank images", 2, False), ("imbalance", 0, False))
    ]
    return page_of(report(*copies, label_faults=doubted("train/a.png"), findings=findings, strays=["notes.txt"]))


def live_pages(folder):
    """Return the page of the server and that of an exported network, as they are before anything is loaded."""
    bundle = seeded_bundle()
    exported = Page(card=bundle.card, model=b"", runtime=runtime_files(archive(folder)), title="pets")
    served = Path(serving.__file__).with_name("page.html").read_text(encoding="utf-8")
    return {"served": served, "exported": exported.single_file().decode()}


@pytest.fixture
def pages(make_outcome, make_story, page_card, tmp_path):
    """Return every page by its name."""
    story = make_story(best_epoch=1)
    return {
        "training": training_page(story),
        "classes": classes_page(make_outcome, page_card),
        "boxes": boxes_page(page_card),
        "masks": masks_page(page_card),
        "points": points_page(page_card),
        "number": evaluation_page(
            make_outcome((), outputs=torch.arange(6.0, dtype=torch.float64)[:, None], labels=np.arange(6) + 0.5),
            page_card(),
        ),
        "check": checks(),
        "comparison": comparison(),
        "measurement": measured_page(),
        "trust": trust_page(verdicts(), PICTURES),
        "sheet": sheet_page(),
        **explained_pages(),
        **live_pages(tmp_path),
    }


class Seen(NamedTuple):
    """What was found in a page."""

    faults: list
    width: int
    cut: list
    unnamed: list
    contrast: float
    """The lowest of the numbers in a confusion matrix, in either scheme."""


def seen(page, content):
    """Return what there is to see in a page, opened once."""
    page.set_viewport_size({"width": 1280, "height": 720})
    page.emulate_media(color_scheme="light", reduced_motion="reduce")  # a colour half on its way has no contrast
    page.set_content(content)
    page.evaluate("() => document.querySelectorAll('details').forEach((e) => { e.open = true; })")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    faults, contrast = page.evaluate(RUN_AXE, ["light"]), page.evaluate(CELLS)
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    faults += page.evaluate(RUN_AXE, ["dark", "color-contrast"])
    contrast += page.evaluate(CELLS)
    page.set_viewport_size(PHONE)
    faults += page.evaluate(RUN_AXE, ["phone", "scrollable-region-focusable", "color-contrast"])
    width, cut = page.evaluate("document.documentElement.scrollWidth"), page.evaluate(CUT)
    return Seen(faults, width, cut, page.evaluate(UNNAMED), min(contrast, default=21))


@pytest.fixture(scope="module")
def browser():
    """Return one browser for all pages: to start one takes longer than to look at a page."""
    with chromium() as started:
        yield started


def test_every_page_is_for_everyone(pages, browser):
    page = browser.new_page()
    found = {name: seen(page, content) for name, content in pages.items()}
    assert {name: one.faults for name, one in found.items() if one.faults} == {}
    assert {name: one.cut for name, one in found.items() if one.cut or one.width > PHONE["width"]} == {}
    assert {name: one.unnamed for name, one in found.items() if one.unnamed} == {}
    assert {name: one.contrast for name, one in found.items() if one.contrast < 4.5} == {}
    assert found["classes"].contrast < 21


def test_the_values_of_a_chart_are_reached_by_keyboard(make_story, browser):
    page = browser.new_page()
    page.set_content(training_page(make_story()))
    table = page.locator("details.values table").first
    assert not table.is_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert table.is_visible() and "1.5" in table.inner_text()
