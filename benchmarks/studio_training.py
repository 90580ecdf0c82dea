"""What an open page of the studio's room Train costs the training that it shows, and how often it shows something new.

One training on 4,096 images of CIFAR-10 on one core, in turn without a page, with a page in Chromium whose processes,
and the server's, are on the other core, and with all of them on the training's core. The rate is that of the median
epoch. Targets: 3 % and 10 %, and new maps every second.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from machine import arguments, begun
from playwright.sync_api import Page, sync_playwright

from fovea.data.sources.source import DataSource
from fovea.runs.folder import Run

CHROMIUM = "/usr/bin/chromium"
IMAGES = 4096
TRAINING, OTHER = 0, 1
"""Cores."""
SHARED, APART = "the page on the training's core", "the page on the other core"
TARGETS = {APART: 3, SHARED: 10}


def main() -> None:
    parser = arguments(__doc__, quick="one round of short phases")
    parser.add_argument("--model", default="foveola")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=40, help="of each phase")
    given = begun(parser)
    rounds, seconds = (1, 15.0) if given.quick else (given.rounds, given.seconds)
    os.sched_setaffinity(0, {OTHER})  # what is started from here on inherits it
    with tempfile.TemporaryDirectory() as name, sync_playwright() as started:
        folder = Path(name).resolve()
        write_images(folder / "images.npz")
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1300, "height": 900})
        command = [sys.executable, "-m", "fovea", "studio", "--no-browser"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=folder) as studio:
            page.goto(re.search(r"http://\S+", studio.stderr.readline())[0])
            trainer = begin(page, folder, given.model)
            try:
                measure(page, Run(folder / "runs" / "shown"), trainer, rounds=rounds, seconds=seconds)
            finally:
                os.kill(trainer, 9)
                studio.terminate()
        browser.close()


def write_images(path: Path) -> None:
    """Write some images of CIFAR-10, so that epochs are short."""
    part = DataSource(data="cifar10").find().parts["train"]
    np.savez(path, images=np.stack([part.pixels[row] for row in range(IMAGES)]), labels=part.labels[:IMAGES])


def begin(page: Page, folder: Path, model: str) -> int:
    """Start the training by the page, and return the number of its process, on its own core."""
    more = "threads=1 precision=float32 val_fraction=0.02 checkpoint_minutes=60"
    query = f"train?data=images.npz&model={model}&epochs=100000&batch=64&size=32&name=shown&more={more}"
    page.goto(f"{page.url.split('?')[0]}{query}")
    page.wait_for_selector("#train-data option", state="attached")
    page.get_by_role("button", name="Start").click()
    page.wait_for_function("window.train.views > 0", timeout=300_000)
    number = next(
        number
        for number in processes()
        if b"--out" in words(number) and str(folder).encode() in b" ".join(words(number))
    )
    place(number, TRAINING)
    return number


def measure(page: Page, run: Run, trainer: int, *, rounds: int, seconds: float) -> None:
    """Print the rates of each round, and the medians of their ratios."""
    address = page.url
    lost: dict[str, list[float]] = {APART: [], SHARED: []}
    for number in range(rounds):
        for how, core in ((APART, OTHER), (SHARED, TRAINING)):
            page.goto("about:blank")
            move(trainer, OTHER)
            alone = rate(run, seconds)
            page.goto(address)
            page.wait_for_function("window.train && window.train.views > 0", timeout=60_000)
            move(trainer, core)
            views, began = page.evaluate("window.train.views"), time.perf_counter()
            watched = rate(run, seconds)
            shown = (page.evaluate("window.train.views") - views) / (time.perf_counter() - began)
            lost[how].append(100 * (1 - watched / alone))
            print(
                f"round {number + 1}, {how}: {alone:,.0f} images/s without a page, {watched:,.0f} with one "
                f"({lost[how][-1]:+.1f} % lost), maps {shown:.2f} times a second",
                flush=True,
            )
    for how, found in lost.items():
        print(f"{how}: median {median(found):.1f} % lost, target at most {TARGETS[how]}")


def rate(run: Run, seconds: float) -> float:
    """Return the images/s of the median epoch of those that begin and end in the next `seconds`."""
    before = len(run.read_metrics())
    time.sleep(seconds)
    while len(lines := run.read_metrics()[before:]) < 3:
        time.sleep(0.5)
    took = [after["elapsed_s"] - line["elapsed_s"] for line, after in zip(lines, lines[1:], strict=False)]
    return float(lines[0]["images"] / median(took))


def move(trainer: int, core: int) -> None:
    """Put this process and all that it has started on a core, but for the training."""
    for number in [os.getpid(), *descendants(os.getpid())]:
        if number != trainer:
            place(number, core)


def place(number: int, core: int) -> None:
    """Put all threads of a process on a core; one that has just ended is passed over."""
    try:
        for thread in Path(f"/proc/{number}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})
    except OSError:
        return


def processes() -> Iterator[int]:
    """Yield the numbers of all processes."""
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal())


def words(number: int) -> list[bytes]:
    """Return the command of a process."""
    try:
        return Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def descendants(number: int) -> set[int]:
    """Return the processes that a process has started, and those that these have."""
    parents: dict[int, int] = {}
    for each in processes():
        try:
            parents[each] = int(Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found: set[Any] = set()
    while more := {each for each, parent in parents.items() if parent in found | {number}} - found:
        found |= more
    return found


if __name__ == "__main__":
    main()
