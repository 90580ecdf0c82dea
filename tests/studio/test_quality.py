"""All rooms in a real browser, with names that would be scripts: for every eye, every window, the keyboard alone."""

import io
import shutil
from functools import cache
from typing import NamedTuple
from urllib.parse import urlencode

import pytest
from payloads import PAYLOADS
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from seeded_bundles import seeded_bundle
from studios import studio

pytest.importorskip("nicegui", reason="the extra `studio` is not installed")

from accessibility import AXE, CUT, RUN_AXE  # noqa: E402

from fovea.model.bundle import save_bundle  # noqa: E402
from fovea.studio.rooms import ROOMS  # noqa: E402

pytestmark = pytest.mark.slow

PAGES = (*(room.path for room in ROOMS), "/course?topic=padding", "/course?topic=batch-norm")
NAMED = """() => {
  const e = document.activeElement;
  const labels = e.labels ? [...e.labels].map((label) => label.textContent) : [];
  return [e.tagName, [e.getAttribute('aria-label'), e.textContent, e.title, e.alt, ...labels].join(' ').trim()];
}"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Give the address of a studio with 1,000 classes for small grey images, none of them a harmless name."""
    folder = tmp_path_factory.mktemp("quality")
    names = [f"{PAYLOADS[number % len(PAYLOADS)]} {number}" for number in range(1000)]
    bundle = seeded_bundle(architecture="lenet5", channels=1, size=28, classes=names)
    model = folder / "model.safetensors"
    save_bundle(model, bundle.model, bundle.card)
    hostile_files(folder, model)
    with studio(model, folder=folder) as address:
        yield address


def hostile_files(folder, model):
    """Write images, a second model and a run whose names would be scripts."""
    names = [name for name in PAYLOADS if "/" not in name and name.isascii() and name.isprintable()][:12]
    for number, name in enumerate(names):
        place = folder / "images" / names[number % 3]
        place.mkdir(parents=True, exist_ok=True)
        Image.new("L", (28, 28), 20 * number).save(place / f"{name}.png")
    shutil.copy(model, folder / f"{names[0]}.safetensors")
    (folder / "runs" / names[1]).mkdir(parents=True)
    (folder / "runs" / names[1] / "recipe.toml").write_text('architecture = "lenet5"\n')


@pytest.fixture(scope="module")
def visit(browser, address):
    """Give a visitor who has come in."""
    return Visitor(browser, address)


class Visitor:
    """A browser of its own in the studio, with all that it asked for and complained of."""

    def __init__(self, browser, address):
        self.asked, self.faults, self.dialogs = [], [], []
        self.context = browser.new_context()
        self.page = self.context.new_page()
        self.page.set_default_timeout(90_000)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))
        self.page.goto(address)
        self.page.wait_for_selector("main:not(.loading)", timeout=60_000)
        self.root = self.page.url.partition("/?")[0].rstrip("/")

    def enter(self, path):
        self.page.goto(self.root + path)
        self.page.wait_for_selector("main:not(.loading)")
        self.page.wait_for_load_state("networkidle")
        return self.page

    def check(self):
        """See that nothing has run as script, complained, or asked another host."""
        assert not self.page.evaluate("window.ran") and self.dialogs == [] and self.faults == []
        assert {url.split("/")[2] for url in self.asked if "://" in url and not url.startswith("blob:")} == {
            self.root.split("/")[2]
        }


class Seen(NamedTuple):
    """What was found on a page in one visit."""

    faults: list
    """What axe-core has found, in both colour schemes."""
    width: int
    cut: list
    """Elements that stand out of a narrow window."""
    stops: list
    """What the Tab key leads to: tag and name."""


@pytest.fixture(scope="module")
def seen(visit):
    """Return a function that gives what there is to see on a page, visited once."""

    @cache
    def page_seen(path):
        page = visit.enter(path)
        page.evaluate(AXE.read_text(encoding="utf-8"))
        faults = page.evaluate(RUN_AXE, ["light"])
        page.emulate_media(color_scheme="dark")
        faults += page.evaluate(RUN_AXE, ["dark", "color-contrast"])
        page.emulate_media(color_scheme="light")
        stops = []
        for _ in range(20):
            page.keyboard.press("Tab")
            stops.append(page.evaluate(NAMED))
        page.set_viewport_size({"width": 375, "height": 700})
        found = Seen(faults, page.evaluate("document.documentElement.scrollWidth"), page.evaluate(CUT), stops)
        page.set_viewport_size({"width": 1280, "height": 720})
        visit.check()
        return found

    return page_seen


@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing_in_either_scheme(seen, path):
    assert seen(path).faults == []


@pytest.mark.parametrize("path", PAGES)
def test_a_narrow_window_cuts_nothing(seen, path):
    assert seen(path).width <= 375 and seen(path).cut == []


@pytest.mark.parametrize("path", PAGES)
def test_every_stop_of_the_keyboard_has_a_name(seen, path):
    assert [stop for stop in seen(path).stops if stop[0] != "BODY" and not stop[1]] == []
    names = [name for _, name in seen(path).stops]
    assert all(any(room.name in name for name in names) for room in ROOMS)


