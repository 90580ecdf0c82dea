"""The room "Label" in a real browser: what is pressed, drawn and painted is in the file, and comes back."""

import json
from urllib.parse import urlencode

import numpy as np
import pytest
from PIL import Image
from seeded_bundles import seeded_bundle
from studios import studio

pytest.importorskip("nicegui", reason="the extra `studio` is not installed")

from fovea.data.sources.source import find  # noqa: E402
from fovea.model.bundle import save_bundle  # noqa: E402

pytestmark = pytest.mark.slow

H, W = 60, 90
HOSTILE = "<img src=x onerror=window.hacked=1>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the folder of the studio, with images whose names are hostile too."""
    folder = tmp_path_factory.mktemp("studio")
    (folder / "photos").mkdir()
    for name in ("a.png", f"b{HOSTILE}.png", "c.png"):
        Image.fromarray(np.full((H, W, 3), 90, np.uint8)).save(folder / "photos" / name)
    bundle = seeded_bundle()
    save_bundle(folder / "colours.safetensors", bundle.model, bundle.card)
    return folder


@pytest.fixture(scope="module")
def address(folder):
    """Give the address of a studio in that folder, in a process of its own."""
    with studio("colours.safetensors", folder=folder) as address:
        yield address


class Visit:
    """A page of the room, and what it complained of."""

    def __init__(self, browser, address, **state):
        self.faults = []
        self.page = browser.new_context().new_page()
        self.page.set_default_timeout(60_000)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.goto(address)
        self.go(**state)

    def go(self, **state):
        asked = {"data": "photos", "by": "in the order of the files", **state}
        self.page.goto(self.page.url.split("?")[0].removesuffix("label") + f"label?{urlencode(asked)}")
        self.page.wait_for_function("window.label && label.shown")

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def waits(self, condition):
        self.page.wait_for_function(condition)

    def waits_for_image(self, name):
        self.waits(f"document.getElementById('label-name').textContent === {json.dumps(name)}")

    def waits_for_done(self, count):
        self.waits(f"document.getElementById('label-stage').dataset.done === '{count}'")

    def at(self, x, y):
        """Return where a place of the image is on the page."""
        box = self.page.locator("#label-stage").bounding_box()
        return box["x"] + x / W * box["width"], box["y"] + y / H * box["height"]

    def drag(self, *places):
        self.page.mouse.move(*self.at(*places[0]))
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*self.at(*place), steps=3)
        self.page.mouse.up()


def annotations(file):
    return json.loads(file.read_text())["annotations"]


def test_keys_label_undo_takes_back_and_a_killed_tab_loses_nothing(address, browser, folder):
    state = {"kind": "classes", "classes": f"cat\n{HOSTILE}", "out": "labels.csv"}
    visit = Visit(browser, address, **state)
    visit.press("1")
    visit.waits_for_image(f"b{HOSTILE}.png")
    visit.press("2")
    visit.waits_for_image("c.png")
    visit.press("Control+z")
    visit.waits_for_image(f"b{HOSTILE}.png")
    visit.waits_for_done(1)
    visit.press("2")
    visit.waits_for_done(2)
    visit.page.close(run_before_unload=False)
    again = Visit(browser, address, **state)
    again.waits_for_image("c.png")
    assert again.page.locator("#label-count").inner_text().startswith("2 of 3")
    assert again.page.evaluate("window.hacked") is None and visit.faults == again.faults == []
    found = find(folder / "labels.csv")
    assert found.classes == (HOSTILE, "cat") and found.parts["train"].labels.tolist() == [1, 0]


def test_what_the_network_proposes_is_accepted_by_enter(address, browser, folder):
    visit = Visit(browser, address, by="margin", out="proposed.csv")
    visit.waits("document.body.innerText.includes('most doubtful first')")
    visit.waits("label.room.proposal !== null")
    answer = visit.page.evaluate("label.room.proposal")
    visit.press("Enter")
    visit.waits_for_done(1)
    assert answer in seeded_bundle().classes and find(folder / "proposed.csv").classes == (answer,)


def test_a_box_is_dragged_moved_by_keys_and_deleted(address, browser, folder):
    visit = Visit(browser, address, kind="boxes", classes="cell\nwall", out="boxes.json")
    visit.drag((10, 10), (40, 30))
    visit.waits_for_done(1)
    visit.press("ArrowRight", "Control+ArrowDown", "Shift+ArrowRight", "2")
    visit.drag((60, 10), (70, 20))
    visit.press("Delete", "Enter")
    visit.waits_for_image(f"b{HOSTILE}.png")
    [box] = annotations(folder / "boxes.json")
    assert box["category_id"] == 2 and np.allclose(box["bbox"], [11, 20, 31, 20], atol=0.5)
    visit.press("Insert")
    visit.waits_for_done(2)
    visit.page.reload()
    visit.waits("document.querySelectorAll('#label-shapes g.shape').length === 1")
    assert visit.faults == [] and find(folder / "boxes.json").task == "boxes"


def test_a_polygon_is_clicked_and_closed(address, browser, folder):
    visit = Visit(browser, address, kind="polygons", classes="cell", out="polygons.json")
    for place in ((10, 10), (50, 10), (50, 40)):
        visit.page.mouse.click(*visit.at(*place))
    visit.press("Enter")
    visit.waits_for_done(1)
    [polygon] = annotations(folder / "polygons.json")
    assert np.allclose(polygon["segmentation"], [[10, 10, 50, 10, 50, 40]], atol=0.5)
    assert visit.faults == []


def test_a_brush_covers_the_same_pixels_here_and_there(address, browser, folder):
    visit = Visit(browser, address, kind="brush", classes="cell", out="masks.json")
    visit.waits("labelBrush.brush.mask !== null")
    visit.drag((20, 20), (60, 33), (30, 50))
    visit.waits_for_done(1)
    drawn = np.array(visit.page.evaluate("[...labelBrush.brush.mask]"), np.uint8).reshape(H, W)
    [source] = find(folder / "masks.json", task="masks").parts["train"].labels
    assert (drawn == 0).sum() > 500 and (source.shapes[0].inside((H, W)) == (drawn == 0)).all()
    visit.press("Control+z")
    visit.waits_for_done(0)
    assert visit.faults == []


def test_points_are_placed_in_their_order_and_hidden(address, browser, folder):
    visit = Visit(browser, address, kind="points", classes="left\nright", out="points.json")
    visit.page.mouse.click(*visit.at(20, 20))
    visit.page.mouse.click(*visit.at(50, 21))
    visit.waits_for_done(1)
    visit.page.locator("#label-shapes g[data-n='1']").focus()
    visit.press("Space", "ArrowRight", "Enter")
    visit.waits_for_image(f"b{HOSTILE}.png")
    [label] = find(folder / "points.json").parts["train"].labels.tolist()
    assert np.allclose(label, [[20, 20, 2], [51, 21, 1]], atol=0.5)
    assert visit.faults == []


def test_what_cannot_be_labelled_is_said_above_the_form(address, browser):
    page = Visit(browser, address, kind="boxes", classes="a", out="other.json").page
    for query in ("data=../../etc&out=a.csv&classes=a", "data=photos&out=../a.csv&classes=a", "data=photos&out=a.exe"):
        page.goto(page.url.split("?")[0] + f"?{query}")
        page.wait_for_selector("main.label [role=alert]")
    assert page.locator("#label-begin").is_visible()
