"""The studio in Debian's Chromium: from the command to the first maps, and from the pointer to what it marks.

ResNet-18 at 224 pixels with random weights, the first, the middle and the last layers with maps. Targets: 2 s to the
first page, 25 ms at the 95th percentile where the machine is idle, 50 while it trains.
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import arguments, begun
from playwright.sync_api import Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"


def main() -> None:
    given = begun(arguments(__doc__, quick="fewer moves of the pointer"))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as started:
        model = Path(folder, "resnet18.safetensors")
        subprocess.run([sys.executable, "-m", "fovea", "build", "resnet18", "--out", model], check=True)
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1300, "height": 900})
        command = [sys.executable, "-m", "fovea", "studio", str(model), "--no-browser"]
        begin = time.perf_counter()
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as studio:
            address = re.search(r"http://\S+", studio.stderr.readline())[0]
            answered = time.perf_counter() - begin
            page.goto(address)
            page.wait_for_selector("nav.rooms a")
            first = time.perf_counter() - begin
            page.wait_for_selector("#map-picture[src]", timeout=120_000)
            shown = time.perf_counter() - begin
            print(f"the address after {answered:.1f} s, the first page after {first:.1f} s, target 2")
            print(f"the first maps after {shown:.1f} s")
            layers = page.locator(".strip button")
            page.wait_for_timeout(2000)
            for number in (1, layers.count() // 2, layers.count() - 4):
                layers.nth(number).click()
                page.wait_for_timeout(1000)
                found = hovered(page, 20 if given.quick else 100)
                name = " ".join(layers.nth(number).inner_text().split())
                middle, most = np.median(found), np.percentile(found, 95)
                print(f"{name}: median {middle:.1f} ms, 95 % within {most:.1f} ms, target 25")
            studio.terminate()
        browser.close()


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
