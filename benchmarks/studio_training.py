"""What an open page of the studio's room Train costs the training that it shows, and how often it shows something new.

One training on 2,048 images of CIFAR-10 on one core, in turn without a page, with a page in Chromium whose processes,
and the server's, are on the other core, and with all of them on the training's core. The page is scrolled to the maps,
and nothing listens to the browser while it is measured: a tool that does so makes it slower.

Two measures. The images/s of the median epoch: what was lost, on a machine that does nothing else. And the processor
time of the browser, the server and the publishing, for each second and each view, which other programs disturb less:
on a core that they share with the training, it is what the training loses. Targets: 3 % and 10 %, new maps each second.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import urlopen

import numpy as np
from machine import arguments, begun
from websockets.sync.client import connect

from fovea.data.sources.source import DataSource
from fovea.runs.folder import Run
from fovea.runs.live import read_view

CHROMIUM = "/usr/bin/chromium"
IMAGES = 2048
TRAINING, OTHER = 0, 1
"""Cores."""
ALONE, APART, SHARED = "without a page", "the page on the other core", "the page on the training's core"
TARGETS = {APART: 3, SHARED: 10}
MAPS = "document.getElementById('train-curves').scrollIntoView()"
Times = dict[str, float]


def main() -> None:
    parser = arguments(__doc__, quick="one round of short phases")
    parser.add_argument("--model", default="foveola")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=40, help="of each phase")
    given = begun(parser)
    rounds, seconds = (1, 15.0) if given.quick else (given.rounds, given.seconds)
    os.sched_setaffinity(0, {OTHER})  # what is started from here on inherits it
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        write_images(folder / "images.npz")
        command = [sys.executable, "-m", "fovea", "studio", "--no-browser"]
        with (
            Browser(folder / "profile") as page,
            subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=folder) as studio,
        ):
            page.go(re.search(r"http://\S+", studio.stderr.readline())[0])
            page.until("!!document.querySelector('nav.rooms a')")
            trainer = begin(page, folder, given.model)
            try:
                measure(page, Run(folder / "runs" / "shown"), trainer, studio.pid, rounds=rounds, seconds=seconds)
            finally:
                os.kill(trainer, 9)
                studio.terminate()


class Browser:
    """A page in Chromium that is spoken to, and not listened to."""

    def __init__(self, profile: Path) -> None:
        options = ["--headless=new", "--no-sandbox", "--no-first-run", "--window-size=1300,900"]
        command = [CHROMIUM, *options, "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None  # noqa: S101
        found = None
        while found is None:
            found = re.search(r"ws://(127.0.0.1:\d+)/", self.process.stderr.readline())
        self.address = found[1]

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()

    def say(self, method: str, **values: object) -> Any:
        """Return the answer to one message of Chromium's protocol to its page."""
        with urlopen(f"http://{self.address}/json") as answer:
            pages = [each for each in json.load(answer) if each["type"] == "page"]
        with connect(pages[0]["webSocketDebuggerUrl"], max_size=None) as socket:
            socket.send(json.dumps({"id": 1, "method": method, "params": values}))
            while (told := json.loads(socket.recv())).get("id") != 1:
                continue
        return told["result"]

    def go(self, address: str) -> None:
        """Open an address."""
        self.say("Page.navigate", url=address)

    def value(self, code: str) -> Any:
        """Return what code comes to in the page; None where it fails."""
        return self.say("Runtime.evaluate", expression=code, returnByValue=True)["result"].get("value")

    def until(self, code: str) -> None:
        """Wait until code comes to something true."""
        ends = time.monotonic() + 300
        while not self.value(code):
            if time.monotonic() > ends:
                raise TimeoutError(code)
            time.sleep(0.2)


def write_images(path: Path) -> None:
    """Write some images of CIFAR-10, so that epochs are short."""
    part = DataSource(data="cifar10").find().parts["train"]
    np.savez(path, images=np.stack([part.pixels[row] for row in range(IMAGES)]), labels=part.labels[:IMAGES])


