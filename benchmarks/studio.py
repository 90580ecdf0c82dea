"""The studio in Debian's Chromium: from the command to the first maps, and from the pointer to what it marks.

ResNet-18 at 224 pixels with random weights, the first, the middle and the last layers with maps. Targets: 2 s to the
first page, 25 ms at the 95th percentile where the machine is idle, 50 while it trains.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import arguments, begun
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"


PAGES = 8
"""That look at an image of their own, for the memory they take."""


def main() -> None:
    given = begun(arguments(__doc__, quick="fewer moves of the pointer"))
    moves = 20 if given.quick else 100
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as started:
        model = Path(folder, "resnet18.safetensors")
        subprocess.run([sys.executable, "-m", "fovea", "build", "resnet18", "--out", model], check=True)
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        command = [sys.executable, "-m", "fovea", "studio", str(model), "--no-browser"]
        begin = time.perf_counter()
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as studio:
            page = opened(browser, studio, begin)
            page.wait_for_timeout(2000)
            hovers(page, moves, 25, "idle")
            train = [sys.executable, "-m", "fovea", "train", "digits", "--budget", "15m", "--threads", "1"]
            with subprocess.Popen([*train, "--out", str(Path(folder, "run"))], stderr=subprocess.DEVNULL) as training:
                page.wait_for_timeout(15_000)  # until it trains
                hovers(page, moves, 50, "training")
                training.terminate()
            memory(browser, page, studio.pid)
            studio.terminate()
        browser.close()


def opened(browser: Browser, studio: subprocess.Popen[str], begin: float) -> Page:
    """Return the first page of a studio that was started at `begin`, and print when it came."""
    assert studio.stderr is not None  # noqa: S101
    address = re.search(r"http://\S+", studio.stderr.readline())[0]
    answered, spent = time.perf_counter() - begin, processor_s(studio.pid)
    page = browser.new_page(viewport={"width": 1300, "height": 900})
    page.goto(address)
    page.wait_for_selector("nav.rooms a")
    first = time.perf_counter() - begin
    page.wait_for_selector("#map-picture[src]", timeout=120_000)
    shown = time.perf_counter() - begin
    print(f"the address after {answered:.1f} s, of the processor {spent:.1f} s; the first page after {first:.1f} s")
    print(f"target 2 s; the first maps after {shown:.1f} s")
    return page


def hovers(page: Page, moves: int, target: int, when: str) -> None:
    """Print how long hovers take on three layers."""
    layers = page.locator(".strip button")
    for number in (1, layers.count() // 2, layers.count() - 4):
        layers.nth(number).click()
        page.wait_for_timeout(1000)
        found = hovered(page, moves)
        name = " ".join(layers.nth(number).inner_text().split())
        middle, most = np.median(found), np.percentile(found, 95)
        print(f"{when}: {name}: median {middle:.1f} ms, 95 % within {most:.1f} ms, target {target}", flush=True)


def memory(browser: Browser, page: Page, process: int) -> None:
    """Print what the process holds with one page, with several, and when they are closed."""
    print(f"one page: {resident_mb(process):.0f} MB", flush=True)
    others = [browser.new_page() for _ in range(PAGES)]
    for other in others:
        other.context.add_cookies(page.context.cookies())
        other.goto(page.url)
        other.wait_for_selector("#map-picture[src]", timeout=120_000)
    print(f"{PAGES} more: {resident_mb(process):.0f} MB", flush=True)
    for other in others:
        other.close()
    page.wait_for_timeout(5000)
    print(f"these closed: {resident_mb(process):.0f} MB", flush=True)


def processor_s(process: int) -> float:
    """Return the seconds of processor time that a process has taken."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(process: int) -> float:
    """Return the megabytes of memory that a process has."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def hovered(page: Page, moves: int) -> list[float]:
    """Return the milliseconds from a move of the pointer to its marks, for moves over the open maps."""
    box = page.locator("#map-frame").bounding_box()
    width, height = min(box["width"], 550), min(box["height"], 400)
    found = []
    for move in range(moves):
        page.evaluate("look.last = null")
        page.mouse.move(box["x"] + (move * 37) % width, box["y"] + (move * 23) % height)
        page.wait_for_timeout(60)
        milliseconds = page.evaluate("look.last")
        found += [] if milliseconds is None else [milliseconds]  # between two maps nothing is marked
    return found


if __name__ == "__main__":
    main()
