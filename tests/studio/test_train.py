"""The room "Train" in a real browser: a training is begun, steered, left and found again, stopped, resumed, killed."""

import os
import re
import signal
import time
import tomllib
from pathlib import Path

import pytest
from studios import studio

pytest.importorskip("nicegui", reason="the extra `studio` is not installed")

from fovea.runs.folder import Run  # noqa: E402
from fovea.runs.live import FRESH_S  # noqa: E402

pytestmark = pytest.mark.slow
FORM = "data=digits&model=lenet5&epochs=9000&size=16&batch=32&seed=0&name=mine"
MORE = "threads=1 precision=float32 momentum=0.8"
LONG_MS = 120_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the folder of the studio, without links on the way, and end what is still trained there."""
    folder = tmp_path_factory.mktemp("studio").resolve()
    (folder / "<img src=x onerror=alert(1)>").mkdir()
    yield folder
    for number in trainings(folder):
        os.kill(number, signal.SIGKILL)


def trainings(folder):
    """Return the numbers of the processes that train in a folder."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"train" in words and any(str(folder).encode() in word for word in words):
                found.append(int(process.name))
    return found


@pytest.fixture(scope="module")
def address(folder):
    with studio(folder=folder) as address:
        yield address


class Visit:
    """A page of the room, with all that it asked for and complained of."""

    def __init__(self, context, address):
        self.asked, self.faults = [], []
        self.page = context.new_page()
        self.page.set_default_timeout(LONG_MS)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.goto(address)
        self.page.wait_for_selector("#train-data option", state="attached")

    def state(self, text):
        """Wait for a state of the run."""
        self.page.wait_for_function(f"document.getElementById('train-state').textContent.startsWith('{text}')")

    def step(self):
        """Return the number of the step that is shown."""
        self.page.wait_for_function("/^step/.test(document.getElementById('train-numbers').textContent)")
        words = self.page.locator("#train-numbers").inner_text()
        return int(re.match(r"step ([\d,]+)", words)[1].replace(",", ""))


def until(true):
    ends = time.monotonic() + 60
    while not true() and time.monotonic() < ends:
        time.sleep(0.05)
    assert true()


def test_a_training_is_begun_steered_left_and_killed(address, folder, browser):
    context = browser.new_context()
    first, run = context.new_page(), Run(folder / "runs" / "mine")
    first.goto(address)
    room = f"{address.split('?')[0]}train"
    visit = Visit(context, f"{room}?{FORM}")
    page = visit.page
    assert page.get_by_label("Network").input_value() == "lenet5"
    assert "<img src=x" in page.locator("#train-data").inner_html().replace("&lt;", "<")
    page.get_by_label("More, as key=value").fill(MORE)
    page.keyboard.press("Enter")
    visit.step()
    page.wait_for_selector("#train-maps img[src]")
    assert page.locator("#train-layers tr").count() > 5 and page.locator("#train-curves svg").count() >= 1

    page.get_by_role("button", name="Pause").focus()
    page.keyboard.press("Enter")
    visit.state("paused")
    page.wait_for_timeout(1500)
    before = visit.step()
    page.wait_for_timeout(1500)
    assert visit.step() == before, "it waits"
    page.get_by_role("button", name="One step").click()
    page.wait_for_function(f"document.getElementById('train-numbers').textContent.startsWith('step {before + 1:,},')")
    rate = page.locator("#train-values input[name=lr]")
    rate.fill("0.0007")
    rate.press("Enter")
    until(lambda: "changes" in run.read_recipe())
    assert tomllib.loads(run.recipe.read_text())["changes"] == [{"step": before + 1, "lr": 0.0007}]
    rate.fill("-1")
    rate.press("Enter")
    page.wait_for_function("document.getElementById('train-told').textContent.includes('`lr` (=-1')")
    page.get_by_role("button", name="Snapshot").click()
    until(lambda: run.snapshot(before + 1).exists())
    page.get_by_role("button", name="Resume").click()
    visit.state("training")

    address_of_run = page.url
    page.close()
    until(lambda: time.time() - run.watched.stat().st_mtime > FRESH_S)
    told = run.live.stat().st_mtime_ns
    epochs = len(run.read_metrics())
    until(lambda: len(run.read_metrics()) > epochs)
    assert run.live.stat().st_mtime_ns == told, "nobody looks, nothing is shown, and it goes on"

    again = Visit(context, address_of_run)
    assert again.step() > before + 1
    again.page.get_by_role("button", name="Stop").click()
    again.state("not finished")
    assert not trainings(folder) and run.last.exists()
    again.page.get_by_role("button", name="Resume").click()
    again.state("training")
    (number,) = trainings(folder)
    os.kill(number, signal.SIGKILL)
    again.state("killed")
    assert visit.faults == again.faults == []
    hosts = {url.split("/")[2] for url in visit.asked + again.asked if url.startswith("http")}
    assert hosts == {address.split("/")[2]}
    context.close()


def test_what_cannot_begin_is_said_and_leaves_nothing(address, folder, browser):
    context = browser.new_context()
    context.new_page().goto(address)
    visit = Visit(context, f"{address.split('?')[0]}train?data=../elsewhere&run=../..")
    page = visit.page
    page.wait_for_function("document.getElementById('train-state').textContent.includes('not in the folder')")
    there = set((folder / "runs").iterdir()) if (folder / "runs").exists() else set()
    page.get_by_role("button", name="Start").click()
    page.wait_for_function("document.getElementById('train-told').textContent.includes('../elsewhere')")
    assert (set((folder / "runs").iterdir()) if (folder / "runs").exists() else set()) == there
    assert page.evaluate("fetch('/train/report?run=../..').then((answer) => answer.status)") == 404
    page.set_viewport_size({"width": 375, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    context.close()
