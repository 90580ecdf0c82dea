"""Trainings as processes of their own, and the table of a folder's runs."""

import os
import signal
import sys
import time

import pytest

from fovea.display import Display
from fovea.errors import UsageError
from fovea.jobs.train import train
from fovea.runs import launching
from fovea.runs.folder import Run
from fovea.runs.launching import Launcher, said
from fovea.runs.listing import is_complete, listed, runs_in
from fovea.runs.steering import PAUSED, ask

TRAINED = {"model": "mlp", "size": 8, "threads": 1, "precision": "float32", "device": "cpu", "epochs": 1, "batch": 200}


@pytest.fixture
def sleeping(monkeypatch, tmp_path):
    """Return a launcher whose processes wait instead of training: what they are asked for is their log."""
    script = tmp_path / "python"
    script.write_text('#!/bin/sh\necho "$@"; exec sleep 60\n')
    script.chmod(0o755)
    monkeypatch.setattr(launching.sys, "executable", str(script))
    launcher = Launcher(tmp_path)
    yield launcher
    for process in launcher._processes.values():
        process.kill()
        process.wait()


def until(true):
    ends = time.monotonic() + 20
    while not true() and time.monotonic() < ends:
        time.sleep(0.02)
    assert true()


def test_a_training_begins_in_a_session_of_its_own(sleeping, tmp_path):
    run, second = (sleeping.start("-digits", ["--epochs=1"], name="new") for _ in range(2))
    assert [run.folder, second.folder] == [tmp_path / "runs" / "new", tmp_path / "runs" / "new-2"]
    until(lambda: said(run))
    assert said(run) == f"-m fovea train --out {run.folder} --epochs=1 -- -digits\n"
    process = sleeping._processes[run.folder.resolve()]
    assert os.getsid(process.pid) == process.pid != os.getsid(0)
    assert listed(run, sleeping).state == "starting"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert listed(run, sleeping).state == "killed" and not sleeping.is_alive(run)


def test_so_many_run_at_once_and_no_more(sleeping, monkeypatch):
    monkeypatch.setattr(launching, "MOST_AT_ONCE", 1)
    run = sleeping.start("digits", [], name="new")
    with pytest.raises(UsageError, match="1 runs are in progress, which is the limit"):
        sleeping.start("digits", [], name="new")
    with pytest.raises(UsageError, match="is being trained already"):
        sleeping.resume(run)
    sleeping.stop(run)
    until(lambda: not sleeping.is_alive(run))


def test_one_that_does_not_begin_has_failed(monkeypatch, tmp_path):
    monkeypatch.setattr(launching.sys, "executable", "/bin/false" if sys.platform != "darwin" else "/usr/bin/false")
    launcher = Launcher(tmp_path)
    run = launcher.start("digits", [], name="new")
    until(lambda: not launcher.is_alive(run))
    assert listed(run, launcher).state == "failed" and listed(run, Launcher(tmp_path)).state == "failed"


def test_runs_are_listed_with_their_state_and_result(tmp_path):
    launcher = Launcher(tmp_path)
    train("digits", out=tmp_path / "runs" / "done", display=Display(quiet=True), **TRAINED)
    (row,) = runs_in(tmp_path, launcher)
    assert (row.state, row.network, row.data, row.epochs) == ("finished", "mlp", "digits", 1)
    assert row.report and row.model and "accuracy on test" in row.result
    with row.run.held():
        assert listed(row.run, launcher).state == "training"
        ask(row.run, state=PAUSED)
        assert listed(row.run, launcher).state == "paused"
    assert listed(row.run, launcher).state == "finished"
    (row.run.model).write_bytes(b"damaged")
    assert listed(row.run, launcher).fault and listed(row.run, launcher).state == "not finished"


def test_what_is_no_run_is_not_listed(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "runs").write_text("a file")
    (tmp_path / "link").symlink_to(tmp_path)
    assert runs_in(tmp_path, Launcher(tmp_path)) == [] and runs_in(tmp_path / "none", Launcher(tmp_path)) == []


@pytest.mark.parametrize(
    ("settings", "epochs", "complete"),
    [
        ({"training.epochs": 3}, 3, True),
        ({"training.epochs": 3}, 2, False),
        ({"training.epochs": 9, "training.patience": 2}, 3, True),
        ({"training.epochs": 9, "training.patience": 3}, 3, False),
        ({"training.budget_s": 3.0}, 3, True),
        ({"training.budget_s": 4.0}, 3, False),
        ({"training.epochs": 0}, 0, True),
        ({"training.epochs": 2}, 0, False),
    ],
)
def test_a_training_is_complete_by_epochs_time_or_patience(settings, epochs, complete):
    history = [{"elapsed_s": number + 1.0, "improved": number == 0} for number in range(epochs)]
    assert is_complete(settings, history) == complete


def test_a_folder_that_nobody_trains_in_is_not_held(tmp_path):
    run = Run(tmp_path)
    assert not run.is_held
    with run.held():
        assert run.is_held
    assert not run.is_held
