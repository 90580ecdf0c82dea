"""The help of every command: short and long, an example that parses, panels; and completion for shells."""

import re
import shlex
import subprocess
import sys

import pytest
from typer.main import get_command

from fovea.cli import application, run
from fovea.commands import COMMANDS

PARSERS = get_command(application()).commands
EXAMPLES = [(command.name, example) for command in COMMANDS for example in command.examples]


def test_every_command_has_an_example():
    assert [command.name for command in COMMANDS if not command.examples] == []
    assert [name for name, example in EXAMPLES if example.split()[0] != name] == []


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_examples_parse(name, example):
    PARSERS[name].make_context(name, shlex.split(example)[1:])


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_help_ends_with_the_examples_by_either_option(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert run([command.name, "-h"]) == 0
    short = capsys.readouterr().out
    assert run([command.name, "--help"]) == 0
    assert capsys.readouterr().out == short
    assert all(f"$ fovea {example}" in short for example in command.examples)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_help_in_60_columns_cuts_no_word(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert run([command.name, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "\N{HORIZONTAL ELLIPSIS}" in line or len(line) > 60] == []


def test_options_of_train_are_in_panels(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert run(["train", "--help"]) == 0
    panels = re.findall(r"^╭─ ([A-Z][\w ]+) ─", capsys.readouterr().out, re.M)
    assert panels == ["Arguments", "Options", "Data", "Network", "Recipe", "Time and machine", "Run"]


@pytest.mark.parametrize(
    ("shell", "words", "found"),
    [
        ("bash", {"COMP_WORDS": "fovea sh", "COMP_CWORD": "1"}, "shrink"),
        ("bash", {"COMP_WORDS": "fovea train --bu", "COMP_CWORD": "2"}, "--budget"),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "fovea train --bu"}, "--budget"),
        ("fish", {"_TYPER_COMPLETE_ARGS": "fovea train --bu", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}, "--budget"),
    ],
)
def test_shells_complete_commands_and_options(shell, words, found, capsys, monkeypatch):
    for name, value in {"_FOVEA_COMPLETE": f"complete_{shell}", **words}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as end:
        run([])
    assert end.value.code == 0
    assert found in capsys.readouterr().out


def test_completion_is_installed_for_the_shell_that_asks(tmp_path):
    line = f"{shlex.quote(sys.executable)} -m fovea --install-completion; exit $?"
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "bash completion installed" in done.stdout
    assert "complete -o default -F _fovea_completion fovea" in (tmp_path / ".bash_completions/fovea.sh").read_text()
