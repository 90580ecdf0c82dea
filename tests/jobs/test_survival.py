"""A run survives: killed at any moment, interrupted, out of disk or out of time, it goes on to the same end."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.datasets import load_digits

from fovea.display import Display
from fovea.errors import BundleError, DataError, StorageError, UsageError
from fovea.jobs.train import train
from fovea.training.engine import Trainer

DEADLINE_S = 600
DIGITS = {"epochs": 3, "batch": 64, "threads": 1, "precision": "float32", "device": "cpu"}


def quiet(*arguments, **options):
    return train(*arguments, display=Display(quiet=True), **options)


def outcome(run):
    """Return a run's tensors and its metrics without times."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return load_file(run / "model.safetensors"), [{**line, "elapsed_s": 0} for line in lines]


def same_end(run, other):
    (tensors, metrics), (expected, expected_metrics) = outcome(run), outcome(other)
    assert metrics == expected_metrics
    assert tensors.keys() == expected.keys()
    assert [name for name in tensors if not torch.equal(tensors[name], expected[name])] == []


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the run of digits that nothing happened to."""
    return quiet("digits", out=tmp_path_factory.mktemp("whole") / "run", **DIGITS).run


@contextmanager
def within_step(number, act):
    """Let `act` happen at the end of the step with this number."""
    count, train_step = iter(range(1, 10**9)), Trainer.train_step

    def counted(trainer, indices):
        train_step(trainer, indices)
        if next(count) == number:
            act()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "train_step", counted)
        yield


def press_ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("step", [1, 22, 30, 66], ids=("first", "end of epoch", "within", "last"))
def test_ctrl_c_leaves_a_run_that_goes_on_to_the_same_end(tmp_path, whole, step):
    with within_step(step, press_ctrl_c):
        stopped = quiet("digits", out=tmp_path / "run", **DIGITS)
    assert stopped.interrupted and stopped.results == ()
    assert stopped.summary()[-1] == f"Stopped before the end. Next: fovea train --resume {tmp_path / 'run'}"
    assert {file.name for file in stopped.run.iterdir()} >= {"last.safetensors", "model.safetensors", "recipe.toml"}
    resumed = quiet(resume=tmp_path / "run")
    assert not resumed.interrupted and resumed.results[0]["split"] == "test"
    same_end(tmp_path / "run", whole)


def test_a_second_ctrl_c_stops_at_once_and_the_checkpoint_still_serves(tmp_path, whole):
    with within_step(30, lambda: (press_ctrl_c(), press_ctrl_c())):
        with pytest.raises(KeyboardInterrupt):
            quiet("digits", out=tmp_path / "run", **DIGITS)
    quiet(resume=tmp_path / "run")
    same_end(tmp_path / "run", whole)


def test_ctrl_c_is_as_before_when_the_training_is_over(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    quiet("digits", out=tmp_path / "run", **{**DIGITS, "epochs": 1})
    assert signal.getsignal(signal.SIGINT) is before


def test_a_finished_run_can_be_resumed_and_stays_as_it_is(tmp_path):
    first = quiet("digits", out=tmp_path / "run", **DIGITS)
    before = outcome(first.run)
    again = quiet(resume=first.run)
    assert again.results == first.results
    torch.testing.assert_close(outcome(again.run), before, rtol=0, atol=0)


def test_a_run_without_a_checkpoint_begins_again(tmp_path):
    first = quiet("digits", out=tmp_path / "run", **DIGITS)
    expected = outcome(first.run)
    (first.run / "last.safetensors").unlink()
    quiet(resume=first.run)
    torch.testing.assert_close(outcome(first.run), expected, rtol=0, atol=0)


def test_a_full_disk_stops_the_run_and_keeps_what_was(tmp_path, whole):
    """A limit on the size of files stands for the full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with within_step(30, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))):
        try:
            with pytest.raises(StorageError, match=r"model\.safetensors` cannot be written \(File too large\)"):
                quiet("digits", out=tmp_path / "run", **DIGITS)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    kept = {file.name: file.stat().st_size for file in (tmp_path / "run").iterdir()}
    assert sorted(kept) == [
        *("last.safetensors", "lock", "looks.jsonl", "metrics.jsonl", "model.safetensors", "recipe.toml")
    ]
    assert kept["last.safetensors"] > 100_000 and load_file(tmp_path / "run" / "model.safetensors")
    quiet(resume=tmp_path / "run")
    same_end(tmp_path / "run", whole)


BUDGET = {**DIGITS, "epochs": 0, "budget_s": 2.0, "model": "lenet5", "size": 32, "val_fraction": 0.0}


def test_a_budget_is_kept_to_the_step(tmp_path, monkeypatch):
    ends, train_step = [], Trainer.train_step

    def timed(trainer, indices):
        ends.append(time.monotonic())
        train_step(trainer, indices)
        ends.append(time.monotonic())

    monkeypatch.setattr(Trainer, "train_step", timed)
    result = quiet("digits", out=tmp_path / "run", **BUDGET)
    longest = max(np.diff(ends))
    assert 2.0 <= result.seconds <= 2.0 * 1.02 + longest
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["lr"] == pytest.approx(0, abs=1e-9), "the schedule ends with the budget"


