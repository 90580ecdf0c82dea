"""Commands as a page shows them, run in this process."""

import contextlib
import io
import shlex
from functools import cache
from pathlib import Path

from typer.testing import CliRunner

from fovea.cli import application

ROOT = Path(__file__).resolve().parents[2]


def output_of(command: str, folder: Path) -> str:
    """Return what a command prints; pictures go into `folder`. One that draws none is run once for all tests."""
    return _printed(command, folder if ".png" in command else Path())


@cache
def _printed(command: str, folder: Path) -> str:
    program, *words = shlex.split(command)
    words = [str(folder / word) if word.endswith(".png") else word for word in words]
    with contextlib.chdir(ROOT):
        if program == "fovea":
            done = CliRunner().invoke(application(), words, catch_exceptions=False)
            assert done.exit_code == 0, done.output
            return done.output
        option, code = words
        assert (program, option) == ("python", "-c")
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(code, {})
        return printed.getvalue()
