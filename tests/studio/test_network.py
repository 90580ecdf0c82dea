"""The room Network in a real browser: a network changed block by block, beside another, and an exported file."""

import pytest
from browsers import chromium
from onnx import helper
from onnx_files import onnx_model
from seeded_bundles import seeded_bundle
from studios import studio

pytest.importorskip("nicegui", reason="the extra `studio` is not installed")

from fovea.model.bundle import save_bundle  # noqa: E402

pytestmark = pytest.mark.slow
HOSTILE = "<img src=x onerror=alert(1)>"
NAME = "A name, letters, or a file of the folder"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Give the address of a studio with a network, in a folder that holds an exported one too."""
    folder = tmp_path_factory.mktemp("studio")
    bundle = seeded_bundle(architecture="lenet5", channels=1, size=32)
    save_bundle(folder / "digits.safetensors", bundle.model, bundle.card)
    hostile = [helper.make_node("Relu", ["images"], ["y"], name=HOSTILE, text=HOSTILE)]
    (folder / "net.onnx").write_bytes(onnx_model().SerializeToString())
    (folder / "hostile.onnx").write_bytes(onnx_model(nodes=hostile, outputs=[]).SerializeToString())
    with studio("digits.safetensors", folder=folder) as address:
        yield address


@pytest.fixture(scope="module")
def page(address):
    with chromium() as browser:
        page = browser.new_page()
        page.faults = []
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.on("dialog", lambda dialog: page.faults.append(dialog.message))
        page.goto(address)
        yield page
        assert page.faults == []


def visit(page, state=""):
    page.goto(f"{page.url.split('/', 3)[0]}//{page.url.split('/', 3)[2]}/network{state}")
    page.wait_for_selector("#network-costs table", timeout=60_000)


def after(page, action):
    """Do something, and wait until the network is shown anew."""
    before = page.evaluate("network.shown || 0")
    action()
    page.wait_for_function(f"(network.shown || 0) > {before}")


def tiles(page):
    return page.locator(".tile b").all_inner_texts()


def test_what_is_open_is_shown_and_changed_block_by_block(page):
    visit(page)
    assert tiles(page)[0] == "61,111"
    page.locator("#network-graphs g.box").nth(1).focus()
    page.keyboard.press("Enter")
    assert "1x32x32" in page.locator("#network-layer").inner_text()
    assert page.locator("tr.chosen button").inner_text() == "stage1.conv"
    after(page, lambda: page.get_by_role("button", name="Change it layer by layer").click())
    assert page.get_by_label(NAME).input_value() == "C6k5p0PR C16k5p0PR F120R F84R F"
    after(page, lambda: page.get_by_role("button", name="Keep this one and continue").click())
    page.locator(".chip").nth(0).focus()
    page.keyboard.press("Enter")
    after(page, lambda: page.get_by_label("channels", exact=True).fill("8"))
    differing = page.get_by_role("table", name="Layers that differ")
    assert "Conv2d 8x28x28, 208 parameters" in differing.inner_text()
    page.get_by_label("kernel", exact=True).fill("99")
    page.wait_for_function("document.getElementById('network-error').textContent.includes('does not fit')")
    after(page, lambda: page.get_by_label("kernel", exact=True).fill("5"))
    after(page, lambda: page.get_by_role("button", name="Insert behind").click())
    assert page.get_by_label(NAME).input_value().startswith("C8k5p0C8PR")
    after(page, lambda: page.get_by_role("button", name="Remove").click())
    assert "model=C8k5p0PR" in page.url and "with.model=C6k5p0PR" in page.url
    with page.expect_download() as download:
        page.get_by_role("button", name="As Python").click()
    text = download.value.path().read_text()
    assert "self.stage1.conv1 = nn.Conv2d(1, 8, kernel_size=5" in text


def test_a_state_of_the_address_and_arguments_of_a_name(page):
    visit(page, "?model=foveola&set.width=0.5&input=3x32x32&depth=1&layer=stage1")
    assert page.locator("tr.chosen button").inner_text() == "stage1"
    before = tiles(page)[0]
    after(page, lambda: page.get_by_role("spinbutton", name="width").fill("0.25"))
    assert int(tiles(page)[0].replace(",", "")) < int(before.replace(",", ""))
    page.get_by_label(NAME).fill(HOSTILE)
    page.keyboard.press("Tab")
    page.wait_for_function("document.getElementById('network-error').textContent.includes('<img src=x')")


def test_an_exported_file_is_searched_and_its_operations_told(page):
    visit(page, "?model=net.onnx")
    count = page.locator("#network-graphs g.box").count()
    assert count == page.locator("#network-costs tbody tr").count() > 3
    page.get_by_label("Search").fill("softmax")
    page.wait_for_function("document.querySelectorAll('#network-costs tbody tr').length === 1")
    page.locator("#network-costs tbody button").click()
    page.wait_for_function("document.getElementById('network-layer').textContent.includes('operator: Softmax')")
    page.goto(f"{page.url.partition('?')[0]}?model=../net.onnx")
    page.get_by_role("alert").filter(has_text="not in the folder").wait_for()


def test_names_in_a_file_are_shown_as_text(page):
    visit(page, "?model=hostile.onnx")
    page.locator("#network-graphs g.box").click()
    page.wait_for_function("document.getElementById('network-layer').textContent.includes('text: <img src=x')")
    assert page.locator("#network-layer-title").inner_text() == HOSTILE
    assert page.locator("main img").count() == 0
