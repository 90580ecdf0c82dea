"""What a training prints under Next works as it stands in a shell."""

import os
import shlex
import subprocess
import sys

import pytest
from PIL import Image

from fovea.data.sources.source import DataSource
from fovea.display import Display
from fovea.jobs.train import train
from fovea.runs.next_steps import reading_options

FAST = {"size": 8, "epochs": 1, "batch": 8, "threads": 1, "precision": "float32", "device": "cpu"}
LAZY = (
    "from torch import nn\nfrom kernels import SIDE\n"
    "class Lazy(nn.Sequential):\n    def __init__(self, classes):\n"
    "        super().__init__(nn.LazyConv2d(4, SIDE), nn.ReLU(), nn.Flatten(), nn.LazyLinear(classes))\n"
)


@pytest.fixture
def printed(tmp_path, monkeypatch):
    """Return a function that trains in a folder of its own and gives the commands that it prints under Next."""
    monkeypatch.chdir(tmp_path)

    def commands(data, **options):
        result = train(data, out="a run", display=Display(quiet=True), **{**FAST, "model": "mlp", **options})
        lines = result.summary()
        (first,) = (index for index, line in enumerate(lines) if line.startswith("Next"))
        return [line[9:] for line in lines[first:]]

    return commands


def draw(paths):
    for index, path in enumerate(paths):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Image.new("L", (8, 8), 100 * (index % 2) + index).save(path)


def assert_work(commands):
    """Run the commands in a shell that finds this interpreter."""
    here = os.path.dirname(sys.executable)
    environment = {**os.environ, "PATH": f"{here}:{os.environ['PATH']}"}
    for command in commands:
        shell = command.replace("fovea", "python -m fovea", 1) if command.startswith("fovea") else command
        done = subprocess.run(shell, shell=True, capture_output=True, text=True, check=False, env=environment)
        assert (done.returncode, bool(done.stdout)) == (0, True), (command, done.stderr)


def test_a_name_with_spaces_is_quoted(printed):
    draw(f"two words/{'ab'[i % 2]}/{i}.png" for i in range(16))
    commands = printed("two words")
    assert [shlex.split(command)[1] for command in commands] == ["evaluate", "predict", "info"]
    assert commands[0] == "fovea evaluate 'a run/model.safetensors' 'two words'"
    assert_work(commands)


def test_how_the_data_is_read_is_said(printed):
    draw(f"pets/{('cat', 'dog')[i % 2]}.{i}.png" for i in range(16))
    commands = printed("pets", label_from=r"^([a-z]+)\.")
    assert commands[0] == r"fovea evaluate 'a run/model.safetensors' pets --label-from '^([a-z]+)\.'"
    assert_work(commands)


def test_columns_of_labels_are_said(printed, tmp_path):
    draw(f"birds/{i}.png" for i in range(16))
    rows = "".join(f"birds/{i}.png,{i % 2},{i // 2 % 2}\n" for i in range(16))
    (tmp_path / "birds.csv").write_text(f"file,red crest,tail\n{rows}")
    commands = printed("birds.csv", task="labels", path_column="file", label_columns="red crest,tail")
    assert "--path-column file --label-columns 'red crest,tail'" in commands[0]
    assert_work(commands)


def test_a_network_of_lazy_layers_is_evaluated_by_what_is_printed(printed, tmp_path):
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "lazy.py").write_text(LAZY)
    (tmp_path / "nets" / "kernels.py").write_text("SIDE = 3\n")
    draw(f"it's/{'ab'[i % 2]}/{i}.png" for i in range(16))
    commands = printed("it's", model="nets/lazy.py:Lazy")
    assert commands[0].startswith("python -c ") and commands[1].startswith("fovea info ")
    assert_work(commands)


def test_what_begins_with_a_dash_is_no_option():
    assert reading_options(DataSource(data="x", task="labels", label_separator="-")) == ["--label-separator=-"]


def test_a_stopped_run_says_how_to_go_on_and_names_its_code(printed, tmp_path, monkeypatch):
    from fovea.runs.session import Session

    (tmp_path / "lazy.py").write_text(LAZY)
    (tmp_path / "kernels.py").write_text("SIDE = 3\n")
    draw(f"images/{'ab'[i % 2]}/{i}.png" for i in range(16))
    with monkeypatch.context() as patch:
        patch.setattr(Session, "interrupted", True)
        result = train("images", model="lazy.py:Lazy", out="a run", display=Display(quiet=True), **FAST)
    command = result.summary()[-1].removeprefix("Stopped before the end. Next: ")
    assert command == "fovea train --resume 'a run' --model lazy.py:Lazy"
    assert_work([command])
