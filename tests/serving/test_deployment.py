"""The unit for systemd and the Dockerfile: their linters pass them, and the command that they start exists."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from fovea.cli import application

FOLDER = Path(__file__).parents[2] / "docs" / "serving"
UNIT = (FOLDER / "fovea.service").read_text()
DOCKERFILE = (FOLDER / "Dockerfile").read_text()


def test_systemd_takes_the_unit(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze")
    # it wants the program to be there
    (tmp_path / "fovea.service").write_text(UNIT.replace("/opt/fovea/bin/fovea", shutil.which("true")))
    command = ["systemd-analyze", "verify", tmp_path / "fovea.service"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_hadolint_takes_the_dockerfile():
    if shutil.which("hadolint") is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run(["hadolint", FOLDER / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    "arguments",
    [
        re.search(r"ExecStart=\S+ serve (.*)", UNIT)[1].split(),
        re.findall(r'"([^"]+)"', re.search(r"^CMD \[(.*)\]$", DOCKERFILE, re.M)[1]),
    ],
)
def test_the_command_that_is_started_parses(arguments):
    context = get_command(application()).commands["serve"].make_context("serve", list(arguments))
    assert (context.params["host"], context.params["port"], context.params["watch"]) == ("0.0.0.0", 8000, True)
