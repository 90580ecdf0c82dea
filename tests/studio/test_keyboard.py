"""The rooms by keyboard alone: Tab leads to the main control, Enter and the arrows work it.

The rooms Convolution lab and Course are in test_quality.py, a running training in test_train.py.
"""

import pytest
from PIL import Image
from seeded_bundles import seeded_bundle
from studios import studio

pytest.importorskip("nicegui", reason="the extra `studio` is not installed")

from fovea.model.bundle import save_bundle  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keyboard")
    bundle = seeded_bundle(architecture="lenet5", channels=1, size=32, classes=["one", "two", "three"])
    save_bundle(folder / "net.safetensors", bundle.model, bundle.card)
    (folder / "photos").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("L", (32, 32), 90).save(folder / "photos" / name)
    return folder


@pytest.fixture(scope="module")
def page(folder, browser):
    """Give a page of a studio that is loaded."""
    with studio("net.safetensors", folder=folder) as address:
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.goto(address)
        page.wait_for_selector("#map-picture[src]")
        yield page


def enter(page, path, ready):
    page.goto(page.url.split("/")[0] + "//" + page.url.split("/")[2] + path)
    page.wait_for_selector(ready)


def tab_to(page, selector):
    """Press Tab until what it leads to is the one that is wanted."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"Tab does not lead to {selector}")


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)


def text(page, selector):
    return page.locator(selector).first.inner_text()


def test_a_layer_is_opened_and_a_unit_followed_back(page):
    enter(page, "/", "#map-picture[src]")
    tab_to(page, ".strip button:nth-child(4)")
    press(page, "Enter")
    page.wait_for_selector(".strip button:nth-child(4)[aria-pressed=true]")
    tab_to(page, "#map-frame")
    press(page, "ArrowRight", "ArrowDown")
    page.wait_for_function("document.getElementById('unit-title').textContent.includes('row 1, column 1')")
    press(page, "Enter")
    page.wait_for_selector(".strip button:nth-child(3)[aria-pressed=true]")


def test_a_method_is_chosen_and_its_setting_changed(page):
    enter(page, "/explain?method=saliency", "#explain-panels figure")
    tab_to(page, "select:has(option[value=occlusion])")
    page.keyboard.type("Occlusion")
    page.wait_for_function("document.getElementById('explain-panels').textContent.includes('Occlusion')")
    before = page.locator("#explain-panels .heat").get_attribute("src")
    tab_to(page, "[aria-label='patch, slider']")
    press(page, "ArrowRight", "ArrowRight")
    page.wait_for_function(f"document.querySelector('#explain-panels .heat').src !== {before!r}")


def test_a_layer_of_the_graph_is_told_and_a_block_removed(page):
    enter(page, "/network", "#network-graphs g.box")
    tab_to(page, "g.box[data-path='stage1.conv']")
    press(page, "Enter")
    page.wait_for_selector("tr.chosen button")
    enter(page, "/network?model=C6PRF", ".chip")
    tab_to(page, ".chip:nth-child(2)")
    press(page, "Enter")
    tab_to(page, ".blocks .buttons button:nth-child(4)")
    press(page, "Enter")
    page.wait_for_function("location.search.includes('model=C6R')")


def test_images_are_labelled_and_a_label_is_taken_back_after_a_reload(page, folder):
    enter(page, "/label?data=photos&classes=cat%0Adog&by=as+they+lie+there", "#label-begin")
    tab_to(page, "#label-begin")
    press(page, "Enter")
    page.wait_for_function("window.label && label.shown")
    press(page, "2")
    page.wait_for_function("document.getElementById('label-stage').dataset.done === '1'")
    assert (folder / "labels.csv").read_text().endswith("photos/a.png,dog\n")
    page.reload()
    page.wait_for_function("window.label && label.shown")
    press(page, "Control+z")
    page.wait_for_function("document.getElementById('label-stage').dataset.done === '0'")
    assert "dog" not in (folder / "labels.csv").read_text()


def test_a_training_is_planned(page):
    enter(page, "/train", "#train-form")
    page.wait_for_function("document.querySelectorAll('#train-data option').length > 0")
    tab_to(page, "input[name=data]")
    page.keyboard.type("digits")
    tab_to(page, "#train-preview")
    press(page, "Enter")
    page.wait_for_selector("#train-previewed img")
