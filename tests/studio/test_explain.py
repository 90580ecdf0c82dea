"""The room "Explain" in a real browser: methods and their settings, two pictures, checks, cancelling, neighbours."""

import numpy as np
import pytest
from PIL import Image
from seeded_bundles import seeded_bundle
from studios import studio

pytest.importorskip("nicegui", reason="the extra `studio` is not installed")

from fovea.jobs.index import index  # noqa: E402
from fovea.model.bundle import save_bundle  # noqa: E402

pytestmark = pytest.mark.slow
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def page(tmp_path_factory, browser):
    """Give a page of a studio in a folder with two networks, an index and images; what it complains of is kept."""
    folder = tmp_path_factory.mktemp("studio")
    bundle = seeded_bundle(architecture="lenet5", channels=1, size=32, classes=["one", HOSTILE, "three"])
    for name in ("net", "other"):
        save_bundle(folder / f"{name}.safetensors", bundle.model, bundle.card)
    (folder / "pictures").mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "pictures" / f"{number}.png")
    index(folder / "net.safetensors", folder / "pictures", out=folder / "near.fovea-index", device="cpu")
    with studio("net.safetensors", folder=folder) as address:
        shown = browser.new_page()
        shown.faults = []
        shown.on("pageerror", lambda error: shown.faults.append(str(error)))
        shown.on("dialog", lambda dialog: shown.faults.append(dialog.message))
        shown.goto(address.replace("/?", "/explain?method=saliency&image=pictures/1.png&"))
        shown.wait_for_selector("#explain-panels figure", timeout=120_000)
        yield shown


def panels(page, count):
    page.wait_for_function(f"document.querySelectorAll('#explain-panels figure').length === {count}")
    return page.locator("#explain-panels figure b").all_inner_texts()


def test_an_answer_is_explained_beside_another_and_beside_another_network(page):
    assert "Saliency" in page.locator("#explain-panels").inner_text()
    page.get_by_label("Answer", exact=True).fill("three")
    page.get_by_label("Beside it").select_option("answer")
    page.get_by_label("Its answer").fill(HOSTILE)
    page.keyboard.press("Tab")
    page.wait_for_function("document.querySelectorAll('#explain-panels figure')[1]?.textContent.includes('<img')")
    assert panels(page, 2) == ["three", HOSTILE]
    page.get_by_label("Its answer").fill("")
    page.get_by_label("Beside it").select_option("network")
    page.get_by_label("Second network").select_option("other.safetensors")
    page.wait_for_selector("#explain-bars-1 .bar")
    page.get_by_label("Beside it").select_option("")
    assert panels(page, 1) == ["three"]
    assert page.faults == []


def test_settings_are_followed_bounded_and_a_long_work_is_cancelled(page):
    page.get_by_label("Method").select_option("occlusion")
    heat = page.locator("#explain-panels .heat")
    page.wait_for_function("document.getElementById('explain-panels').textContent.includes('Occlusion')")
    before = heat.get_attribute("src")
    page.get_by_label("patch, slider").fill("12")
    page.wait_for_function(f"document.querySelector('#explain-panels .heat').src !== {before!r}")
    page.get_by_label("patch", exact=True).fill("900")
    page.keyboard.press("Tab")
    page.wait_for_function("document.getElementById('explain-error').textContent.includes('shorter side')")
    page.get_by_label("Method").select_option("rise")
    page.get_by_label("masks", exact=True).fill("1000000")
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Cancel").click()
    page.wait_for_function("document.getElementById('explain-error').textContent === 'Stopped.'")


def test_a_picture_is_checked_and_what_is_alike_is_found(page):
    page.get_by_label("Method").select_option("saliency")
    page.wait_for_function("document.getElementById('explain-panels').textContent.includes('Saliency')")
    page.get_by_role("button", name="Check this picture").click()
    page.wait_for_selector("#explain-trust polyline")
    assert "sanity check" in page.locator("#explain-trust").inner_text()
    page.get_by_role("button", name="Find").click()
    page.wait_for_selector("#explain-near img")
    assert page.locator("#explain-near img").first.get_attribute("alt") == "1.png"
    assert page.faults == []


def test_files_outside_of_the_folder_are_refused(page):
    page.goto(page.url.split("?")[0] + "?second=../../x.safetensors&image=/etc/passwd")
    page.wait_for_function("document.getElementById('explain-error').textContent.includes('is not in the folder')")
    page.wait_for_function("document.body.textContent.includes('`/etc/passwd` is not in the folder')")
