"""The rooms in a real browser: what a person does with the pointer, the keyboard and a drawing."""

import pytest
from seeded_bundles import seeded_bundle
from studios import studio

pytest.importorskip("nicegui", reason="the extra `studio` is not installed")

from fovea.model.bundle import save_bundle  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Give the address of a studio with a network for digits, in a process of its own."""
    model = tmp_path_factory.mktemp("studio") / "digits.safetensors"
    bundle = seeded_bundle(architecture="lenet5", channels=1, size=32)
    save_bundle(model, bundle.model, bundle.card)
    with studio(model) as address:
        yield address


class Visit:
    """A page of the studio, with all that it asked for and complained of."""

    def __init__(self, browser, address):
        self.asked, self.faults = [], []
        self.page = browser.new_context().new_page()
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.goto(address)


def test_a_unit_under_the_pointer_is_written_out_and_led_back(address, browser):
    visit = Visit(browser, address)
    page = visit.page
    page.wait_for_selector("#map-picture[src]")
    assert "token" not in page.url
    page.locator("#map-frame").hover(position={"x": 30, "y": 30})
    page.wait_for_function("document.getElementById('unit-lines').textContent.includes('=')")
    assert "stage1.conv: conv2d, channel 0" in page.locator("#unit-title").inner_text()
    marked = page.locator("#image-0 rect")
    assert marked.get_attribute("visibility") == "visible" and marked.get_attribute("width") == "5"
    page.locator("#unit-terms button").first.click()
    page.wait_for_function("document.getElementById('unit-title').textContent.startsWith('input')")
    page.locator("#map-frame").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.getElementById('unit-title').textContent.includes('column 1')")
    assert {url.split("/")[2] for url in visit.asked if url.startswith("http")} == {page.url.split("/")[2]}
    assert visit.faults == []


def test_the_classes_follow_what_is_drawn(address, browser):
    page = Visit(browser, address).page
    page.wait_for_selector("#bars .bar")
    before = page.locator("#bars").inner_text()
    box = page.locator("#pad").bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 100, box["y"] + 180, steps=4)
    page.mouse.up()
    page.wait_for_function(f"document.getElementById('bars').innerText !== {before!r}")


def test_the_network_in_space_is_turned_and_its_blocks_open_layers(address, browser):
    visit = Visit(browser, address)
    page = visit.page
    page.wait_for_selector("#map-picture[src]")
    page.get_by_text("3-D view").click()
    page.wait_for_function("document.querySelectorAll('#space-list li').length > 5")
    assert page.locator("#space-list li").first.text_content() == "input, 1 x 32 x 32"
    page.locator("#space-canvas").focus()
    picture = "document.getElementById('space-canvas').toDataURL()"
    page.wait_for_function(f"{picture}.length > 5000")
    before = page.evaluate(picture)
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(picture) != before
    page.keyboard.press("Home")
    assert page.evaluate(picture) == before
    page.get_by_text("As a list").click()
    page.locator("#space-list button").nth(3).click()
    page.wait_for_function("document.querySelectorAll('.strip button')[3].getAttribute('aria-pressed') === 'true'")
    assert visit.faults == []


def test_the_lab_shows_the_example_of_the_slide(address, browser):
    visit = Visit(browser, address)
    page = visit.page
    page.goto(page.url + "lab")
    page.wait_for_selector("#lab-output td")
    assert page.locator("#lab-output").inner_text().split() == "12 12 17 10 17 19 9 6 14".split()
    page.locator("#lab-output td").first.hover()
    assert page.locator("#lab-text").inner_text().endswith("= 12")
    assert page.locator("#lab-image td.on, #lab-image td.seen").count() == 9
    page.get_by_label("Operation").select_option("max")
    page.wait_for_function("document.getElementById('lab-output').innerText.trim().startsWith('3')")
    page.get_by_label("input, row 0, column 0").fill("99")
    page.keyboard.press("Tab")
    page.wait_for_function("document.getElementById('lab-output').innerText.trim().startsWith('99')")
    page.get_by_label("input, row 0, column 0").fill("<b>")
    page.keyboard.press("Tab")
    page.wait_for_function("document.getElementById('lab-error').textContent.includes('one number')")
    rows, columns = (page.get_by_label(name, exact=True) for name in ("Kernel rows", "Columns"))
    assert (rows.input_value(), columns.input_value()) == ("3", "5")
    columns.fill("17")
    page.keyboard.press("Tab")
    page.wait_for_function("document.getElementById('lab-error').textContent.includes('from 1 to 16')")
    assert columns.input_value() == "5"
    page.get_by_label("Example").select_option(label="004: the edge of a signal")
    page.wait_for_function("document.querySelectorAll('#lab-image td').length === 8")
    assert (rows.input_value(), columns.input_value()) == ("1", "8")
    assert visit.faults == []
