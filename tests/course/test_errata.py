"""Every command of the errata shows the figure that is said to be right."""

import pytest
from shown_commands import output_of

from fovea.course.errata import ERRATA

DECKS = {"000", "001", "002", "003", "004"}


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