def test_a_resumed_budget_has_the_time_that_was_left(tmp_path, monkeypatch):
    now, steps, train_step = [0.0], [], Trainer.train_step

    def of_an_eighth_of_a_second(trainer, indices):
        train_step(trainer, indices)
        now[0] += 0.125
        steps.append(trainer.clock.total_steps)

    monkeypatch.setattr(Trainer, "train_step", of_an_eighth_of_a_second)
    monkeypatch.setattr("fovea.training.engine.time", SimpleNamespace(monotonic=lambda: now[0]))
    with within_step(5, press_ctrl_c):
        first = quiet("digits", out=tmp_path / "run", **BUDGET)
    assert first.interrupted and first.seconds == 5 / 8
    now[0] += 1000
    second = quiet(resume=tmp_path / "run")
    assert not second.interrupted and second.seconds == 2.0 and steps == list(range(1, 17))


@pytest.fixture
def arrays(tmp_path):
    """Return a function that writes the digits up to `count` as an `.npz` and gives its path."""

    def write(count, *, brighter=0):
        digits = load_digits()
        pixels = np.round(digits.images[:count] * 15).astype(np.uint8) + np.uint8(brighter)
        np.savez(tmp_path / "digits.npz", x_train=pixels, y_train=digits.target[:count])
        return tmp_path / "digits.npz"

    return write


def test_a_run_does_not_go_on_with_other_data(tmp_path, arrays):
    quiet(arrays(200), model="mlp", size=8, out=tmp_path / "run", **{**DIGITS, "epochs": 1})
    arrays(200, brighter=1)
    with pytest.raises(
        DataError, match=r"digits\.npz` has changed since .*run began; start a new run without --resume"
    ):
        quiet(resume=tmp_path / "run")


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (
            lambda run: (run / "recipe.toml").write_text("[data]"),
            UsageError,
            r"recipe\.toml`: `network` is missing; start a new run without --resume\.$",
        ),
        (
            lambda run: (run / "last.safetensors").write_bytes(b"1"),
            BundleError,
            "`last.safetensors` is not a checkpoint",
        ),
    ],
    ids=("recipe", "checkpoint"),
)
def test_a_damaged_run_is_refused(tmp_path, arrays, spoil, error, message):
    quiet(arrays(200), model="mlp", size=8, out=tmp_path / "run", **{**DIGITS, "epochs": 1})
    spoil(tmp_path / "run")
    with pytest.raises(error, match=message):
        quiet(resume=tmp_path / "run")


def start(*arguments):
    command = [sys.executable, "-m", "fovea", "train", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def identity(file):
    """Return what changes whenever a file is replaced, or None where there is none."""
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def when_replaced(file, times, *, process):
    """Return when `file` has been replaced so often since the process began, or the process has ended."""
    ends, last = time.monotonic() + DEADLINE_S, identity(file)
    while times and process.poll() is None and time.monotonic() < ends:
        now = identity(file)
        times, last = times - (now != last), now
        time.sleep(0.001)


def killed_and_resumed(begin, run, *, kills, seed):
    """Kill `begin` after a random number of checkpoints and a moment more, and what resumes it; then let it end."""
    moments, killed = random.Random(seed), 0
    arguments = begin
    for _ in range(kills):
        process = start(*arguments)
        when_replaced(run / "last.safetensors", moments.randint(1, 6), process=process)
        time.sleep(moments.uniform(0, 0.1))
        process.kill()
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
        arguments = ["--resume", run] if (run / "recipe.toml").exists() else begin
    process = start(*arguments)
    _, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, errors
    return killed


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_in_the_same_weights(tmp_path):
    given = ["digits", "--epochs", 4, "--batch", 64, "--threads", 1, "--precision", "float32", "--device", "cpu"]
    given += ["--val-fraction", 0.2, "--set", "checkpoint_minutes=0.0003"]
    assert start(*given, "--out", tmp_path / "whole").communicate()[0]
    killed = killed_and_resumed([*given, "--out", tmp_path / "run"], tmp_path / "run", kills=4, seed=0)
    assert killed >= 3
    same_end(tmp_path / "run", tmp_path / "whole")


@pytest.mark.slow
def test_with_muon_whitening_average_and_bfloat16_too(tmp_path, arrays):
    given = [arrays(200), "--model", "foveola", "--size", 12, "--epochs", 4, "--batch", 64, "--threads", 1]
    given += ["--precision", "bfloat16", "--device", "cpu", "--lr", 0.05]
    for assignment in ("optimiser=muon", "whiten=true", "ema=0.9", "test_flip=true", "checkpoint_minutes=0.0001"):
        given += ["--set", assignment]
    assert start(*given, "--out", tmp_path / "whole").communicate()[0]
    killed = killed_and_resumed([*given, "--out", tmp_path / "run"], tmp_path / "run", kills=3, seed=1)
    assert killed >= 2
    same_end(tmp_path / "run", tmp_path / "whole")


@pytest.mark.slow
def test_ctrl_c_exits_with_130_and_says_how_to_go_on(tmp_path):
    run = tmp_path / "run"
    process = start("digits", "--epochs", 500, "--batch", 64, "--threads", 1, "--device", "cpu", "--out", run)
    when_replaced(run / "last.safetensors", 3, process=process)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130
    assert f"Stopped before the end. Next: fovea train --resume {run}" in out
    assert "Stopping after this step; press Ctrl-C again to stop at once." in errors
