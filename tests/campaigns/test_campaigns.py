"""A few of each campaign; `python -m tests.campaigns` runs as many as are wanted. And: what it looks for, it finds."""

import faulthandler
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fovea.errors import DataError
from tests.campaigns.batches import Finding, Kind, campaign

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it forks, and asks Linux for the peak of memory")


@pytest.mark.slow
@pytest.mark.parametrize("what", ["inputs", "kills", "chains", "labels"])
def test_a_short_campaign_finds_nothing(what, tmp_path):
    """In a process of its own, which has taken no step and so may fork."""
    command = [sys.executable, "-m", "tests.campaigns", what, "--found", str(tmp_path / "found")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


ITEMS = {
    1: lambda: crash(),
    2: lambda: time.sleep(60),
    3: lambda: np.ones(120_000_000, np.uint8),
    4: lambda: os.write(2, b"libfoo: bad tag\n"),
    5: lambda: 1 / 0,
    8: lambda: refuse("cannot allocate memory"),
    9: lambda: fail(),
}


def crash():
    faulthandler.disable()  # of pytest
    os.kill(os.getpid(), signal.SIGSEGV)


def refuse(text):
    raise DataError(text)


def fail():
    raise Finding("decoded as text")


def test_whatever_goes_wrong_is_found_and_the_rest_goes_on(tmp_path):
    def attempt(path, _):
        ITEMS.get(int(path.name), lambda: refuse("`x` is damaged; download it again."))()

    def make(chance, originals, folder):
        (folder / folder.name).write_text("x")
        return folder / folder.name

    kind = Kind(name="trial", make=make, attempt=attempt, peak_mb=100, seconds=3, batch=6)
    (tmp_path / "work").mkdir()
    outcome = campaign(kind, count=12, seed=3, work=tmp_path / "work", found=tmp_path / "found")
    found = {int(text.split()[1].rstrip(":")): text.partition(": ")[2] for text in outcome.findings}
    assert found.keys() == ITEMS.keys() and outcome.ends == {"DataError": 5} and outcome.count == 12
    wanted = {1: "SIGSEGV", 2: "more than 3 s", 3: "more than 100", 4: "libfoo", 5: "ZeroDivisionError"}
    wanted |= {8: "memory ran out", 9: "decoded as text"}
    assert all(words in found[item] for item, words in wanted.items()), found
    kept = tmp_path / "found" / "trial-3-1"
    assert (kept / "1").read_text() == "x"
    assert "python -m tests.campaigns trial --seed 3 --first 1 --count 1" in (kept / "FINDING.txt").read_text()
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == ["lines", "noise", "originals"]
