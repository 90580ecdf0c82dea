"""Every command of the errata shows the figure that is said to be right."""

import contextlib
import io
import shlex
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fovea.cli import application
from fovea.course.errata import ERRATA

ROOT = Path(__file__).resolve().parents[2]
DECKS = {"000", "001", "002", "003", "004"}


@cache
def output_of(command: str, folder: Path) -> str:
    """Return what a command prints; pictures go into `folder`."""
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pictures")


@pytest.mark.slow
@pytest.mark.parametrize("erratum", ERRATA, ids=lambda erratum: f"{erratum.deck}-{erratum.where}")
def test_its_command_shows_what_is_right(erratum, folder):
    assert erratum.shows in output_of(erratum.command, folder)


def test_all_decks_have_some_and_no_deck_is_unknown():
    assert {deck for erratum in ERRATA for deck in erratum.deck.split(", ")} == DECKS


def test_a_deck_is_asked_for_alone():
    from fovea.jobs.errata import errata

    assert all("003" in erratum.deck for erratum in errata("003"))
    assert len(errata()) == len(ERRATA) > len(errata("003")) > 0
