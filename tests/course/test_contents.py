"""The topics of the course: all are of some deck, and each shows something."""

import pytest

from fovea.course.contents import LECTURES, PARTS, TOPICS, decks_of
from fovea.course.errata import ERRATA

ROOMS = {"/", "/lab", "/train", "/network", "/explain", "/label", "/course"}


def test_names_are_unique_and_fit_into_addresses():
    assert len(TOPICS) == sum(len(topics) for _, topics in PARTS)
    assert all(name.replace("-", "").isalnum() and name.islower() for name in TOPICS)


def test_every_topic_is_on_slides_and_every_slide_has_topics():
    named = {name for lecture in LECTURES for _, names in lecture.slides for name in names}
    assert named == set(TOPICS)
    assert all(names for lecture in LECTURES for _, names in lecture.slides)


@pytest.mark.parametrize("topic", TOPICS.values(), ids=lambda topic: topic.name)
def test_every_topic_says_what_to_try_and_to_notice_and_shows_it(topic):
    assert topic.text and topic.tries and topic.notice and topic.pictures and topic.links
    assert all(sentence.rstrip(")`").endswith((".", "?")) for sentence in (*topic.text, *topic.tries, *topic.notice))
    assert {link.room for link in topic.links} <= ROOMS


def test_settings_that_may_be_changed_begin_with_one_of_their_choices():
    for topic in TOPICS.values():
        for picture in topic.pictures:
            for name, choices in picture.choices.items():
                first = picture.settings.get(name)
                assert (first in choices) or (picture.kind == "grid" and first is None), (topic.name, name)


def test_every_erratum_stands_on_a_page_of_its_decks():
    shown = {(where, deck) for topic in TOPICS.values() for where in topic.errata for deck in decks_of(topic.name)}
    for erratum in ERRATA:
        assert all((erratum.where, deck) in shown for deck in erratum.deck.split(", ")), erratum.where


def test_a_topic_knows_its_slides():
    assert decks_of("zfnet") == {"001": ["AlexNet, ZFNet"]}
    assert set(decks_of("lenet")) == {"000", "001", "003", "004"}
