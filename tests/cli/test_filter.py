"""`fovea filter` as it is typed: options, output, help, exit codes."""

import json
import subprocess
import sys

import pytest

from fovea.cli import run
from fovea.cli.filter import KERNELS
from fovea.reference.filters import names


@pytest.fixture
def signal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.csv").write_text("1\n2\n3\n")
    return "s.csv"


def test_options_reach_the_job(signal, capsys):
    options = "--stride 2 --padding 1 --mode zero --out out.png --json"
    assert run(["filter", signal, "--kernel", "-1 0 1", *options.split()]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    shown = json.loads(out)
    assert (shown["kernel"], shown["output_shape"]) == ("-1 0 1", [2])
    assert (shown["min"], shown["max"], shown["picture"]) == (-2, 2, "out.png")


def test_words_for_padding_and_lines_for_people(signal, capsys):
    assert run(["filter", signal, "--kernel", "box", "--padding", "full", "--mode", "zero"]) == 0
    assert capsys.readouterr().out.splitlines()[2:] == ["Output   5 samples, from 0.3333 to 2", "Picture  s-box.png"]


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (["s.csv"], 2, "Missing option '--kernel'"),
        (["s.csv", "--kernel", "bix"], 2, "Unknown kernel `bix`; did you mean `box`? Known: box, gaussian,"),
        (["s.csv", "--kernel", "box", "--padding", "-1"], 2, "`padding` (=-1) must be one number >= 0"),
        (["s.csv", "--kernel", "box", "--mode", "mirror"], 2, "Invalid value for '--mode'"),
        (["s.csv", "--kernel", "box", "--stride", "0"], 2, "Invalid value for '--stride'"),
        (["absent.png", "--kernel", "box"], 2, "There is no file `absent.png`."),
    ],
)
def test_mistakes_are_one_line(signal, capsys, arguments, code, error):
    assert run(["filter", *arguments]) == code
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert error in err


def test_the_help_names_every_kernel():
    named = KERNELS.replace(",", " ").replace(";", " ").split()
    assert [name for name in {*names(1), *names(2)} if name not in named] == []


def test_filtering_does_without_torch(signal):
    code = (
        "import sys; from fovea.cli import run; code = run(sys.argv[1:]); sys.exit(code or 'torch' in sys.modules"
        " or 'matplotlib.pyplot' in sys.modules)"
    )
    command = [sys.executable, "-c", code, "filter", signal, "--kernel", "box"]
    assert subprocess.run(command, check=False).returncode == 0