def test_the_lab_is_worked_by_keyboard(visit):
    page = visit.enter("/lab?image=1 2 3 4&kernel=1 1")
    page.wait_for_selector("#lab-output td")
    page.get_by_label("input, row 0, column 0").focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("9")
    page.keyboard.press("Tab")
    page.wait_for_function("document.getElementById('lab-output').innerText.trim().startsWith('11')")
    page.get_by_label("Stride").focus()
    page.keyboard.press("ArrowDown")
    page.wait_for_function("document.querySelectorAll('#lab-output td').length === 2")


def test_a_topic_is_read_and_changed_by_keyboard(visit):
    page = visit.enter("/course?topic=padding")
    page.wait_for_selector(".grid-picture td")
    page.get_by_label("padding").focus()
    page.keyboard.press("ArrowDown")
    page.wait_for_function("document.querySelectorAll('.grid-picture td').length === 25 + 9 + 49")
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("details[open]").count() == 1
    page.get_by_role("button", name="Next cell").focus()
    before = page.locator(".grid-picture p").first.inner_text()
    page.keyboard.press("Enter")
    assert page.locator(".grid-picture p").first.inner_text() != before


def test_hostile_names_of_classes_are_shown_as_text(visit):
    page = visit.enter("/")
    page.wait_for_selector("#bars .bar")
    assert page.locator("#bars .bar").count() == 8
    page.wait_for_function("document.getElementById('bars').innerText.includes('window.ran=1')")
    visit.check()


@pytest.mark.parametrize("number", range(len(ROOMS)), ids=lambda number: ROOMS[number].name)
def test_hostile_addresses_break_no_page(visit, number):
    fields = ("topic", "deck", "layer", "unit", "space", "image", "kernel", "kind", "example", "method", "answer")
    more = ("model", "with.model", "set.width", "input", "data", "run", "name", "out", "classes", "other", "second")
    names = (*fields, *more, "at", "padding", "stride")
    own = (PAYLOADS * 2)[len(names) * number :]
    page = visit.enter(f"{ROOMS[number].path}?{urlencode(dict(zip(names, own, strict=False)))}")
    assert page.locator("nav.rooms a").count() == len(ROOMS)
    visit.check()


@pytest.mark.parametrize("path", ["/label?data=images&out=labels.csv&by=file", "/train?data=images", "/explain"])
def test_hostile_names_of_files_are_shown_as_text(visit, path):
    page = visit.enter(path)
    page.wait_for_timeout(500)
    assert page.locator("nav.rooms a").count() == len(ROOMS)
    visit.check()


def test_hostile_uploads_are_shown_or_refused(visit):
    page = visit.enter("/")
    page.wait_for_selector("#map-picture[src]")
    for name, content in uploads().items():
        page.set_input_files("input[type=file]", [{"name": name, "mimeType": "image/png", "buffer": content}])
        page.wait_for_timeout(300)
        visit.check()
    assert page.locator("#bars .bar").count() == 8


def uploads():
    """Return files by name: a picture with scripts in its texts, and what is no picture."""
    texts = PngInfo()
    for number, payload in enumerate(PAYLOADS):
        texts.add_text(f"t{number}", payload)
    drawn, photograph = io.BytesIO(), io.BytesIO()
    Image.new("L", (28, 28), 90).save(drawn, "PNG", pnginfo=texts)
    Image.new("RGB", (28, 28), "red").save(photograph, "JPEG", comment=PAYLOADS[0].encode())
    return {
        "<img src=x onerror=window.ran=1>.png": drawn.getvalue(),
        "'\"><script>window.ran=1<／script>.jpg": photograph.getvalue(),
        "x.svg": b"<svg xmlns='http://www.w3.org/2000/svg' onload='window.ran=1'/>",
        "page.html": b"<script>window.ran=1</script>",
        "..%2f..%2fetc%2fpasswd": b"\x89PNG\r\n\x1a\n",
        "empty.png": b"",
    }


def test_two_users_see_each_their_own(browser, address, visit):
    other = Visitor(browser, address)
    mine, theirs = visit.enter("/lab?image=1 2 3&kernel=1 1"), other.enter("/lab?image=5 6 7&kernel=1 1")
    for page in (mine, theirs):
        page.wait_for_selector("#lab-output td")
    assert mine.locator("#lab-output").inner_text().split() == ["3", "5"]
    assert theirs.locator("#lab-output").inner_text().split() == ["11", "13"]
    mine.get_by_label("input, row 0, column 0").fill("10")
    mine.keyboard.press("Tab")
    mine.wait_for_function("document.getElementById('lab-output').innerText.trim().startsWith('12')")
    assert theirs.locator("#lab-output").inner_text().split() == ["11", "13"]
    other.context.close()


def test_a_tab_killed_in_the_middle_leaves_the_studio_to_others(browser, address, visit):
    other = Visitor(browser, address)
    page = other.enter("/")
    page.wait_for_selector("#map-picture[src]")
    page.locator("#map-frame").hover(position={"x": 10, "y": 10})
    session = other.context.new_cdp_session(page)
    session.send("Page.navigate", {"url": "about:blank"})
    other.context.close()
    visit.enter("/")
    visit.page.wait_for_selector("#map-picture[src]")
    visit.check()
