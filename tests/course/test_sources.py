"""Every link, video, demo and animation that the decks' texts hold has its place in the studio."""

import os
import re
from pathlib import Path

import pytest

from fovea.course.contents import LECTURES, TOPICS
from fovea.course.sources import SOURCES

DATA = os.environ.get("FOVEA_DATA")
DECKS = Path(DATA).parent / "lectures" if DATA else Path(__file__).resolve().parents[3] / "shared/lectures"
LEADS_OUT = re.compile(
    r"https?://|youtu|\]\((?!mailto)|\banimations?\b|\banimated\b|\bdemo\b|\(no longer available\)|causal conv",
    re.IGNORECASE,
)


def lines(deck):
    """Return the lines of a deck that lead out of it or move."""
    files = sorted(DECKS.glob(f"{deck}_*.txt"))
    if not files:
        pytest.skip("the decks of the lectures are not here")
    return [line for line in files[0].read_text(encoding="utf-8").splitlines() if LEADS_OUT.search(line)]


@pytest.mark.parametrize("deck", [lecture.deck for lecture in LECTURES])
def test_every_line_that_leads_out_has_a_row(deck):
    marks = [source.mark for source in SOURCES if source.deck == deck]
    assert [line for line in lines(deck) if not any(mark in line for mark in marks)] == []


@pytest.mark.parametrize("deck", [lecture.deck for lecture in LECTURES])
def test_no_row_is_of_something_else(deck):
    found = "\n".join(lines(deck))
    assert [source.mark for source in SOURCES if source.deck == deck and source.mark not in found] == []


@pytest.mark.parametrize("lecture", LECTURES, ids=lambda lecture: lecture.deck)
def test_the_files_of_the_decks_are_named_as_they_are(lecture):
    if not DECKS.is_dir():
        pytest.skip("the decks of the lectures are not here")
    assert (DECKS / lecture.file).is_file() and lecture.file.startswith(lecture.deck)


def test_videos_animations_demos_and_the_viewer_are_states_of_rooms_or_topics_with_pictures():
    moving = [source for source in SOURCES if source.what != "link"]
    assert {source.what for source in moving} == {"video", "animation", "demo", "viewer"}
    for source in moving:
        if source.here.room == "/course":
            assert TOPICS[source.here.state["topic"]].pictures


def test_rows_that_lead_to_topics_lead_to_some_that_are_there():
    assert {source.here.state["topic"] for source in SOURCES if source.here.room == "/course"} <= set(TOPICS)
