"""A generated page in a real browser: Debian's Chromium by playwright, where both are installed."""

import functools
import http.server
import json
import shutil
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

CHROMIUM = shutil.which("chromium")
WAIT_MS = 120_000


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextmanager
def served(folder):
    """Give the address of a folder on a server of this machine."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def chromium(*arguments):
    """Give a browser; skip where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *arguments])
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """A page that was opened and is ready, with all that it asked for and complained of."""

    def __init__(self, browser, address, **context):
        self.asked, self.faults = [], []
        self.page = browser.new_context(**context).new_page()
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda message: self.faults.append(message.text))
        self.page.goto(address)
        self.page.wait_for_selector("html[data-state]", timeout=WAIT_MS)

    @property
    def hosts(self):
        """The hosts that were asked; files and what a page makes itself have none."""
        return {url.split("/")[2] for url in self.asked if "://" in url and not url.startswith("blob:")} - {""}

    def text(self, selector):
        return self.page.text_content(selector)

    def answers(self, files):
        """Give images to the page, and return answer and decoded row of each by the name of its file."""
        self.page.set_input_files("#files", [str(file) for file in files])
        self.page.wait_for_selector(f"#recent-list li:nth-child({len(files)})", state="attached", timeout=WAIT_MS)
        rows = self.page.eval_on_selector_all(
            ".entry", "all => all.map((e) => [e.dataset.name, e.dataset.answer, e.dataset.decoded])"
        )
        return {name: (answer, json.loads(decoded)) for name, answer, decoded in rows}

    def seen(self, file):
        """Give one image to the page, and return what its network sees, uint8 (H, W, 3)."""
        self.answers([file])
        width, values = self.page.eval_on_selector(
            "#seen", "c => [c.width, [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]]"
        )
        return np.array(values, np.uint8).reshape(-1, width, 4)[..., :3]


def agreement(predictor, answers, files):
    """Return the names of files whose answer is another than the predictor's, and the largest difference of rows."""
    changed, largest = [], 0.0
    for file in files:
        row = predictor.scores(predictor.read(file)[None])[0]
        answer, decoded = answers[Path(file).name]
        largest = max(largest, max(abs(a - b) for a, b in zip(row, decoded, strict=True)))
        if answer != predictor.target.prediction(row).label and row.size > 1:
            changed.append(Path(file).name)
    return changed, largest
