"""`torchrun ... -m fovea train`: one run and one voice for all processes, and one that is killed is survived."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from fovea.model.container import read_card

DEADLINE_S = 300
NET = '''
import os
import signal

from torch import nn


class Net(nn.Sequential):
    """A small network; its second process dies in the middle of the step that KILLED_IN names."""

    def __init__(self, classes, c_in):
        layers = nn.Conv2d(c_in, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, classes)
        super().__init__(*layers)
        self.steps = 0

    def forward(self, images):
        self.steps += self.training
        if os.environ.get("RANK") == "1" and str(self.steps) == os.environ.get("KILLED_IN"):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(images)
'''
GIVEN = ["digits", "--model", "net.py:Net", "--size", 8, "--epochs", 3, "--batch", 64, "--threads", 1]
GIVEN += ["--precision", "float32", "--device", "cpu", "--val-fraction", 0.2]
GIVEN += ["--set", "optimiser=sgd", "--set", "checkpoint_minutes=0.0001"]
SECOND_EPOCH = 25
"""A step of it; an epoch has 17."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the folder in which the trainings start; it holds the network."""
    folder = tmp_path_factory.mktemp("trainings")
    (folder / "net.py").write_text(NET)
    return folder


def train(folder, *arguments, processes, killed_in=None):
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", processes, "-m"] if processes > 1 else []
    command = map(str, [sys.executable, "-m", *launcher, "fovea", "train", *arguments])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "KILLED_IN": str(killed_in)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )


def own_lines(errors):
    """Return what the processes wrote to standard error, without what the launcher says of them."""
    ours = ("data:", "plan:", "epoch", "error:", "resuming", "report:", "Stopping", "[rank")
    return [line for line in errors.splitlines() if line.startswith(ours)]


def outcome(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return load_file(run / "model.safetensors"), [{**line, "elapsed_s": 0} for line in lines]


@pytest.fixture(scope="module")
def whole(folder):
    """Return the training by two processes that nothing happened to."""
    ended = train(folder, *GIVEN, "--out", "whole", "--json", processes=2)
    assert ended.returncode == 0, ended.stderr
    return ended


@pytest.mark.slow
def test_two_processes_leave_one_run_like_that_of_one(folder, whole):
    assert train(folder, *GIVEN, "--out", "single", processes=1).returncode == 0
    torch.testing.assert_close(outcome(folder / "whole"), outcome(folder / "single"), rtol=1e-5, atol=1e-5)
    names = [sorted(file.name for file in (folder / run).iterdir()) for run in ("whole", "single")]
    assert names[0] == names[1] and "report.html" in names[0]
    cards = [read_card(folder / run / "model.safetensors") for run in ("whole", "single")]
    assert cards[0]["training"]["processes"] == 2 and "processes" not in cards[1]["training"]


@pytest.mark.slow
def test_only_the_first_process_speaks(whole):
    result = json.loads(whole.stdout)
    assert (result["run"], result["interrupted"]) == ("whole", False)
    lines = own_lines(whole.stderr)
    assert [line.split()[:2] for line in lines if line.startswith("epoch")] == [["epoch", n] for n in "123"]
    assert len(lines) == len(set(lines))


@pytest.fixture(scope="module")
def killed(folder):
    """Return the training one of whose processes was killed."""
    return train(folder, *GIVEN, "--out", "killed", processes=2, killed_in=SECOND_EPOCH)


@pytest.mark.slow
def test_a_killed_process_ends_the_job_with_one_line(killed):
    (error,) = [line for line in own_lines(killed.stderr) if line.startswith(("error:", "[rank"))]
    assert error.startswith("error: Another process of this training has ended or cannot be reached. Continue")
    assert killed.returncode != 0 and killed.stdout == ""


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "tolerance"), [(2, 0), (1, 1e-5)])
def test_its_run_goes_on_with_any_number_of_processes(folder, whole, killed, processes, tolerance):
    run = folder / f"resumed-by-{processes}"
    shutil.copytree(folder / "killed", run)
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 1
    ended = train(folder, "--resume", run, "--model", "net.py:Net", processes=processes)
    assert ended.returncode == 0, ended.stderr
    torch.testing.assert_close(outcome(run), outcome(folder / "whole"), rtol=tolerance, atol=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digits", "--epochs", "x"], "error: Invalid value for '--epochs'"),
        (["nowhere", "--set", "lr=1"], "error: There is no folder `nowhere` here, and no data set of that name."),
    ],
    ids=("option", "data"),
)
def test_a_mistake_is_one_line(folder, arguments, message):
    ended = train(folder, *arguments, processes=2)
    (line,) = own_lines(ended.stderr)
    assert ended.returncode != 0 and ended.stdout == "" and line.startswith(message)