def begin(page: Browser, folder: Path, model: str) -> int:
    """Start the training by the page, and return the number of its process, on its own core."""
    more = "threads=1 precision=float32 val_fraction=0.02 checkpoint_minutes=60"
    query = f"train?data=images.npz&model={model}&epochs=100000&batch=64&size=32&name=shown&more={more}"
    page.go(f"{page.value('location.origin')}/{query}".replace(" ", "%20"))
    page.until("document.querySelectorAll('#train-data option').length > 0")
    page.value("document.querySelector('#train-form [type=submit]').click()")
    page.until("window.train.views > 0")
    number = next(
        number
        for number in processes()
        if b"--out" in words(number) and str(folder).encode() in b" ".join(words(number))
    )
    place(number, TRAINING)
    return number


def measure(page: Browser, run: Run, trainer: int, studio: int, *, rounds: int, seconds: float) -> None:
    """Print the figures of each round, and their medians."""
    address = page.value("location.href")
    lost: dict[str, list[float]] = {APART: [], SHARED: []}
    taken: dict[str, list[float]] = {APART: [], SHARED: []}

    def spent() -> Times:
        browser = [page.process.pid, *descendants(page.process.pid)]
        view = read_view(run)
        return {
            "browser": sum(map(processor_s, browser)),
            "server": processor_s(studio),
            "publishing": float(view.story["spent_s"]) if view else 0.0,
            "training": processor_s(trainer),
        }

    for number in range(rounds):
        page.go("about:blank")
        move(trainer, OTHER)
        alone = rate(run, seconds)
        print(f"round {number + 1}: {alone:,.0f} images/s {ALONE}", flush=True)
        for how, core in ((APART, OTHER), (SHARED, TRAINING)):
            page.go(address)
            page.until("!!window.train && window.train.views > 1")
            page.value(MAPS)
            move(trainer, core)
            watched, views, times, took = with_page(page, lambda: rate(run, seconds), spent)
            lost[how].append(100 * (1 - watched / alone))
            others = sum(times[name] for name in ("browser", "server", "publishing"))
            taken[how].append(100 * others / took)
            each = ", ".join(
                f"{name} {1000 * times[name] / took:.0f} ms/s ({1000 * times[name] / max(views, 1):.0f} a view)"
                for name in ("browser", "server", "publishing")
            )
            print(
                f"  {how}: {watched:,.0f} images/s ({lost[how][-1]:+.1f} % lost), maps {views / took:.2f} times a "
                f"second; of the processor {each}: {taken[how][-1]:.1f} %, "
                f"training {100 * times['training'] / took:.0f} %",
                flush=True,
            )
    for how in (APART, SHARED):
        print(
            f"{how}: median {median(lost[how]):.1f} % of images/s lost, target at most {TARGETS[how]}; "
            f"{median(taken[how]):.1f} % of a core taken"
        )


def with_page(page: Browser, watch: Callable[[], float], spent: Callable[[], Times]) -> tuple[float, int, Times, float]:
    """Return the images/s, the views, and the seconds of processor time and of the clock while a page is open."""
    views, before, began = page.value("window.train.views"), spent(), time.perf_counter()
    watched = watch()
    after, took = spent(), time.perf_counter() - began
    times = {name: after[name] - before[name] for name in after}
    return watched, page.value("window.train.views") - views, times, took


def rate(run: Run, seconds: float) -> float:
    """Return the images/s of the median epoch of those that begin and end in the next `seconds`."""
    before = len(run.read_metrics())
    time.sleep(seconds)
    while len(lines := run.read_metrics()[before:]) < 2:
        time.sleep(0.5)
    took = [after["elapsed_s"] - line["elapsed_s"] for line, after in zip(lines, lines[1:], strict=False)]
    return float(lines[0]["images"] / median(took))


def processor_s(process: int) -> float:
    """Return the seconds of processor time that a process has taken; 0 for one that has just ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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
    found: set[int] = set()
    while more := {each for each, parent in parents.items() if parent in found | {number}} - found:
        found |= more
    return found


if __name__ == "__main__":
    main()
